// Connections come about, each for itself, and again.

import { until } from "../../support/conditions.ts";
import { CONNECTING_ON_A_CHANNEL } from "./channel_connecting.ts";
import { watch } from "./ends.ts";
import { conform, KINDS, turns } from "./transports.ts";

conform("connecting", CONNECTING_ON_A_CHANNEL, {
  "both ends hear each other": async (t, { pair }) => {
    const { near, far } = await pair();
    near.connection.send("from near\n");
    far.connection.send("from far\n");
    await far.has("from near\n");
    await near.has("from far\n");
    t.equal(near.text, "from far\n");
    t.equal(far.text, "from near\n");
  },
  "whoever listens may speak first": async (t, ground) => {
    ground.onAccept = ({ connection }) => connection.send("hello\n");
    const near = await ground.connect();
    await near.has("hello\n");
    t.equal(near.text, "hello\n");
  },
  "whoever connects may speak first": async (t, ground) => {
    await ground.connect(({ connection }) => connection.send("hello\n"));
    await until("it is accepted", () => ground.accepted.length === 1);
    await ground.accepted[0]?.has("hello\n");
    t.equal(ground.accepted[0]?.text, "hello\n");
  },
  "both may speak at once, before anything is read": async (t, ground) => {
    ground.onAccept = ({ connection }) => connection.send("far\n");
    const near = await ground.connect(({ connection }) =>
      connection.send("near\n")
    );
    await near.has("far\n");
    await ground.accepted[0]?.has("near\n");
    t.equal(ground.accepted.length, 1);
  },
  "what is sent while it connects waits for the handler": async (t, ground) => {
    const lines = "line\n".repeat(1_000);
    ground.onAccept = ({ connection }) => connection.send(lines);
    const near = await ground.connect();
    await until("all has come", () => near.text.length >= lines.length);
    t.equal(near.text, lines);
  },
  "both ends have a name, and are not shared": async (t, { pair }) => {
    const { near, far } = await pair();
    t.match(near.connection.remote, /^\S/);
    t.match(far.connection.remote, /^\S/);
    t.equal(near.connection.isShared, false);
    t.equal(far.connection.isShared, false);
  },
  "connect() resolves to what was accepted": async (t, ground) => {
    const accepted: unknown[] = [];
    const connection = await ground.connecting().connect(
      watch((end) => accepted.push(end.connection)),
    );
    t.equal(accepted.length, 1);
    t.equal(connection, accepted[0]);
    connection.close();
    ground.clock.advance(10_000);
  },
  "the listener's URL says where it is": (t, { listener, kind }) => {
    t.match(listener.url, new RegExp(`^${kind}:`));
    t.notMatch(listener.url, /:0$/);
    return Promise.resolve();
  },
  "many connect at once, each for itself": async (t, ground) => {
    const count = 50;
    ground.onAccept = (end) =>
      end.onReceived = (lines) => end.connection.send(`answer to ${lines}`);
    const ends = await Promise.all(
      Array.from({ length: count }, () => ground.connect()),
    );
    ends.forEach(({ connection }, index) => connection.send(`${index}\n`));
    for (const [index, end] of ends.entries()) {
      await end.has("\n");
      t.equal(end.text, `answer to ${index}\n`);
    }
    t.equal(ground.accepted.length, count);
    const heard = ground.accepted.map(({ text }) => Number(text));
    t.same(heard.sort((a, b) => a - b), ends.map((_, index) => index));
  },
  "one after the other, none is left": async (t, ground) => {
    for (let round = 1; round <= 30; round += 1) {
      const { near, far } = await ground.pair();
      near.connection.send(`${round}\n`);
      await far.has(`${round}\n`);
      near.connection.close();
      await near.closed();
      await far.closed();
    }
    t.equal(ground.accepted.length, 30);
    t.equal(ground.clock.timers, 0);
  },
  "connecting again after closing": async (t, { pair }) => {
    const first = await pair();
    first.near.connection.close();
    await first.near.closed();
    const second = await pair();
    second.near.connection.send("again\n");
    await second.far.has("again\n");
    await first.far.closed();
    t.equal(first.far.text, "");
    t.equal(second.far.closes, 0);
  },
  "connecting again after being closed": async (t, { pair }) => {
    const first = await pair();
    first.far.connection.close();
    await first.near.closed();
    const second = await pair();
    second.far.connection.send("again\n");
    await second.near.has("again\n");
    t.equal(first.near.text, "");
  },
  "two connections from one place are two": async (t, { pair }) => {
    const one = await pair();
    const two = await pair();
    one.near.connection.close();
    await one.far.closed();
    two.near.connection.send("alive\n");
    await two.far.has("alive\n");
    t.equal(two.near.closes + two.far.closes, 0);
  },
  "another place is another": async (t, ground) => {
    const other = await KINDS[ground.kind]?.place(t);
    t.ok(other);
    if (other === undefined) return;
    t.not(other.listen === ground.place.listen && ground.kind === "unix", true);
    const { near, far } = await ground.pair();
    near.connection.send("here\n");
    await far.has("here\n");
    t.equal(ground.accepted.length, 1);
  },
  "an attempt whose signal is aborted is not made": async (t, ground) => {
    const signal = AbortSignal.abort(new TypeError("enough"));
    await t.rejects(ground.connect(undefined, signal), { message: "enough" });
    await turns();
    t.equal(ground.accepted.length, 0);
    t.equal(ground.clock.timers, 0);
  },
  "an attempt can be given up": async (t, ground) => {
    const control = new AbortController();
    const connecting = ground.connect(undefined, control.signal);
    control.abort(new TypeError("enough"));
    await t.rejects(connecting, { message: "enough" });
    // Whoever was accepted meanwhile learns that nobody is there.
    await turns();
    for (const far of ground.accepted) await far.closed();
    t.equal(ground.clock.timers, 0);
    const { near, far } = await ground.pair();
    near.connection.send("and made again\n");
    await far.has("and made again\n");
  },
  "a signal that is aborted later ends nothing": async (t, ground) => {
    const control = new AbortController();
    const near = await ground.connect(undefined, control.signal);
    control.abort();
    await until("it is accepted", () => ground.accepted.length === 1);
    near.connection.send("still here\n");
    await ground.accepted[0]?.has("still here\n");
    t.equal(near.closes, 0);
  },
});

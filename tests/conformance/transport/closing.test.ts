// The end of a connection: what was sent arrives, and closed() is said once,
// last, on both ends.

import { CLOSE_GRACE_MS } from "../../../src/runtime/limits.ts";
import { until } from "../../support/conditions.ts";
import { CLOSING_ON_A_CHANNEL } from "./channel_closing.ts";
import { conform, turns } from "./transports.ts";

const LINES = `${"x".repeat(999)}\n`.repeat(4_000);

conform("closing", CLOSING_ON_A_CHANNEL, {
  "what was sent arrives, from who connected": async (t, { pair }) => {
    const { near, far } = await pair();
    near.connection.send(LINES);
    near.connection.send("last\n");
    near.connection.close();
    await far.closed();
    await near.closed();
    t.ok(far.text === `${LINES}last\n`);
  },
  "what was sent arrives, from the listener": async (t, { pair }) => {
    const { near, far } = await pair();
    far.connection.send(LINES);
    far.connection.send("last\n");
    far.connection.close();
    await near.closed();
    await far.closed();
    t.ok(near.text === `${LINES}last\n`);
  },
  "what is sent afterwards does not": async (t, { pair }) => {
    const { near, far } = await pair();
    near.connection.send("in time\n");
    near.connection.close();
    near.connection.send("too late\n");
    await far.closed();
    await near.closed();
    near.connection.send("much too late\n");
    far.connection.send("to nobody\n");
    await turns();
    t.equal(far.text, "in time\n");
    t.equal(near.text, "");
  },
  "closed() is said once, on both ends": async (t, { pair }) => {
    const { near, far } = await pair();
    near.connection.close();
    await near.closed();
    await far.closed();
    await turns();
    t.same([near.closes, far.closes], [1, 1]);
  },
  "closing twice is closing once": async (t, { pair }) => {
    const { near, far } = await pair();
    near.connection.close();
    near.connection.close();
    await near.closed();
    await far.closed();
    near.connection.close();
    far.connection.close();
    await turns();
    t.same([near.closes, far.closes], [1, 1]);
  },
  "both ends at once": async (t, ground) => {
    const { near, far } = await ground.pair();
    near.connection.send("from near\n");
    near.connection.close();
    far.connection.close();
    await near.closed();
    await far.closed();
    await turns();
    t.same([near.closes, far.closes], [1, 1]);
    t.equal(ground.clock.timers, 0);
  },
  "no timer is left": async (t, ground) => {
    const { near, far } = await ground.pair();
    far.connection.close();
    await near.closed();
    await far.closed();
    t.equal(ground.clock.timers, 0);
  },
  "nothing is read after one's own close()": async (t, { pair }) => {
    const { near, far } = await pair();
    near.connection.send("a\n".repeat(1_000));
    far.connection.close();
    near.connection.send("b\n");
    await far.closed();
    t.equal(far.text, "");
    t.same(far.late, []);
  },
  "closed() comes last": async (t, { pair }) => {
    const { near, far } = await pair();
    for (let round = 0; round < 200; round += 1) {
      near.connection.send(`${round}\n`);
    }
    near.connection.close();
    await far.closed();
    await turns();
    t.same(far.late, []);
    t.ok(far.text.endsWith("199\n"));
  },
  "closing while lines are taken ends them": async (t, { pair }) => {
    const { near, far } = await pair();
    far.onReceived = () => far.connection.close();
    near.connection.send("first\n");
    await far.closed();
    near.connection.send("second\n");
    await near.closed();
    t.equal(far.text, "first\n");
    t.same(far.late, []);
  },
  "closing while it is accepted": async (t, ground) => {
    ground.onAccept = ({ connection }) => {
      connection.send("no room\n");
      connection.close();
    };
    const near = await ground.connect();
    await near.closed();
    t.equal(near.text, "no room\n");
    await ground.accepted[0]?.closed();
    t.equal(ground.accepted[0]?.closes, 1);
  },
  "closing as soon as it is connected": async (t, ground) => {
    const near = await ground.connect(({ connection }) => connection.close());
    await near.closed();
    await until("it is accepted", () => ground.accepted.length === 1);
    await ground.accepted[0]?.closed();
    t.equal(near.closes, 1);
  },
  "closing from within closed() is nothing": async (t, { pair }) => {
    const { near, far } = await pair();
    near.onClosed = () => near.connection.close();
    far.onClosed = () => far.connection.close();
    near.connection.close();
    await near.closed();
    await far.closed();
    await turns();
    t.same([near.closes, far.closes], [1, 1]);
  },
  "closing a paused connection": async (t, { pair }) => {
    const { near, far } = await pair();
    far.connection.pause();
    near.connection.send("a\n");
    await turns();
    far.connection.close();
    far.connection.resume();
    await far.closed();
    await near.closed();
    far.connection.resume();
    t.equal(far.text, "");
  },
  "being closed while paused: what had come is given": async (t, ground) => {
    const { near, far } = await ground.pair();
    far.connection.pause();
    near.connection.send("a\nb\n");
    near.connection.close();
    await turns();
    t.equal(far.text, "");
    far.connection.resume();
    await far.closed();
    await near.closed();
    t.equal(far.text, "a\nb\n");
    t.same([near.closes, far.closes], [1, 1]);
  },
  "half a line at the end is no line": async (t, { pair }) => {
    const { near, far } = await pair();
    near.connection.send("whole\nhalf");
    near.connection.close();
    await far.closed();
    t.equal(far.text, "whole\n");
    t.same(far.errors, []);
  },
  "nothing waits once it is over": async (t, { pair }) => {
    const { near, far } = await pair();
    near.connection.send(LINES);
    near.connection.close();
    await near.closed();
    await far.closed();
    t.equal(near.connection.queuedBytes, 0);
    t.equal(far.connection.queuedBytes, 0);
  },
  "a peer that does not answer is cut off after the grace": async (
    t,
    ground,
  ) => {
    const { near, far } = await ground.pair();
    far.connection.pause();
    far.connection.send("unread\n");
    await near.has("unread\n");
    near.connection.send(LINES.repeat(4));
    near.connection.close();
    await turns();
    t.equal(near.closes, 0);
    ground.clock.advance(CLOSE_GRACE_MS - 1);
    await turns();
    t.equal(near.closes, 0);
    ground.clock.advance(1);
    await near.closed();
    t.equal(near.closes, 1);
  },
  "others live on": async (t, { pair }) => {
    const one = await pair();
    const other = await pair();
    one.far.connection.close();
    await one.near.closed();
    other.far.connection.send("alive\n");
    await other.near.has("alive\n");
    t.equal(other.near.closes, 0);
  },
  "Listener.close() leaves the connections that are there": async (
    t,
    ground,
  ) => {
    const { near, far } = await ground.pair();
    await ground.listener.close();
    far.connection.send("still here\n");
    near.connection.send("still there\n");
    await near.has("still here\n");
    await far.has("still there\n");
    t.same([near.closes, far.closes], [0, 0]);
  },
  "Listener.close() lets nobody in": async (t, ground) => {
    await ground.pair();
    await ground.listener.close();
    await t.rejects(ground.connect());
    t.equal(ground.accepted.length, 1);
    t.equal(ground.clock.timers, 0);
  },
  "Listener.close() twice": async (t, { listener, connect }) => {
    await listener.close();
    await listener.close();
    await t.rejects(connect());
  },
  "listening again at the same place": async (t, ground) => {
    const first = await ground.pair();
    await ground.listener.close();
    await ground.listen();
    const { near, far } = await ground.pair();
    near.connection.send("again\n");
    await far.has("again\n");
    t.equal(first.near.closes, 0);
  },
});

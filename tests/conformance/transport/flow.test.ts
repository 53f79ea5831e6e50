// Who doesn't read holds the other end up, loses nothing, and disturbs nobody.

import { until } from "../../support/conditions.ts";
import { seeded } from "../../support/seeded.ts";
import { CLOSE_GRACE_MS } from "../../../src/runtime/limits.ts";
import { FLOW_ON_A_CHANNEL } from "./channel_flow.ts";
import type { End } from "./ends.ts";
import { conform, turns } from "./transports.ts";

const LINE = `${"x".repeat(999)}\n`;
/** More than kernels take for themselves. */
const MANY = 16_000;

function queued({ connection }: End): number {
  return connection.queuedBytes;
}

/** Resolves once the kernel, if there is one, takes no more. */
async function untilFull(end: End): Promise<void> {
  let before = -1;
  await until("no more is taken", async () => {
    const isSteady = queued(end) === before;
    before = queued(end);
    await turns(50);
    return isSteady && before > 0;
  });
}

conform("flow", FLOW_ON_A_CHANNEL, {
  "pause() holds back all that comes": async (t, { pair }) => {
    const { near, far } = await pair();
    const other = await pair();
    far.connection.pause();
    for (let round = 1; round <= 20; round += 1) {
      near.connection.send(`${round}\n`.repeat(500));
      // What goes another way has arrived, so this would have.
      other.near.connection.send(`${round}\n`);
      await other.far.has(`${round}\n`);
    }
    t.equal(far.text, "");
    far.connection.resume();
    await far.has("20\n");
  },
  "resume() gives it in order": async (t, { pair }) => {
    const { near, far } = await pair();
    far.connection.pause();
    let sent = "";
    for (let number = 0; number < 5_000; number += 1) {
      sent += `${number}\n`;
      near.connection.send(`${number}\n`);
    }
    await turns();
    t.equal(far.text, "");
    far.connection.resume();
    await far.has("4999\n");
    t.ok(far.text === sent);
  },
  "pausing while lines are taken holds back the others": async (
    t,
    { pair },
  ) => {
    const { near, far } = await pair();
    far.onReceived = () => far.connection.pause();
    let sent = "";
    for (let round = 1; round <= 50; round += 1) {
      const lines = `${round}\n`.repeat(200);
      sent += lines;
      near.connection.send(lines);
      await turns(1);
    }
    while (far.text.length < sent.length) {
      const { length } = far.text;
      await turns(3);
      t.equal(far.text.length, length, "nothing while it is paused");
      far.connection.resume();
      await until("more comes", () => far.text.length > length);
    }
    t.ok(far.text === sent);
  },
  "pausing and resuming at once, while lines are taken": async (
    t,
    { pair },
  ) => {
    const { near, far } = await pair();
    far.onReceived = () => {
      far.connection.pause();
      far.connection.resume();
    };
    let sent = "";
    for (let number = 0; number < 2_000; number += 1) {
      sent += `${number}\n`;
      near.connection.send(`${number}\n`);
    }
    await far.has("1999\n");
    t.ok(far.text === sent);
    t.same(far.torn, []);
  },
  "pausing and resuming at random": async (t, { pair }) => {
    const { near, far } = await pair();
    const random = seeded(12);
    let sent = "";
    far.onReceived = () => {
      if (random.below(2) === 0) far.connection.pause();
    };
    for (let number = 0; number < 3_000; number += 1) {
      sent += `${number}\n`;
      near.connection.send(`${number}\n`);
      const chance = random.below(10);
      if (chance === 0) far.connection.pause();
      if (chance === 1) far.connection.resume();
      if (chance === 2) await turns(1);
    }
    far.onReceived = () => {};
    far.connection.resume();
    await far.has("2999\n");
    t.ok(far.text === sent);
  },
  "pausing twice needs one resume()": async (t, { pair }) => {
    const { near, far } = await pair();
    far.connection.pause();
    far.connection.pause();
    near.connection.send("a\n");
    far.connection.resume();
    await far.has("a\n");
    t.equal(far.text, "a\n");
  },
  "resume() without pause() is nothing": async (t, { pair }) => {
    const { near, far } = await pair();
    far.connection.resume();
    near.connection.send("a\n");
    await far.has("a\n");
    far.connection.resume();
    near.connection.send("b\n");
    await far.has("b\n");
    t.equal(far.text, "a\nb\n");
  },
  "pausing before anything is read": async (t, ground) => {
    ground.onAccept = ({ connection }) => connection.pause();
    const near = await ground.connect(({ connection }) =>
      connection.send("early\n")
    );
    near.connection.send("more\n");
    await until("it is accepted", () => ground.accepted.length === 1);
    await turns();
    const far = ground.accepted[0] as End;
    t.equal(far.text, "");
    far.connection.resume();
    await far.has("more\n");
    t.equal(far.text, "early\nmore\n");
  },
  "a paused end can send": async (t, { pair }) => {
    const { near, far } = await pair();
    far.connection.pause();
    near.connection.send("unread\n");
    far.connection.send("sent\n");
    await near.has("sent\n");
    t.equal(far.text, "");
  },
  "one that is paused holds up no other": async (t, { pair }) => {
    const paused = await pair();
    const other = await pair();
    paused.far.connection.pause();
    for (let count = 0; count < MANY; count += 1_000) {
      paused.near.connection.send(LINE.repeat(1_000));
    }
    other.near.connection.send("through\n");
    await other.far.has("through\n");
    await until("nothing of it waits", () => queued(other.near) === 0);
    t.ok(queued(paused.near) > 0);
  },
  "nothing waits at first": async (t, { pair }) => {
    const { near, far } = await pair();
    t.equal(queued(near), 0);
    t.equal(queued(far), 0);
  },
  "queuedBytes grows while the other end is paused": async (t, { pair }) => {
    const { near, far } = await pair();
    far.connection.pause();
    let last = 0;
    for (let round = 0; round < 4; round += 1) {
      for (let count = 0; count < MANY; count += 1_000) {
        near.connection.send(LINE.repeat(1_000));
      }
      await turns();
      t.ok(queued(near) > last + 1e6, `${queued(near)} after ${last}`);
      last = queued(near);
    }
    t.ok(queued(near) > 3 * MANY * 1_000);
    t.ok(queued(near) <= 4 * MANY * 1_000, "and is no more than was sent");
  },
  "queuedBytes falls once the other end reads": async (t, { pair }) => {
    const { near, far } = await pair();
    far.connection.pause();
    for (let count = 0; count < MANY; count += 1_000) {
      near.connection.send(LINE.repeat(1_000));
    }
    await untilFull(near);
    const full = queued(near);
    far.connection.resume();
    await until("some has left", () => queued(near) < full);
    await until("all has come", () => far.text.length === MANY * 1_000);
    await until("nothing waits", () => queued(near) === 0);
    t.equal(queued(far), 0);
  },
  "queuedBytes counts bytes, of text as of bytes": async (t, { pair }) => {
    const { near, far } = await pair();
    far.connection.pause();
    for (let count = 0; count < MANY; count += 1_000) {
      near.connection.send(LINE.repeat(1_000));
    }
    await untilFull(near);
    const before = queued(near);
    const line = `${"é".repeat(100)}\n`;
    near.connection.send(line);
    t.equal(queued(near) - before, 201);
    near.connection.send(new TextEncoder().encode(line));
    t.equal(queued(near) - before, 402);
    far.connection.resume();
    await until("nothing waits", () => queued(near) === 0);
  },
  "a peer that never reads does not hold up send()": async (t, ground) => {
    const { near, far } = await ground.pair();
    far.connection.pause();
    for (let count = 0; count < 2 * MANY; count += 1_000) {
      near.connection.send(LINE.repeat(1_000));
    }
    await untilFull(near);
    near.connection.close();
    await turns();
    t.equal(near.closes, 0, "within the grace");
    ground.clock.advance(CLOSE_GRACE_MS);
    await near.closed();
    t.equal(near.closes, 1);
    t.equal(ground.clock.timers, 0);
    t.equal(far.text, "");
  },
  "a slow reader gets everything": async (t, { pair }) => {
    const { near, far } = await pair();
    far.onReceived = () => {
      far.connection.pause();
      setImmediate(() => far.connection.resume());
    };
    let sent = "";
    for (let number = 0; number < 3_000; number += 1) {
      const line = `${number} ${"y".repeat(number % 900)}\n`;
      sent += line;
      near.connection.send(line);
    }
    await until("all has come", () => far.text.length >= sent.length);
    t.ok(far.text === sent);
    await until("nothing waits", () => queued(near) === 0);
  },
});

// Who doesn't read holds up nobody on a channel of Redis; a Redis that doesn't
// answer is seen in what waits.

import { Buffer } from "node:buffer";
import { CLOSE_GRACE_MS, MAX_HELD_CHARS } from "../../../src/runtime/limits.ts";
import { until } from "../../support/conditions.ts";
import type { End } from "./ends.ts";
import { type ChannelLikes, turns } from "./transports.ts";

const LINE = `${"x".repeat(999)}\n`;
const LINES = LINE.repeat(1_000);

function queued({ connection }: End): number {
  return connection.queuedBytes;
}

/** In the place of `flow.test.ts`'s. */
export const FLOW_ON_A_CHANNEL: ChannelLikes = {
  "pause() holds back all that comes": {
    "pause() holds back all that comes": async (t, { pair, connect }) => {
      const { near, far } = await pair();
      const other = await connect();
      near.connection.pause();
      let sent = "";
      for (let round = 1; round <= 20; round += 1) {
        const lines = `${round}\n`.repeat(500);
        sent += lines;
        far.connection.send(lines);
        await until("others have it", () => other.text.length >= sent.length);
      }
      t.equal(near.text, "");
      near.connection.resume();
      await until("it has all", () => near.text.length >= sent.length);
      t.ok(near.text === sent);
    },
  },
  "pausing before anything is read": {
    "pausing before anything is read": async (t, { pair, connect }) => {
      const { far } = await pair();
      const near = await connect(({ connection }) => connection.pause());
      far.connection.send("early\n");
      far.connection.send("more\n");
      await far.has("more\n");
      await turns();
      t.equal(near.text, "");
      near.connection.resume();
      await near.has("more\n");
      t.equal(near.text, "early\nmore\n");
    },
  },
  "one that is paused holds up no other": {
    "one that is paused holds up no other, nor who sends": async (
      t,
      { pair, connect },
    ) => {
      const { near, far } = await pair();
      const other = await connect();
      near.connection.pause();
      for (let count = 0; count < 4; count += 1) far.connection.send(LINES);
      far.connection.send("through\n");
      await other.has("through\n");
      await until("nothing waits", () => queued(far) === 0);
      t.equal(other.text.length, 4 * LINES.length + "through\n".length);
      t.equal(near.text, "");
      near.connection.resume();
      await near.has("through\n");
      t.ok(near.text === other.text);
    },
  },
  "queuedBytes grows while the other end is paused": {
    "queuedBytes grows while Redis takes nothing": async (
      t,
      { pair, shared },
    ) => {
      const { near, far } = await pair();
      shared.near.stall();
      for (let round = 1; round <= 4; round += 1) {
        near.connection.send(LINES);
        await turns(2);
        t.equal(queued(near), round * LINES.length);
      }
      t.equal(queued(far), 0);
      t.equal(far.text, "");
    },
  },
  "queuedBytes falls once the other end reads": {
    "queuedBytes falls once Redis has answered": async (
      t,
      { pair, shared },
    ) => {
      const { near, far } = await pair();
      shared.near.stall();
      for (let round = 0; round < 4; round += 1) near.connection.send(LINES);
      await turns();
      t.equal(queued(near), 4 * LINES.length);
      shared.near.resume();
      await until("nothing waits", () => queued(near) === 0);
      await until("all has come", () => far.text.length >= 4 * LINES.length);
      t.ok(far.text === LINES.repeat(4));
    },
    "a Redis that stands still holds up all, and loses nothing": async (
      t,
      { pair, shared: { redis } },
    ) => {
      const { near, far } = await pair();
      redis.signal("SIGSTOP");
      try {
        near.connection.send("meanwhile\n");
        await turns();
        t.equal(queued(near), "meanwhile\n".length);
        t.equal(far.text, "");
      } finally {
        redis.signal("SIGCONT");
      }
      await far.has("meanwhile\n");
      await until("nothing waits", () => queued(near) === 0);
      t.same([near.closes, far.closes], [0, 0]);
    },
  },
  "queuedBytes counts bytes, of text as of bytes": {
    "queuedBytes counts bytes, of text as of bytes": async (
      t,
      { pair, shared },
    ) => {
      const { near } = await pair();
      shared.near.stall();
      const line = `${"é".repeat(100)}\n`;
      near.connection.send(line);
      t.equal(queued(near), 201);
      near.connection.send(Buffer.from(line));
      t.equal(queued(near), 402);
      shared.near.resume();
      await until("nothing waits", () => queued(near) === 0);
    },
  },
  "a peer that never reads does not hold up send()": {
    "one that never reads is dropped at its bound, and holds up nobody": async (
      t,
      { pair },
    ) => {
      const { near, far } = await pair();
      near.connection.pause();
      let sent = 0;
      while (sent <= MAX_HELD_CHARS) {
        far.connection.send(LINES);
        sent += LINES.length;
      }
      far.connection.send("end\n");
      await far.has("end\n");
      await near.closed();
      near.connection.resume();
      t.equal(near.text, "");
      t.equal(far.closes, 0);
      t.equal(far.text.length, sent + "end\n".length);
    },
    "a Redis that never answers is not waited for beyond the grace": async (
      t,
      ground,
    ) => {
      const { near } = await ground.pair();
      ground.shared.near.stall();
      near.connection.send(LINES);
      near.connection.close();
      await turns();
      t.equal(near.closes, 0, "within the grace");
      ground.clock.advance(CLOSE_GRACE_MS);
      await near.closed();
      t.equal(near.closes, 1);
    },
  },
};

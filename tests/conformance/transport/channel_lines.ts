// Lines on a channel of Redis: each is a message, heard by everybody in one
// order, whatever becomes of the bytes between Redis and an end.

import { Buffer } from "node:buffer";
import { until } from "../../support/conditions.ts";
import type { ChannelCase, ChannelLikes } from "./transports.ts";

const UNICODE = "a é ß 語 ﷽ 👍🏽 \u2028 \u0301 🏴\n";

/** Lines arrive whole whatever the network does to what they are carried in. */
function through(
  faults: { readonly split: number; readonly delay?: number },
  side: "near" | "far",
): ChannelCase {
  return async (t, { pair, shared }) => {
    const { near, far } = await pair();
    const proxy = shared[side];
    proxy.faults = { ...faults, delayMs: [1, 2] };
    let sent = "";
    for (let number = 0; number < 40; number += 1) {
      const lines = `${number} ${UNICODE}`.repeat(1 + number % 3);
      sent += lines;
      far.connection.send(lines);
      // Each in a chunk of its own.
      await far.has(lines);
    }
    await near.has(`39 ${UNICODE}`);
    t.ok(near.text === sent);
    t.same(near.torn, []);
    t.ok(proxy.stats.splits > 10, `${proxy.stats.splits} were cut`);
  };
}

/** 20,000 lines in order, as text and as bytes, a hundred a send. */
function inOrder(way: "near" | "far"): ChannelCase {
  return async (t, { pair }) => {
    const ends = await pair();
    const from = ends[way];
    let sent = "";
    for (let start = 0; start < 20_000; start += 100) {
      let lines = "";
      for (let number = start; number < start + 100; number += 1) {
        lines += `${number} é語👍 ${"x".repeat(number % 100)}\n`;
      }
      sent += lines;
      from.connection.send(start % 200 === 0 ? lines : Buffer.from(lines));
    }
    for (const end of [ends.near, ends.far]) {
      await until("all has come", () => end.text.length >= sent.length);
      t.ok(end.text === sent);
      t.same(end.torn, []);
    }
  };
}

/** In the place of `lines.test.ts`'s. */
export const LINES_ON_A_CHANNEL: ChannelLikes = {
  "20,000 of them arrive in order, to the listener": {
    "20,000 of them, a hundred a send, are heard by all, in order": inOrder(
      "near",
    ),
  },
  "20,000 of them arrive in order, to who connected": {
    "20,000 of them from who listens are heard by all, in order": inOrder(
      "far",
    ),
  },
  "both ways at once": {
    "several speak at once: all hear one order, and each's lines in turn":
      async (t, { pair, connect }) => {
        const { near, far } = await pair();
        const third = await connect();
        const wanted = Array.from({ length: 500 }, (_, at) => `${at}`);
        for (const number of wanted) {
          near.connection.send(`near ${number}\n`);
          far.connection.send(`far ${number}\n`);
          third.connection.send(`third ${number}\n`);
        }
        const count = ({ text }: { text: string }) => text.split("\n").length;
        for (const end of [near, far, third]) {
          await until("all has come", () => count(end) > 1_500);
        }
        t.ok(near.text === far.text && near.text === third.text);
        for (const who of ["near ", "far ", "third "]) {
          const own = near.text.split("\n").filter((line) =>
            line.startsWith(who)
          );
          t.same(own.map((line) => line.slice(who.length)), wanted);
        }
      },
  },
  "a line that is only a newline": {
    "a line that is only a newline is no message": async (t, { pair }) => {
      const { near, far } = await pair();
      near.connection.send("\n");
      near.connection.send("end\n");
      await far.has("end\n");
      t.equal(far.text, "end\n");
      await until("nothing waits", () => near.connection.queuedBytes === 0);
    },
  },
  "empty lines among others": {
    "empty lines among others are left out": async (t, { pair }) => {
      const { near, far } = await pair();
      near.connection.send("\n\n\na\n\n\nb\n\nend\n");
      await far.has("end\n");
      t.equal(far.text, "a\nb\nend\n");
    },
  },
  "the same bytes to many connections": {
    "the same bytes, published once, are heard by many": async (t, ground) => {
      const { far } = await ground.pair();
      const ends = [];
      for (let count = 0; count < 10; count += 1) {
        ends.push(await ground.connect());
      }
      const text = UNICODE.repeat(200);
      far.connection.send(Buffer.from(text));
      for (const end of ends) {
        await until("all has come", () => end.text.length >= text.length);
        t.ok(end.text === text);
      }
    },
  },
  "a line cut at any byte": {
    "what comes from Redis may be cut at any byte": through(
      { split: 1 },
      "near",
    ),
  },
  "a line byte by byte": {
    "what goes to Redis may be cut at any byte": through({ split: 1 }, "far"),
  },
  "cuts at random": {
    "what comes from Redis may be cut, and come late, at random": through(
      { split: 0.5, delay: 0.3 },
      "near",
    ),
  },
  "the end of a line opens the next": {
    "a message is one line, whatever another client puts in it": async (
      t,
      { pair, shared: { redis, channel } },
    ) => {
      const { near, far } = await pair();
      await redis.run("PUBLISH", channel, "one\ntwo");
      await redis.run("PUBLISH", channel, "without a newline");
      await redis.run("PUBLISH", channel, "with one\n");
      for (const end of [near, far]) {
        await end.has("with one \n");
        t.equal(end.text, "one two\nwithout a newline\nwith one \n");
      }
    },
  },
};

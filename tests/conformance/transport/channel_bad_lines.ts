// A message that is too long ends the connections that get it, and no others:
// it can't be skipped, as it may be a part of a batch. One that is no UTF-8
// comes as Redis' client reads it, and harms nobody.

import { MAX_REDIS_BACKOFF_MS } from "../../../src/runtime/limits.ts";
import { openTransport } from "../../../src/transport/open_transport.ts";
import { comesAgain, untilSubscribers } from "./channel_ends.ts";
import { type End, watch } from "./ends.ts";
import {
  type ChannelCase,
  type ChannelLikes,
  MAX_LINE_BYTES,
  turns,
} from "./transports.ts";

const TOO_LONG = "x".repeat(MAX_LINE_BYTES + 1);

/** Another client of Redis publishes it. */
type Publish = (message: string) => Promise<unknown>;

function foreign(
  run: (
    t: Parameters<ChannelCase>[0],
    ground: Parameters<ChannelCase>[1],
    publish: Publish,
  ) => Promise<void>,
): ChannelCase {
  return (t, ground) => {
    const { redis, channel } = ground.shared;
    return run(t, ground, (text) => redis.run("PUBLISH", channel, text));
  };
}

/** Bytes that are no text are marked, and what follows is heard. */
function notUtf8(bytes: readonly number[], wanted: string): ChannelCase {
  return async (t, { pair }) => {
    const { near, far } = await pair();
    near.connection.send(Uint8Array.from(bytes));
    near.connection.send("after\n");
    for (const end of [near, far]) {
      await end.has("after\n");
      t.equal(end.text, `${wanted}\nafter\n`);
      t.same([end.errors, end.closes], [[], 0]);
    }
  };
}

/** In the place of `bad_lines.test.ts`'s. */
export const BAD_LINES_ON_A_CHANNEL: ChannelLikes = {
  "a line that is too long is told once, and nothing after it": {
    "a message that is too long ends who gets it, once, and nothing follows":
      foreign(async (t, { pair }, publish) => {
        const { near, far } = await pair();
        await publish("before");
        for (const end of [near, far]) await end.has("before\n");
        await publish(TOO_LONG);
        await publish("after");
        for (const end of [near, far]) {
          await end.closed();
          await turns();
          t.equal(end.text, "before\n");
          t.same([end.closes, end.late, end.errors], [1, [], []]);
        }
      }),
  },
  "its end is not waited for": {
    "who listens comes again after a message that is too long": foreign(
      async (t, ground, publish) => {
        const { far } = await ground.pair();
        await publish(TOO_LONG);
        await far.closed();
        const again = await comesAgain(ground, 2);
        await publish("short");
        await again.has("short\n");
        t.equal(again.text, "short\n");
      },
    ),
  },
  "its length is counted in bytes": {
    "its length is counted in bytes": foreign(
      async (t, { pair }, publish) => {
        const { near, far } = await pair();
        const longest = "é".repeat(MAX_LINE_BYTES / 2);
        await publish(longest);
        await near.has(`${longest}\n`);
        await publish(`${longest}x`);
        await near.closed();
        await far.closed();
        t.equal(near.text, `${longest}\n`);
      },
    ),
  },
  "the other way as well": {
    "one's own message that is too long ends oneself as well": async (
      t,
      { pair },
    ) => {
      const { near, far } = await pair();
      far.connection.send(`${TOO_LONG}\n`);
      await far.closed();
      await near.closed();
      t.same([near.text, far.text], ["", ""]);
      t.equal(far.connection.queuedBytes, 0);
    },
  },
  "what came before it is handed on first": {
    "what came before it is whole lines, or nothing": foreign(
      async (t, { pair }, publish) => {
        const { near, far } = await pair();
        far.connection.send(`one\ntwo\n${TOO_LONG}\nafter\n`);
        await near.closed();
        await publish("later");
        t.ok(["", "one\n", "one\ntwo\n"].includes(near.text), near.text);
        t.same([near.torn, near.late], [[], []]);
      },
    ),
  },
  "others are untouched": {
    "others, who take longer ones, are untouched": async (t, ground) => {
      const { near } = await ground.pair();
      const ends: End[] = [];
      const { place, clock } = ground;
      const patient = openTransport(place.connect(ground.listener.url), clock, {
        maxLineBytes: 2 * MAX_LINE_BYTES,
      });
      await patient.connect(watch((end) => ends.push(end)));
      const other = ends[0] as End;
      t.teardown(() => other.connection.close());
      other.connection.send(`${TOO_LONG}\n`);
      await near.closed();
      await other.has(`${TOO_LONG}\n`);
      other.connection.send("fine\n");
      await other.has("fine\n");
      t.equal(other.closes, 0);
      t.equal(other.text, `${TOO_LONG}\nfine\n`);
    },
  },
  "whoever got it can still say so, and close": {
    "whoever got it says nothing: all would hear it": foreign(
      async (t, ground, publish) => {
        const { near, far } = await ground.pair();
        const ends: End[] = [];
        const { place, clock, shared } = ground;
        const patient = openTransport(
          place.connect(ground.listener.url),
          clock,
          {
            maxLineBytes: 2 * MAX_LINE_BYTES,
          },
        );
        await patient.connect(watch((end) => ends.push(end)));
        const other = ends[0] as End;
        t.teardown(() => other.connection.close());
        await publish(TOO_LONG);
        await near.closed();
        await far.closed();
        near.connection.send("ERROR too long\n");
        far.connection.send("ERROR too long\n");
        await untilSubscribers({ shared }, 1);
        await publish("next");
        await other.has("next\n");
        t.equal(other.text, `${TOO_LONG}\nnext\n`);
      },
    ),
  },
  "it is told though the connection is paused and resumed": {
    "it ends one that is paused, too, without a line": foreign(
      async (t, { pair, clock }, publish) => {
        const { near } = await pair();
        near.connection.pause();
        await publish("before");
        await publish(TOO_LONG);
        await near.closed();
        near.connection.resume();
        clock.advance(MAX_REDIS_BACKOFF_MS);
        await turns();
        t.equal(near.text, "");
        t.equal(near.closes, 1);
      },
    ),
  },
  "what came before it is handed on first, though the connection is paused": {
    "bytes that are no text among others, while it is paused": async (
      t,
      { pair },
    ) => {
      const { near, far } = await pair();
      near.connection.pause();
      far.connection.send(Uint8Array.of(0x74, 0x0a, 0x41, 0xff, 0x0a));
      await far.has("A\ufffd\n");
      await turns();
      t.equal(near.text, "");
      near.connection.resume();
      await near.has("A\ufffd\n");
      t.equal(near.text, "t\nA\ufffd\n");
    },
  },
  "not UTF-8: a byte that never is": {
    "not UTF-8: a byte that never is": notUtf8([0x41, 0xff, 0x0a], "A\ufffd"),
  },
  "not UTF-8: half a character": {
    "not UTF-8: half a character": notUtf8([0xe8, 0xaa, 0x0a], "\ufffd"),
  },
  "not UTF-8: a surrogate": {
    "not UTF-8: a surrogate": notUtf8(
      [0xed, 0xa0, 0x80, 0x0a],
      "\ufffd\ufffd\ufffd",
    ),
  },
  "not UTF-8: a longer form than needed": {
    "not UTF-8: a longer form than needed": notUtf8(
      [0xc0, 0x80, 0x0a],
      "\ufffd\ufffd",
    ),
  },
};

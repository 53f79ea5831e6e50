// Coming to a channel of Redis, and coming again. Who is there is what Redis
// says of its subscribers: the one that listens, and all who have connected.

import { until } from "../../support/conditions.ts";
import type { End } from "./ends.ts";
import { untilSubscribers } from "./channel_ends.ts";
import { type ChannelLikes, turns } from "./transports.ts";

/** In the place of `connecting.test.ts`'s. */
export const CONNECTING_ON_A_CHANNEL: ChannelLikes = {
  "both ends hear each other": {
    "all hear each other, and themselves": async (t, { pair }) => {
      const { near, far } = await pair();
      near.connection.send("from near\n");
      await far.has("from near\n");
      far.connection.send("from far\n");
      for (const end of [near, far]) {
        await end.has("from far\n");
        t.equal(end.text, "from near\nfrom far\n");
      }
    },
  },
  "whoever listens may speak first": {
    "what was said before one came is not heard": async (t, { pair }) => {
      const { far } = await pair();
      far.connection.send("early\n");
      await far.has("early\n");
      const { near } = await pair();
      far.connection.send("late\n");
      await near.has("late\n");
      t.equal(near.text, "late\n");
    },
  },
  "both may speak at once, before anything is read": {
    "all may speak as soon as they are there": async (t, ground) => {
      const { far } = await ground.pair();
      const speaking = ({ connection }: End) => connection.send("near\n");
      const connecting = ground.connect(speaking);
      far.connection.send("far\n");
      const near = await connecting;
      await near.has("near\n");
      const all = () => far.text.length >= "far\nnear\n".length;
      await until("both were heard", all);
      t.same(far.text.split("\n").sort(), ["", "far", "near"]);
    },
  },
  "what is sent while it connects waits for the handler": {
    "from when one is there, nothing is missed": async (t, ground) => {
      const { far } = await ground.pair();
      let number = 0;
      let isThere = false;
      const speaking = (async () => {
        while (!isThere) {
          far.connection.send(`${number}\n`);
          number += 1;
          await turns(1);
        }
      })();
      const near = await ground.connect();
      isThere = true;
      await speaking;
      far.connection.send("end\n");
      await near.has("end\n");
      await far.has("end\n");
      t.ok(far.text.endsWith(near.text), "the last of all, without a gap");
      t.equal(far.text.split("\n").length, number + 2);
    },
  },
  "both ends have a name, and are not shared": {
    "all have the channel's name, and are shared": async (
      t,
      { pair, shared: { channel } },
    ) => {
      const { near, far } = await pair();
      for (const { connection } of [near, far]) {
        t.ok(connection.remote.endsWith(`?channel=${channel}`));
        t.equal(connection.isShared, true);
      }
    },
  },
  "many connect at once, each for itself": {
    "many connect at once, and hear one order": async (t, ground) => {
      const count = 20;
      const ends = await Promise.all(
        Array.from({ length: count }, () => ground.connect()),
      );
      ends.forEach(({ connection }, index) => connection.send(`${index}\n`));
      const first = ends[0] as End;
      for (const end of ends) {
        const lines = () => end.text.split("\n").length - 1;
        await until("all has come", () => lines() === count);
        t.equal(end.text, first.text);
      }
      const heard = first.text.trim().split("\n").map(Number);
      t.same(heard.sort((a, b) => a - b), ends.map((_, index) => index));
    },
  },
  "one after the other, none is left": {
    "one after the other, Redis keeps none": async (t, ground) => {
      const { timers } = ground.clock;
      for (let round = 1; round <= 15; round += 1) {
        const { near, far } = await ground.pair();
        near.connection.send(`${round}\n`);
        await far.has(`${round}\n`);
        near.connection.close();
        await near.closed();
      }
      await untilSubscribers(ground, 1);
      t.equal(ground.accepted.length, 1);
      t.equal(ground.clock.timers, timers);
    },
  },
  "connecting again after closing": {
    "connecting again after closing: what came meanwhile is missed": async (
      t,
      { pair },
    ) => {
      const first = await pair();
      first.near.connection.close();
      await first.near.closed();
      first.far.connection.send("meanwhile\n");
      await first.far.has("meanwhile\n");
      const second = await pair();
      second.far.connection.send("again\n");
      await second.near.has("again\n");
      t.equal(second.near.text, "again\n");
      t.equal(first.near.text, "");
    },
  },
  "connecting again after being closed": {
    "connecting again after Redis has cut one off": async (t, ground) => {
      const first = await ground.pair();
      ground.shared.near.cutAll();
      await first.near.closed();
      const second = await ground.pair();
      first.far.connection.send("again\n");
      await second.near.has("again\n");
      t.equal(first.near.text, "");
      t.equal(first.far.closes, 0, "nobody else is cut off");
    },
  },
  "two connections from one place are two": {
    "two connections from one place are two": async (t, { pair, connect }) => {
      const { near, far } = await pair();
      const other = await connect();
      near.connection.close();
      await near.closed();
      far.connection.send("alive\n");
      await other.has("alive\n");
      t.same([other.closes, far.closes], [0, 0]);
      t.equal(near.text, "");
    },
  },
  "an attempt whose signal is aborted is not made": {
    "an attempt whose signal is aborted is not made": async (t, ground) => {
      const { timers } = ground.clock;
      const signal = AbortSignal.abort(new TypeError("enough"));
      await t.rejects(ground.connect(undefined, signal), {
        message: "enough",
      });
      await turns();
      t.equal(ground.shared.near.stats.connections, 0);
      t.equal(ground.clock.timers, timers);
    },
  },
  "an attempt can be given up": {
    "an attempt that Redis doesn't answer can be given up": async (
      t,
      ground,
    ) => {
      const { clock, shared: { near: proxy } } = ground;
      const { timers } = clock;
      proxy.stall();
      const control = new AbortController();
      const connecting = ground.connect(undefined, control.signal);
      await until("it is under way", () => proxy.stats.connections > 0);
      control.abort(new TypeError("enough"));
      await t.rejects(connecting, { message: "enough" });
      proxy.resume();
      await until("it is gone", () => proxy.open === 0);
      t.equal(clock.timers, timers);
      const { near, far } = await ground.pair();
      near.connection.send("and made again\n");
      await far.has("and made again\n");
    },
  },
};

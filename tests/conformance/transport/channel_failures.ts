// A channel of Redis that can't be reached, and one that can be again.

import { CONNECT_ATTEMPT_TIMEOUT_MS } from "../../../src/runtime/limits.ts";
import { openTransport } from "../../../src/transport/open_transport.ts";
import { until } from "../../support/conditions.ts";
import { comesAgain, untilSubscribers } from "./channel_ends.ts";
import { type End, watch } from "./ends.ts";
import { type ChannelLikes, MAX_LINE_BYTES, turns } from "./transports.ts";

/** In the place of `failures.test.ts`'s. */
export const FAILURES_ON_A_CHANNEL: ChannelLikes = {
  "listening where somebody listens": {
    "several listen on one channel, each for itself": async (t, ground) => {
      const { near, far } = await ground.pair();
      const others: End[] = [];
      const other = await ground.listening().listen(
        watch((end) => others.push(end)),
      );
      t.teardown(() => {
        for (const { connection } of others) connection.close();
      });
      near.connection.send("to all\n");
      await far.has("to all\n");
      await others[0]?.has("to all\n");
      await other.close();
      others[0]?.connection.close();
      await others[0]?.closed();
      near.connection.send("the first one lives on\n");
      await far.has("the first one lives on\n");
      t.equal(others.length, 1);
      t.equal(others[0]?.text, "to all\n");
    },
    "a channel belongs to no database of Redis": async (t, ground) => {
      const { place, clock, shared: { near: { port }, channel } } = ground;
      const { far } = await ground.pair();
      const other = openTransport(
        `redis://127.0.0.1:${port}/1?channel=${channel}`,
        clock,
        { maxLineBytes: MAX_LINE_BYTES, tls: place.tls },
      );
      const connection = await other.connect(watch(() => {}));
      connection.send("from elsewhere\n");
      await far.has("from elsewhere\n");
      t.equal(far.text, "from elsewhere\n");
      connection.close();
    },
  },
  "connecting where nobody listens any more": {
    "connecting where Redis isn't": async (t, ground) => {
      const { clock, shared: { near: proxy } } = ground;
      const { timers } = clock;
      proxy.isRefusing = true;
      const error: unknown = await ground.connect().then(
        () => undefined,
        (error) => error,
      );
      t.ok(error instanceof Error);
      t.match(error, { message: /\S/ });
      t.ok(proxy.stats.refused > 0);
      t.equal(clock.timers, timers);
      await untilSubscribers(ground, 1);
    },
    "connecting to a Redis that doesn't answer is given up in time": async (
      t,
      ground,
    ) => {
      const { clock, shared: { near: proxy } } = ground;
      const { timers } = clock;
      proxy.stall();
      const connecting = t.rejects(ground.connect(), { code: "CLOSED" });
      await until("it is under way", () => proxy.stats.connections > 0);
      clock.advance(CONNECT_ATTEMPT_TIMEOUT_MS - 1);
      await turns();
      t.ok(proxy.open > 0);
      clock.advance(1);
      await connecting;
      t.equal(clock.timers, timers);
    },
    "listening where Redis isn't yet: it comes once Redis does": async (
      t,
      ground,
    ) => {
      const { shared: { far: proxy } } = ground;
      const { near, far } = await ground.pair();
      proxy.isRefusing = true;
      proxy.cutAll();
      await far.closed();
      await until("it has tried twice", () => {
        ground.clock.advance(20);
        return proxy.stats.refused > 1;
      });
      proxy.isRefusing = false;
      const again = await comesAgain(ground, 2);
      near.connection.send("there\n");
      await again.has("there\n");
      t.equal(far.closes, 1);
      t.equal(again.text, "there\n");
    },
  },
  "an attempt that is made again succeeds": {
    "an attempt that is made again succeeds": async (t, ground) => {
      const { shared: { near: proxy } } = ground;
      proxy.isRefusing = true;
      await t.rejects(ground.connect());
      await t.rejects(ground.connect());
      proxy.isRefusing = false;
      const { near, far } = await ground.pair();
      near.connection.send("there\n");
      await far.has("there\n");
      await untilSubscribers(ground, 2);
      t.equal(far.text, "there\n");
    },
    "Redis is restarted: all are cut off, and come again": async (
      t,
      ground,
    ) => {
      const { near, far } = await ground.pair();
      await ground.shared.redis.restart();
      await near.closed();
      await far.closed();
      const again = await comesAgain(ground, 2);
      const other = await ground.connect();
      again.connection.send("after\n");
      await other.has("after\n");
      t.same([near.text, other.text], ["", "after\n"]);
    },
  },
  "an attempt leaves no timer": {
    "an attempt leaves one timer: Redis is asked whether it is there": async (
      t,
      ground,
    ) => {
      const { timers } = ground.clock;
      const { near, far } = await ground.pair();
      t.equal(ground.clock.timers, timers + 1);
      ground.clock.advance(2 * CONNECT_ATTEMPT_TIMEOUT_MS);
      near.connection.send("still here\n");
      await far.has("still here\n");
      t.equal(near.closes, 0);
    },
  },
};

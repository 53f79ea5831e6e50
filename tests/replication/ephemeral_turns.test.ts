// Two writers behind one address, each of which takes its turn to answer: no
// answer goes on where the one before has ended.

import t from "tap";
import { z } from "zod";
import { CacheRegistry } from "../../src/caches/cache_registry.ts";
import { EphemeralFollower } from "../../src/replication/ephemeral_follower.ts";
import { EphemeralStreams } from "../../src/replication/ephemeral_streams.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import { MAX_BACKOFF_MS, MIN_BACKOFF_MS } from "../../src/runtime/limits.ts";
import { systemRandom } from "../../src/runtime/random.ts";
import { defineStream } from "../../src/streams/stream.ts";
import { VirtualClock } from "../../src/testing/mod.ts";
import { parseToken, TOKEN_ZERO } from "../../src/tokens/token.ts";

const typing = defineStream("typing", z.string(), { durable: false });
const RUNS = ["one life", "another"] as const;
/** Far more than may be asked in that time. */
const ENOUGH = 1_000;

t.test("who is answered by two writers in turn asks ever more rarely", async (t) => {
  const clock = new VirtualClock();
  const logged: unknown[] = [];
  const logger = (...[, , fields]: Parameters<typeof silentLogger>) =>
    void logged.push(fields?.error);
  const streams = new EphemeralStreams({
    streams: [typing],
    caches: new CacheRegistry([], silentLogger),
    clock,
    logger: silentLogger,
  });
  let isAlone = false;
  /** When it was asked. */
  const asked: number[] = [];
  const follower = new EphemeralFollower({
    streams,
    canAsk: () => true,
    fetch: (_stream, _instance, after, upTo) => {
      const run = RUNS[isAlone ? 0 : asked.length % 2];
      asked.push(clock.monotonicMs());
      if (asked.length > ENOUGH) return new Promise(() => {});
      return Promise.resolve({
        rows: after < upTo ? [[upTo, "row"]] as const : [],
        upTo,
        isLimited: false,
        run,
        floor: TOKEN_ZERO,
      });
    },
    clock,
    random: { ...systemRandom, fraction: () => 0 },
    logger,
  });
  const heard: unknown[] = [];
  streams.addHandler(
    "typing",
    ({ token }) => void heard.push(token),
  );
  const token = parseToken(5);
  void follower.position("typing", "master", token, token);
  await clock.settle();
  t.equal(asked.length, 1, "the first answer is as good as any");
  t.same(heard, [5]);

  follower.disconnected();
  void follower.position("typing", "master", token, token);
  await clock.settle();
  t.equal(asked.length, 3);
  await clock.advance(60_000);
  const pauses = asked.slice(1).map((ms, index) => ms - Number(asked[index]));
  const waits = pauses.filter((ms) => ms > 0);
  t.ok(asked.length < 150, `${asked.length} requests in a minute`);
  t.equal(Math.round(waits[0] ?? 0), MIN_BACKOFF_MS / 2);
  t.equal(Math.round(waits.at(-1) ?? 0), MAX_BACKOFF_MS / 2, "half by chance");
  t.match(logged[0], /two writers answer in turn/);
  t.equal(streams.pending, 1);

  isAlone = true;
  await clock.advance(MAX_BACKOFF_MS);
  t.equal(streams.pending, 0, "it is live once one answers alone");
  t.equal(heard.at(-1), 5);
  follower.disconnected();
});

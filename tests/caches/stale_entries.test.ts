// What is served after a clearing, while it is loaded anew.

import t from "tap";
import type { CacheLimits } from "../../src/caches/cache_options.ts";
import type { KeyedCacheOptions } from "../../src/caches/keyed_cache_options.ts";
import { MemoryBudget } from "../../src/caches/memory_budget.ts";
import { type Deferred, deferred } from "../../src/runtime/waiting.ts";
import type { Random } from "../../src/runtime/random.ts";
import type { KeyPart } from "../../src/streams/builtin_streams.ts";
import { VirtualClock } from "../../src/testing/virtual_clock.ts";
import { keyedCache, turn } from "../support/caches.ts";
import { seeded } from "../support/seeded.ts";

const noDelay: Random = { fraction: () => 0, id: () => "", uuid: () => "" };

/** A cache over a number, and loads that the test ends. */
function open(
  limits: Partial<CacheLimits> = {},
  more: Partial<KeyedCacheOptions> = {},
) {
  const clock = new VirtualClock();
  const cache = keyedCache(
    "c",
    { maxEntries: 100, staleWhileRevalidateMs: 1_000, ...limits },
    clock,
    { random: noDelay, ...more },
  );
  const loads: Deferred<string>[] = [];
  const get = (...parts: KeyPart[]) =>
    cache.get(parts) ?? cache.load(parts, () => {
      const load = deferred<string>();
      loads.push(load);
      return load.promise;
    });
  /** Ends the load that began last. */
  const end = async (value: string) => {
    loads.at(-1)?.resolve(value);
    await turn();
  };
  const fill = async (value: string, ...parts: KeyPart[]) => {
    void get(...parts);
    await end(value);
  };
  return { clock, cache, loads, get, end, fill };
}

t.test("An old entry is served while one load replaces it", async (t) => {
  const { cache, loads, get, end, fill } = open();
  await fill("old", "a");
  cache.clear();
  t.match(cache.stats, { entries: 0, stale: 1, invalidations: 1 });
  t.equal(await get("a"), "old");
  t.equal(await get("a"), "old");
  t.equal(loads.length, 2, "one load for both");
  t.match(cache.stats, { staleHits: 2, misses: 1, loading: 1 });
  await end("new");
  t.match(cache.stats, { entries: 1, stale: 0 });
  t.equal(await get("a"), "new");
  t.equal(loads.length, 2);
});

t.test("By default nothing old is served", async (t) => {
  const { cache, get, end, fill } = open({ staleWhileRevalidateMs: undefined });
  await fill("old", "a");
  cache.clear();
  const asked = get("a");
  await end("new");
  t.equal(await asked, "new");
});

t.test("An old entry's time is bounded, and so is the memory it takes", async (t) => {
  const { clock, cache, get, end, fill } = open({ maxBytes: "1MiB" });
  await fill("old", "a");
  await fill("old", "b");
  cache.clear();
  t.ok((cache.stats.bytes ?? 0) > 200, "its bytes are counted");
  clock.elapse(999);
  t.equal(await get("a"), "old");
  await clock.advance(1);
  t.match(cache.stats, { stale: 0, entries: 1 });
  t.equal(clock.timers, 0);
  const [asked, other] = [get("a"), get("b")];
  t.equal(cache.stats.loading, 2, "who comes now joins the load that runs");
  await end("new b");
  t.equal(await other, "new b");
  void asked;
});

t.test("Old and new entries together take no more than the cache may", async (t) => {
  for (const limits of [{ maxEntries: 4 }, { maxBytes: 400 }]) {
    for (const memory of [undefined, new MemoryBudget(600, 0)]) {
      const { cache, loads, get, fill } = open({
        maxEntries: undefined,
        sizeOf: () => 100,
        ...limits,
      }, { memory });
      for (const id of ["a", "b", "c", "d"]) await fill("old", id);
      cache.clear();
      t.equal(await get("a"), "old");
      for (const id of ["e", "f", "g"]) {
        await fill("new", id);
        const { entries, stale, bytes = 0 } = cache.stats;
        t.ok(entries + stale <= 4 && bytes <= 400, `${stale} and ${entries}`);
        t.equal(bytes, memory?.bytes ?? bytes);
      }
      t.equal(await get("a"), "old", "what was asked for goes last");
      loads[4]?.resolve("new");
      await turn();
      t.match(cache.stats, { entries: 4, stale: 0 });
      cache.clear();
      cache.resize({ maxEntries: 2 });
      t.equal(cache.stats.stale, 2);
      cache.close();
    }
  }
});

t.test("An old entry isn't served beyond its own time to live", async (t) => {
  const { clock, cache, get, end, fill } = open({ ttlMs: 300 });
  await fill("old", "a");
  cache.clear();
  clock.elapse(299);
  t.equal(await get("a"), "old");
  clock.elapse(1);
  const asked = get("a");
  await end("new");
  t.equal(await asked, "new");
});

t.test("A load whose old entry has gone otherwise replaces nothing", async (t) => {
  const { clock, cache, loads, get, fill } = open({ ttlMs: 300, tree: true });
  await fill("old", "a", "b");
  cache.clear();
  clock.elapse(299);
  t.equal(await get("a", "b"), "old");
  clock.elapse(1);
  void get("a", "b");
  cache.invalidate(["a"]);
  loads[1]?.resolve("between");
  await turn();
  const asked = get("a", "b");
  t.equal(loads.length, 4);
  loads[3]?.resolve("new");
  t.equal(await asked, "new");
});

for (
  const [what, invalidate] of [
    ["its key", [["a", "b"]]],
    ["a prefix", [["a"]]],
    ["another key", [["c"]]],
  ] as const
) {
  t.test(`${what} is invalidated`, async (t) => {
    const { cache, loads, get, fill } = open({ tree: true });
    await fill("old", "a", "b");
    cache.clear();
    t.equal(await get("a", "b"), "old");
    for (const key of invalidate) cache.invalidate(key);
    const isNamed = what !== "another key";
    const asked = get("a", "b");
    t.equal(loads.length, isNamed ? 3 : 2);
    loads[1]?.resolve("between");
    await turn();
    loads[2]?.resolve("new");
    await turn();
    t.equal(await asked, isNamed ? "new" : "old");
    const now = await get("a", "b");
    t.equal(now, isNamed ? "new" : "between", "what was fenced isn't kept");
  });
}

t.test("invalidateOne() drops an old entry, too", async (t) => {
  const { cache, get, end, fill } = open();
  await fill("old", "a");
  cache.clear();
  cache.invalidateOne("a");
  const asked = get("a");
  await end("new");
  t.equal(await asked, "new");
});

t.test("A load that had not ended when the cache was cleared is nothing to serve", async (t) => {
  const { cache, loads, get } = open();
  const first = get("a");
  cache.clear();
  const second = get("a");
  t.not(second, first);
  loads[0]?.resolve("old");
  await turn();
  t.equal(get("a"), second);
  t.equal(cache.stats.stale, 0);
  loads[1]?.resolve("new");
  t.equal(await second, "new");
});

t.test("dropStale(): nobody is served what is old after somebody has waited", async (t) => {
  const { cache, loads, get, end, fill } = open();
  await fill("old", "a");
  await fill("old", "b");
  cache.clear();
  t.equal(await get("a"), "old");
  cache.stale?.drop();
  const [a, b] = [get("a"), get("b")];
  t.equal(loads.length, 4, "the load that runs is an entry now");
  loads[2]?.resolve("new a");
  await end("new b");
  t.same(await Promise.all([a, b]), ["new a", "new b"]);
  t.equal(await get("a"), "new a");
  t.equal(loads.length, 4);
});

t.test("A background load that fails harms nobody, and the next caller's tries again", async (t) => {
  const { cache, loads, get, end, fill } = open();
  await fill("old", "a");
  cache.clear();
  t.equal(await get("a"), "old");
  loads[1]?.reject(new RangeError("no"));
  await turn();
  t.equal(await get("a"), "old");
  t.equal(loads.length, 3);
  await end("new");
  t.equal(await get("a"), "new");
  t.match(cache.stats, { failures: 1, loading: 0 });
});

t.test("A load that was begun before another clearing replaces nothing", async (t) => {
  const { cache, loads, get, end, fill } = open();
  await fill("old", "a");
  await fill("old", "b");
  cache.clear();
  t.equal(await get("a"), "old");
  await fill("new", "c");
  cache.clear();
  t.equal(cache.stats.stale, 2, "of two clearings the larger part stays");
  loads[2]?.resolve("between");
  await turn();
  t.equal(await get("a"), "old");
  await end("new");
  t.equal(await get("a"), "new");
});

t.test("Background loads are put off at random, and limited", async (t) => {
  const { clock, cache, loads, get, fill } = open(
    { maxConcurrentLoads: 1, revalidateJitterMs: 200 },
    { random: { ...noDelay, fraction: () => 0.5 } },
  );
  await fill("old", "a");
  await fill("old", "b");
  cache.clear();
  t.same(await Promise.all([get("a"), get("b")]), ["old", "old"]);
  t.equal(loads.length, 2, "not yet");
  await clock.advance(99);
  t.equal(loads.length, 2);
  await clock.advance(1);
  t.equal(loads.length, 3, "one at a time");
  loads[2]?.resolve("new");
  await turn();
  t.equal(loads.length, 4);
  cache.close();
  t.equal(clock.timers, 0, "no timer is left");
});

t.test("Beyond maxQueuedLoads none is put off: what is old is served again", async (t) => {
  const { clock, cache, loads, get, fill } = open(
    { maxQueuedLoads: 1, revalidateJitterMs: 200 },
    { random: { ...noDelay, fraction: () => 0.5 } },
  );
  await fill("old", "a");
  await fill("old", "b");
  cache.clear();
  t.same(await Promise.all([get("a"), get("b")]), ["old", "old"]);
  await clock.advance(200);
  t.equal(loads.length, 3, "one for the two");
  t.equal(await get("b"), "old");
  await clock.advance(100);
  t.equal(loads.length, 4, "the next caller's");
  cache.close();
});

t.test("Background loads that were put off aren't begun once nothing old is served", async (t) => {
  const { clock, cache, loads, get, fill } = open(
    {},
    { random: { ...noDelay, fraction: () => 0.5 } },
  );
  await fill("old", "a");
  cache.clear();
  t.equal(await get("a"), "old");
  cache.stale?.drop();
  await clock.advance(1_000);
  t.equal(loads.length, 1);
});

// The specification. A database of numbers that only grow; each call may be
// given what was there at some moment, and no earlier than the last of: the
// key's own invalidation; a clearing that is too long ago, or before which
// somebody has waited; what was served before.
t.test("Whatever happens, nobody is served what is older than allowed", async (t) => {
  const wrong: string[] = [];
  let served = 0;
  for (let seed = 1; seed <= 150; seed += 1) {
    const outcome = await play(seed);
    if (typeof outcome === "string") wrong.push(`seed ${seed}: ${outcome}`);
    else served += outcome;
  }
  t.same(wrong.slice(0, 5), []);
  t.ok(served > 300, `${served} were served what is old`);
});

const STALE_MS = 100;
const KEYS: readonly (readonly KeyPart[])[] = [["a", 1], ["a", 2], ["b", 1], [
  "b",
]];

async function play(seed: number): Promise<string | number> {
  const random = seeded(seed);
  const clock = new VirtualClock();
  const cache = keyedCache(
    "c",
    {
      maxEntries: 2 + random.below(7),
      staleWhileRevalidateMs: STALE_MS,
      revalidateJitterMs: random.below(2) * 40,
      maxConcurrentLoads: random.pick([undefined, 1, 2]),
      maxBytes: random.pick([undefined, "1MiB"]),
      ttlMs: random.pick([undefined, 70]),
      tree: true,
    },
    clock,
    { random: { ...noDelay, fraction: () => random.below(100) / 100 } },
  );
  let version = 0;
  const floors = KEYS.map(() => 0);
  const clearings: { atMs: number; floor: number }[] = [];
  const loads: { end: () => void }[] = [];
  const problems: string[] = [];
  const raise = (index: number, floor: number) => {
    floors[index] = Math.max(floors[index] ?? 0, floor);
  };
  const settle = () => {
    // A clearing counts once its time is over.
    for (const { atMs, floor } of clearings) {
      if (clock.monotonicMs() < atMs + STALE_MS) continue;
      for (const index of KEYS.keys()) raise(index, floor);
    }
  };
  for (let step = 0; step < 200; step += 1) {
    const index = random.below(KEYS.length);
    const key = KEYS[index] as readonly KeyPart[];
    const action = random.below(24);
    settle();
    if (action < 12) {
      const floor = floors[index] as number;
      const asked = cache.get(key) ?? cache.load(key, () => {
        const read = version;
        const load = deferred<number>();
        loads.push({
          end: random.below(6) === 0
            ? () => load.reject(new RangeError("no"))
            : () => load.resolve(read),
        });
        return load.promise;
      });
      asked.then((value) => {
        if ((value as number) < floor) {
          problems.push(`${key} is ${value} at ${step}, not ${floor}`);
        }
        raise(index, value as number);
      }, () => {});
    } else if (action < 17) {
      loads.splice(random.below(loads.length), 1)[0]?.end();
    } else if (action < 20) {
      version += 1;
      const prefix = key.slice(0, 1 + random.below(key.length));
      for (const [other, parts] of KEYS.entries()) {
        const isNamed = prefix.every((part, at) => parts[at] === part);
        if (isNamed) raise(other, version);
      }
      cache.invalidate(prefix);
    } else if (action === 20) {
      version += 1;
      clearings.push({ atMs: clock.monotonicMs(), floor: version });
      cache.clear();
    } else if (action === 21) {
      for (const { floor } of clearings) {
        for (const other of KEYS.keys()) raise(other, floor);
      }
      cache.stale?.drop();
    } else await clock.advance(random.below(40));
    if (random.below(2) === 0) await clock.settle();
    const { entries, stale, maxEntries = 0 } = cache.stats;
    if (entries + stale > maxEntries) return "grown";
  }
  for (let rest = 0; rest < 300 && loads.length > 0; rest += 1) {
    loads.pop()?.end();
    await clock.settle();
  }
  await clock.advance(STALE_MS);
  for (const { end } of loads) end();
  await clock.settle();
  if (cache.stats.stale > 0 || clock.timers > 0) return "old entries are left";
  return problems[0] ?? cache.stats.staleHits;
}

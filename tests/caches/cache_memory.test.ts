// One amount of memory for many caches.

import t from "tap";
import { budgetOf, CacheMemory } from "../../src/caches/cache_memory.ts";
import type { CacheLimits } from "../../src/caches/cache_options.ts";
import type { KeyedCache } from "../../src/caches/keyed_cache.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { keyedCache, turn } from "../support/caches.ts";
import { type Seeded, seeded } from "../support/seeded.ts";

const KIB = 1024;

/** A cache that shares; its entries are as large as their value says. */
function member(
  memory: CacheMemory,
  name: string,
  limits: Partial<CacheLimits> = {},
): KeyedCache {
  const sizeOf = (value: unknown) => value as number;
  const all = { maxEntries: 10_000, sizeOf, ...limits };
  return keyedCache(name, all, systemClock, {
    memory: budgetOf(memory),
  });
}

/** Asks for entries of one size; says how many were there. */
async function ask(
  cache: KeyedCache,
  keys: readonly number[],
  bytes: number,
): Promise<number> {
  let hits = 0;
  for (const key of keys) {
    if (cache.get([key]) !== undefined) hits += 1;
    else void cache.load([key], () => Promise.resolve(bytes));
  }
  await turn();
  return hits;
}

const range = (count: number, from = 0) =>
  Array.from({ length: count }, (_, index) => from + index);

t.test("CacheMemory: a cold cache gives way to a hot one, down to its minimum", async (t) => {
  const memory = new CacheMemory("1MiB");
  const [cold, hot] = [member(memory, "cold"), member(memory, "hot")];
  await ask(cold, range(512), KIB);
  await ask(hot, range(256), KIB);
  for (let round = 0; round < 40; round += 1) {
    t.equal(await ask(hot, range(256), KIB), 256, "what is hot stays");
    await ask(cold, range(64, 1_000 + 64 * round), KIB);
  }
  // Each 64 new ones of the cold cache push out as many of its own.
  for (let round = 0; round < 40; round += 1) {
    await ask(hot, range(256 + 32 * round), KIB);
  }
  const [coldBytes = 0, hotBytes = 0] = [cold.stats.bytes, hot.stats.bytes];
  const share = 1024 * KIB / 2;
  t.ok(coldBytes >= share / 10 - KIB, `${coldBytes} bytes are left`);
  t.ok(coldBytes < share / 10 + 16 * KIB, `only ${coldBytes} bytes are left`);
  t.ok(hotBytes > 900 * KIB, `${hotBytes} bytes are hot`);
  t.match(memory.stats, { caches: 2, bytes: coldBytes + hotBytes });
});

t.test("CacheMemory: a cache that is used again is not taken for an old one", async (t) => {
  const memory = new CacheMemory("1MiB", { minShare: 0 });
  const [again, old, other] = ["again", "old", "other"].map((name) =>
    member(memory, name)
  ) as [KeyedCache, KeyedCache, KeyedCache];
  await ask(again, range(200), KIB);
  await ask(other, range(200), KIB);
  await ask(old, range(200), KIB);
  await ask(other, range(400, 200), KIB);
  t.equal(await ask(again, range(200), KIB), 200);
  await ask(other, range(440, 600), KIB);
  t.match(again.stats, { entries: 200 });
  t.match(old.stats, { entries: 0 });
});

t.test("CacheMemory: without minimum shares a cold cache loses all", async (t) => {
  const memory = new CacheMemory("1MiB", { minShare: 0 });
  const [cold, hot] = [member(memory, "cold"), member(memory, "hot")];
  await ask(cold, range(100), KIB);
  for (let round = 0; round < 4; round += 1) {
    await ask(hot, range(1_100), KIB);
  }
  t.equal(cold.stats.entries, 0);
});

t.test("CacheMemory: minimum shares are resized with it", async (t) => {
  const memory = new CacheMemory("1MiB", { minShare: 0.5 });
  const [cold, hot] = [member(memory, "cold"), member(memory, "hot")];
  await ask(cold, range(400), KIB);
  for (let round = 0; round < 4; round += 1) {
    await ask(hot, range(1_100), KIB);
  }
  t.equal(cold.stats.entries, 256, "half of an equal share");
  memory.resize("512KiB");
  t.equal(cold.stats.entries, 128);
  memory.resize("512KiB", { minShare: 0.25 });
  await ask(hot, range(1_100), KIB);
  t.equal(cold.stats.entries, 64);
});

t.test("CacheMemory: it is resized both ways, at once", async (t) => {
  const memory = new CacheMemory("1MiB");
  const caches = range(4).map((number) => member(memory, `c${number}`));
  const fill = async () => {
    for (const cache of caches) await ask(cache, range(1_000), KIB);
  };
  await fill();
  const full = memory.stats.bytes;
  t.ok(full <= 1024 * KIB && full > 1000 * KIB, `${full}`);
  memory.resize("256KiB");
  t.ok(memory.stats.bytes <= 256 * KIB, `${memory.stats.bytes}`);
  memory.resize("2MiB", { minShare: 0.5 });
  await fill();
  t.ok(memory.stats.bytes > 2000 * KIB, `${memory.stats.bytes}`);
  for (const bad of [0, -1, "much", "1.5.MiB"]) {
    t.throws(() => memory.resize(bad), { code: "INVALID_ARGUMENT" });
    t.throws(() => new CacheMemory(bad), { code: "INVALID_ARGUMENT" });
  }
  for (const minShare of [-0.1, 1.1, NaN]) {
    t.throws(() => memory.resize("1KiB", { minShare }), {
      code: "INVALID_ARGUMENT",
    });
  }
  t.equal(
    memory.stats.maxBytes,
    2 * 1024 * KIB,
    "refused changes change nothing",
  );
});

t.test("CacheMemory: an entry larger than all of it isn't kept, and harms no other", async (t) => {
  const memory = new CacheMemory("64KiB");
  const [small, large] = [member(memory, "small"), member(memory, "large")];
  await ask(small, range(32), KIB);
  await ask(large, [1], 65 * KIB);
  t.match(large.stats, { entries: 0, evictions: 1 });
  t.equal(small.stats.entries, 32);
});

t.test("CacheMemory: a cache's own bounds hold as well", async (t) => {
  const memory = new CacheMemory("1MiB");
  const few = member(memory, "few", { maxEntries: 10 });
  const little = member(memory, "little", { maxBytes: "100KiB" });
  const other = member(memory, "other");
  for (let round = 0; round < 30; round += 1) {
    for (const cache of [few, little, other]) {
      await ask(cache, range(100, round * 50), KIB);
    }
    t.ok(few.stats.entries <= 10);
    t.ok((little.stats.bytes ?? 0) <= 100 * KIB);
  }
  t.equal(few.stats.entries, 10);
  t.ok(little.stats.entries >= 98, `${little.stats.entries}`);
  few.resize({ maxEntries: 5 });
  t.equal(few.stats.entries, 5);
  t.ok(memory.stats.bytes <= 1024 * KIB);
});

t.test("CacheMemory: what is dropped, cleared or closed is given back", async (t) => {
  const memory = new CacheMemory("1MiB");
  const cache = member(memory, "c", { tree: true });
  const other = member(memory, "o", { staleWhileRevalidateMs: 1e6 });
  await ask(cache, range(100), KIB);
  await ask(other, range(100), KIB);
  cache.invalidate([1]);
  t.equal(memory.stats.bytes, 199 * KIB);
  cache.clear();
  t.equal(memory.stats.bytes, 100 * KIB);
  other.clear();
  t.equal(
    memory.stats.bytes,
    100 * KIB,
    "old entries count while they may be served",
  );
  t.equal(memory.stats.caches, 2);
  await ask(cache, range(1_020), KIB);
  t.ok(other.stats.stale < 100, "and give way as others do");
  t.equal(memory.stats.bytes, 1024 * KIB);
  other.close();
  cache.close();
  t.match(memory.stats, { bytes: 0, caches: 0 });
});

t.test("CacheMemory: the sum stays within it, for any load, and is exact", async (t) => {
  for (let seed = 1; seed <= 12; seed += 1) {
    const random = seeded(seed);
    const maxBytes = 256 * KIB;
    const memory = new CacheMemory(maxBytes, {
      minShare: random.pick([0, 0.1, 1]),
    });
    const caches = range(1 + random.below(8)).map((number) =>
      member(memory, `c${number}`, {
        maxEntries: random.pick([20, 1_000, undefined]) ?? undefined,
        maxBytes: random.pick([maxBytes / 2, maxBytes * 2]),
        // The estimate of real values, or what is given.
        sizeOf: random.pick([undefined, (value) => (value as string).length]),
        tree: random.below(2) === 0,
      })
    );
    let most = 0;
    for (let step = 0; step < 1_500; step += 1) {
      const cache = random.pick(caches);
      const key = [`room ${random.below(30)}`, random.below(30)];
      const action = random.below(100);
      if (action < 90 && cache.get(key) === undefined) {
        const size = random.pick([10, 100, 1_000, 20_000]);
        void cache.load(
          key,
          () => Promise.resolve("x".repeat(random.below(size))),
        );
      } else if (action < 96) cache.invalidate(key.slice(0, 1));
      else if (action === 96) cache.clear();
      else if (action === 97) {
        cache.resize({ maxBytes: maxBytes / random.pick([1, 4]) });
      }
      if (step % 10 === 0) await turn();
      most = Math.max(most, memory.stats.bytes);
      if (step % 10 !== 0) continue;
      const sum = caches.reduce(
        (sum, { stats }) => sum + (stats.bytes ?? 0),
        0,
      );
      if (sum !== memory.stats.bytes) {
        t.fail(`seed ${seed}, step ${step}: ${sum}, not ${memory.stats.bytes}`);
        break;
      }
    }
    t.ok(most <= maxBytes, `seed ${seed}: ${most} of ${maxBytes}`);
  }
});

// An exact LRU over all caches, with a clock at each hit, is what we'd be at
// best where nothing has a minimum.
t.test("CacheMemory: it hits nearly as often as one exact LRU of all entries", async (t) => {
  for (
    const [seed, shape] of [[1, "steady"], [2, "shifting"], [
      3,
      "scan",
    ]] as const
  ) {
    const random = seeded(seed);
    const capacity = 500;
    const memory = new CacheMemory(capacity * KIB, { minShare: 0 });
    const caches = range(10).map((number) => member(memory, `c${number}`));
    const exact = new Map<string, true>();
    let [hits, exactHits] = [0, 0];
    const steps = 30_000;
    for (let step = 0; step < steps; step += 1) {
      const [number, key] = choose(random, shape, step);
      const cache = caches[number] as KeyedCache;
      if (cache.get([key]) !== undefined) hits += 1;
      else void cache.load([key], () => Promise.resolve(KIB));
      if (step % 4 === 0) await Promise.resolve();
      const id = `${number} ${key}`;
      if (exact.delete(id)) exactHits += 1;
      exact.set(id, true);
      if (exact.size > capacity) {
        exact.delete(exact.keys().next().value as string);
      }
    }
    const [ours, best] = [hits / steps * 100, exactHits / steps * 100];
    t.ok(
      ours > best - 2,
      `${shape}: ${ours.toFixed(1)} of ${best.toFixed(1)} %`,
    );
  }
});

/** Which cache, and which of its keys: few of them often, most of them rarely. */
function choose(
  random: Seeded,
  shape: "steady" | "shifting" | "scan",
  step: number,
): [number, number] {
  const skewed = (count: number) =>
    Math.floor(count * (random.below(1_000) / 1_000) ** 3);
  if (shape === "scan" && random.below(3) === 0) return [9, step];
  // Every so often other caches are the ones that are used.
  const from = shape === "shifting" ? Math.floor(step / 5_000) : 0;
  return [(from + skewed(9)) % 9, skewed(400)];
}

t.test("CacheMemory: a cache that is closed takes none of it any more", async (t) => {
  const memory = new CacheMemory(8 * KIB);
  const [closed, other] = [member(memory, "closed"), member(memory, "other")];
  await ask(closed, range(4), KIB);
  closed.close();
  await ask(closed, range(6), KIB);
  t.equal(await closed.load([7], () => Promise.resolve(KIB)), KIB);
  t.match(closed.stats, { entries: 0, bytes: 0 });
  t.match(memory.stats, { bytes: 0, caches: 1 });
  await ask(other, range(8), KIB);
  t.equal(await ask(other, range(8), KIB), 8, "all of it is the other's");
});

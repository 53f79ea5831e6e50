// Bounds: kept, and changed while a cache is in use.

import t from "tap";
import type { KeyedCache } from "../../src/caches/keyed_cache.ts";
import { keyedCache, turn } from "../support/caches.ts";
import { seeded } from "../support/seeded.ts";

async function fill(cache: KeyedCache, from: number, to: number) {
  for (let key = from; key < to; key += 1) {
    void cache.load(["k", key], () => Promise.resolve(key));
    await turn();
  }
}

const kept = (cache: KeyedCache, to: number) =>
  Array.from({ length: to }, (_, key) => key).filter((key) =>
    cache.get(["k", key]) !== undefined
  );

for (const tree of [false, true]) {
  t.test(`resize() keeps what was used last${tree ? " of a tree" : ""}`, async (t) => {
    const cache = keyedCache("c", { maxEntries: 10, tree });
    await fill(cache, 0, 10);
    cache.get(["k", 0]);
    cache.resize({ maxEntries: 3 });
    t.match(cache.stats, { maxEntries: 3, entries: 3, evictions: 7 });
    t.same(kept(cache, 10), [0, 8, 9]);
    await fill(cache, 10, 11);
    t.same(kept(cache, 11), [8, 9, 10], "the order is as before");
    cache.resize({ maxEntries: 5 });
    await fill(cache, 11, 13);
    t.same(kept(cache, 13), [8, 9, 10, 11, 12]);
    cache.invalidate(["k", 9]);
    cache.invalidate(["k", 0]);
    t.same(kept(cache, 13), [8, 10, 11, 12]);
    t.equal(cache.stats.invalidations, 1);
  });
}

t.test("resize() leaves loads that run alone, and the fence", async (t) => {
  const cache = keyedCache("c", { maxEntries: 10 });
  const loading = cache.load(["a"], () => turn().then(() => 1));
  const other = cache.load(["b"], () => turn().then(() => 2));
  cache.resize({ maxEntries: 5 });
  t.equal(cache.get(["a"]), loading);
  cache.invalidate(["b"]);
  await other;
  await turn();
  t.equal(cache.get(["a"]), loading);
  t.equal(cache.get(["b"]), undefined);
  t.match(cache.stats, { loading: 0, fenced: 1 });
});

t.test("resize() of bytes", async (t) => {
  const cache = keyedCache("c", { maxBytes: 1_000, sizeOf: () => 100 });
  await fill(cache, 0, 20);
  t.match(cache.stats, { entries: 10, bytes: 1_000 });
  cache.resize({ maxBytes: 250 });
  t.match(cache.stats, { entries: 2, bytes: 200, maxBytes: 250 });
  t.same(kept(cache, 20), [18, 19]);
  cache.resize({ maxBytes: "1KiB", maxEntries: 4 });
  await fill(cache, 20, 30);
  t.match(cache.stats, { entries: 4, bytes: 400, maxEntries: 4 });
  cache.resize({ maxBytes: 50 });
  t.match(cache.stats, { entries: 0, bytes: 0 });
});

t.test("resize() refuses what can't be, and changes nothing", async (t) => {
  const cache = keyedCache("c", { maxEntries: 10 });
  await fill(cache, 0, 10);
  for (const maxEntries of [0, -1, 1.5, NaN]) {
    t.throws(() => cache.resize({ maxEntries }), { code: "INVALID_ARGUMENT" });
  }
  t.throws(() => cache.resize({ maxBytes: "1MiB" }), {
    code: "INVALID_ARGUMENT",
    message:
      'Cannot bound the bytes of cache "c": they have not been counted; ' +
      "give it maxBytes from the beginning",
  });
  t.throws(() => cache.resize({ maxEntries: undefined }), {
    code: "INVALID_ARGUMENT",
  });
  t.match(cache.stats, { maxEntries: 10, entries: 10, maxBytes: undefined });
});

t.test("maxBytes is kept by 2 %, of what sizeOf says", async (t) => {
  for (let seed = 1; seed <= 8; seed += 1) {
    const random = seeded(seed);
    const maxBytes = 100_000;
    const sizeOf = (value: unknown) => value as number;
    const cache = keyedCache("c", { maxBytes, sizeOf, tree: seed % 2 === 0 });
    let least = maxBytes;
    for (let step = 0; step < 3_000; step += 1) {
      const key = ["k", random.below(2_000)];
      const bytes = random.below(1_000);
      if (cache.get(key) === undefined) {
        void cache.load(key, () => Promise.resolve(bytes));
      }
      if (step % 7 === 0) await turn();
      const { bytes: now = 0 } = cache.stats;
      if (now > maxBytes) t.fail(`seed ${seed}: ${now} bytes`);
      if (step > 1_500) least = Math.min(least, now);
    }
    await turn();
    let sum = 0;
    for (let number = 0; number < 2_000; number += 1) {
      const entry = cache.get(["k", number]);
      if (entry !== undefined) sum += Math.max(1, (await entry) as number);
    }
    t.equal(sum, cache.stats.bytes, "the bytes are those of the entries");
    t.ok(least > 0.98 * maxBytes, `seed ${seed}: as few as ${least}`);
  }
});

// How long entries live: times to live, and entries that say that there is nothing.

import t from "tap";
import type { CacheLimits } from "../../src/caches/cache_options.ts";
import { type Expiring, ExpiryQueue } from "../../src/caches/expiry_queue.ts";
import type { KeyedCache } from "../../src/caches/keyed_cache.ts";
import { deferred } from "../../src/runtime/waiting.ts";
import { settled } from "../support/attached.ts";
import { keyedCache } from "../support/caches.ts";
import { manualClock } from "../support/manual_clock.ts";
import { seeded } from "../support/seeded.ts";

function timed(limits: Partial<CacheLimits>) {
  const clock = manualClock();
  const cache = keyedCache("c", { maxEntries: 10, ...limits }, clock);
  return {
    clock,
    cache,
    load: async (key: string, value: unknown = key) => {
      await cache.load([key], () => Promise.resolve(value));
      await settled();
    },
    keys: (text: string) =>
      [...text].filter((key) => cache.get([key]) !== undefined).join(""),
  };
}

t.test("ttlMs: an entry is gone at the very moment, not before", async (t) => {
  for (const limits of [{}, { tree: true }, { maxBytes: 10_000 }]) {
    const { clock, cache, load, keys } = timed({ ttlMs: 100, ...limits });
    await load("a");
    clock.advance(99);
    t.equal(keys("a"), "a");
    clock.advance(0.5);
    t.equal(keys("a"), "a");
    clock.advance(0.5);
    t.equal(keys("a"), "");
    const { expirations, evictions, invalidations, entries } = cache.stats;
    t.same([expirations, evictions, invalidations, entries], [1, 0, 0, 0]);
  }
});

t.test("ttlMs: however many arguments an entry is asked for by", async (t) => {
  const ways: ((cache: KeyedCache) => unknown)[] = [
    (cache) => cache.getOne("a"),
    (cache) => cache.getTwo("a", 1),
    (cache) => cache.get(["a", 1, 2]),
  ];
  for (const ask of ways) {
    const { clock, cache } = timed({ ttlMs: 100 });
    for (const key of [["a"], ["a", 1], ["a", 1, 2]]) {
      await cache.load(key, () => Promise.resolve("A"));
    }
    await settled();
    clock.advance(99);
    t.equal(await ask(cache), "A");
    clock.advance(1);
    t.equal(ask(cache), undefined);
  }
});

t.test("ttlMs: reading an entry doesn't lengthen its life", async (t) => {
  const { clock, load, keys } = timed({ ttlMs: 100 });
  await load("a");
  for (let step = 0; step < 9; step += 1) {
    clock.advance(10);
    t.equal(keys("a"), "a");
  }
  clock.advance(10);
  t.equal(keys("a"), "");
});

t.test("ttlMs runs from the beginning of the load", async (t) => {
  const { clock, cache, keys } = timed({ ttlMs: 100 });
  const { promise, resolve } = deferred<string>();
  void cache.load(["a"], () => promise);
  clock.advance(60);
  resolve("A");
  await settled();
  clock.advance(39);
  t.equal(keys("a"), "a");
  clock.advance(1);
  t.equal(keys("a"), "");
});

t.test("ttlMs: a load that takes longer is shared, and then not kept", async (t) => {
  const { clock, cache, keys } = timed({ ttlMs: 100 });
  const { promise, resolve } = deferred<string>();
  void cache.load(["a"], () => promise);
  clock.advance(150);
  t.equal(cache.get(["a"]), promise, "one load, however long it takes");
  resolve("A");
  await settled();
  t.equal(keys("a"), "");
  t.match(cache.stats, { expirations: 1, entries: 0 });
});

t.test("ttlMs: an entry loaded anew has a time of its own", async (t) => {
  const { clock, cache, load, keys } = timed({ ttlMs: 100 });
  await load("a");
  clock.advance(50);
  cache.invalidate(["a"]);
  await load("a", "again");
  clock.advance(50);
  t.equal(keys("a"), "a", "its predecessor's time is of no account");
  t.equal(cache.stats.expirations, 0);
  clock.advance(50);
  t.equal(keys("a"), "");
  t.match(cache.stats, { expirations: 1, invalidations: 1 });
});

t.test("ttlMs: clearing forgets the times, too", async (t) => {
  const { clock, cache, load, keys } = timed({ ttlMs: 100 });
  await load("a");
  cache.clear();
  await load("a");
  clock.advance(99);
  t.equal(keys("a"), "a");
  clock.advance(1);
  t.equal(keys("a"), "");
});

t.test("ttlMs: whatever was loaded late or early, each goes in its time", async (t) => {
  const { clock, cache, keys } = timed({ ttlMs: 100, maxEntries: 100 });
  const names = "abcdefgh";
  const loads = [...names].map(() => deferred<string>());
  for (const [index, { promise }] of loads.entries()) {
    void cache.load([names.charAt(index)], () => promise);
    clock.advance(5);
  }
  // Ended in the opposite order: they are queued by their beginnings.
  for (const load of loads.toReversed()) {
    load.resolve("x");
    await settled();
  }
  clock.advance(100 - 5 * names.length);
  for (let index = 0; index < names.length; index += 1) {
    t.equal(keys(names), names.slice(index + 1));
    clock.advance(5);
  }
});

t.test("ExpiryQueue gives all whose time is over, and forgets what is gone", (t) => {
  const random = seeded(11);
  const queue = new ExpiryQueue<number>();
  const promise = Promise.resolve();
  const gone = new Set<number>();
  let model: Expiring<number>[] = [];
  let now = 0;
  let largest = 0;
  const wrong: string[] = [];
  for (let key = 0; key < 5_000; key += 1) {
    const item = { key, promise, atMs: now + 50 + random.below(20) };
    queue.add(item, ({ key }) => !gone.has(key), 20);
    model.push(item);
    // Most are gone before their time.
    if (random.below(5) > 0) gone.add(key);
    if (key % 7 === 0) now += random.below(3);
    const taken: number[] = [];
    for (let due = queue.take(now); due; due = queue.take(now)) {
      if (!gone.has(due.key)) taken.push(due.key);
    }
    const due = model.filter(({ atMs }) => atMs <= now);
    model = model.filter(({ atMs }) => atMs > now);
    const expected = due.map(({ key }) => key).filter((key) => !gone.has(key));
    taken.sort((one, other) => one - other);
    if (String(taken) !== String(expected)) wrong.push(`${key}: ${taken}`);
    largest = Math.max(largest, queue.size);
  }
  t.same(wrong, []);
  t.ok(largest < 250, `at most ${largest} were kept`);
  queue.clear();
  t.equal(queue.take(Infinity), undefined);
  t.end();
});

t.test("negative: true keeps nothing as well as anything", async (t) => {
  const { cache, load, keys } = timed({ negative: true });
  await load("a", undefined);
  await cache.load(["b"], () => Promise.resolve(null));
  await cache.load(["c"], () => Promise.resolve(undefined));
  t.equal(keys("abc"), "abc");
  t.equal(await cache.get(["b"]), null);
  t.equal(await cache.get(["c"]), undefined);
});

t.test("negative: false shares the load of nothing, and keeps it not", async (t) => {
  for (const limits of [{}, { maxBytes: 1_000, tree: true }, { ttlMs: 5 }]) {
    const { cache, load, keys } = timed({ negative: false, ...limits });
    for (const value of [undefined, null]) {
      const load = cache.load(["a"], () => Promise.resolve(value));
      t.equal(cache.get(["a"]), load);
      await settled();
      t.equal(keys("a"), "");
    }
    for (const value of [0, "", false, NaN]) {
      await load("b", value);
      t.equal(keys("b"), "b", `${String(value)} is something`);
      cache.invalidate(["b"]);
    }
    const { expirations, evictions, entries } = cache.stats;
    t.same([expirations, evictions, entries], [0, 0, 0]);
  }
});

t.test("negative: false leaves the successor alone", async (t) => {
  const { cache, load, keys } = timed({ negative: false });
  const { promise, resolve } = deferred<string | undefined>();
  void cache.load(["a"], () => promise);
  cache.invalidate(["a"]);
  await load("a", "there now");
  resolve(undefined);
  await settled();
  t.equal(keys("a"), "a");
  t.equal(await cache.get(["a"]), "there now");
});

t.test("negative: { ttlMs } is the time of nothing alone", async (t) => {
  const { clock, cache, load, keys } = timed({ negative: { ttlMs: 20 } });
  await load("a");
  await cache.load(["b"], () => Promise.resolve(undefined));
  await cache.load(["c"], () => Promise.resolve(null));
  await settled();
  clock.advance(19);
  t.equal(keys("abc"), "abc");
  clock.advance(1);
  t.equal(keys("abc"), "a");
  clock.advance(1e9);
  t.equal(keys("abc"), "a", "others live for ever");
  t.equal(cache.stats.expirations, 2);
});

t.test("negative: { ttlMs } lengthens no life", async (t) => {
  const { clock, cache, load, keys } = timed({
    ttlMs: 20,
    negative: { ttlMs: 100 },
  });
  await load("a");
  await cache.load(["b"], () => Promise.resolve(undefined));
  await settled();
  clock.advance(19);
  t.equal(keys("ab"), "ab");
  clock.advance(1);
  t.equal(keys("ab"), "");
  t.equal(cache.stats.expirations, 2);
});

t.test("negative: { ttlMs } beside ttlMs: each has its own", async (t) => {
  const { clock, cache, load, keys } = timed({
    ttlMs: 100,
    negative: { ttlMs: 20 },
  });
  await load("a");
  await cache.load(["b"], () => Promise.resolve(undefined));
  await settled();
  clock.advance(20);
  t.equal(keys("ab"), "a");
  clock.advance(80);
  t.equal(keys("ab"), "");
});

// Synapse's cases of a TTL cache and of an expiring cache, which are one here;
// and random histories, against a list that is looked through.

import fc from "fast-check";
import t from "tap";
import { TtlCache, type TtlCacheOptions } from "../../src/caches/ttl_cache.ts";
import { manualClock } from "../support/manual_clock.ts";

function start<Value = number>(
  options: Partial<TtlCacheOptions<string, Value>> = {},
) {
  const clock = manualClock();
  const cache = new TtlCache<string, Value>({
    ttlMs: 1_000,
    clock,
    ...options,
  });
  return { clock, cache };
}

t.test("A140 set() and get()", (t) => {
  const { cache } = start();
  cache.set("one", 1);
  t.equal(cache.get("one"), 1);
  t.equal(cache.get("two"), undefined);
  t.equal(cache.has("one"), true);
  t.equal(cache.delete("one"), 1);
  t.equal(cache.delete("one"), undefined);
  t.equal(cache.size, 0);
  t.end();
});

t.test("A141 beyond maxEntries the oldest goes", (t) => {
  const { cache } = start({ maxEntries: 2 });
  cache.set("a", 1);
  cache.set("b", 2);
  cache.get("a");
  cache.set("a", 3);
  cache.set("c", 4);
  t.equal(cache.has("a"), false, "got and set again, it is the oldest still");
  t.same([cache.get("b"), cache.get("c")], [2, 4]);
  t.equal(cache.stats.evictions, 1);
  t.end();
});

t.test("A142 sizes by a function: as many go as it takes", (t) => {
  const { cache } = start<number[]>({
    maxSize: 5,
    sizeOf: (value) => value.length,
  });
  cache.set("a", [1]);
  cache.set("b", [1, 2]);
  cache.set("c", [1, 2]);
  t.equal(cache.stats.size, 5);
  cache.set("d", [1, 2]);
  t.same(["a", "b", "c", "d"].filter((key) => cache.has(key)), ["c", "d"]);
  t.equal(cache.stats.size, 4);
  cache.set("c", []);
  t.equal(cache.stats.size, 2, "an empty one takes no room");
  cache.set("e", [1, 2, 3, 4, 5, 6]);
  t.match(cache.stats, { entries: 2, size: 2 }, "what can't fit moves nobody");
  cache.set("d", [1, 2, 3, 4, 5, 6]);
  t.match(cache.stats, { entries: 1, size: 0 }, "but its own place is void");
  t.end();
});

t.test("A143 entries expire, each at its time", (t) => {
  const { clock, cache } = start();
  cache.set("a", 1);
  clock.advance(500);
  cache.set("b", 2);
  t.equal(cache.get("a"), 1);
  clock.advance(900);
  t.same([cache.get("a"), cache.get("b")], [undefined, 2]);
  clock.advance(1_000);
  t.same([cache.get("a"), cache.get("b")], [undefined, undefined]);
  t.equal(cache.stats.expirations, 2);
  t.end();
});

t.test("refreshOnGet: an entry lives on while it is got", (t) => {
  const { clock, cache } = start({ refreshOnGet: true });
  cache.set("a", 1);
  cache.set("b", 2);
  for (let times = 0; times < 5; times += 1) {
    clock.advance(600);
    t.equal(cache.get("a"), 1);
  }
  t.equal(cache.size, 1);
  clock.advance(1_000);
  t.equal(cache.size, 0);
  t.end();
});

t.test("A145 get() and getWithExpiry()", (t) => {
  const { clock, cache } = start();
  const nowMs = clock.monotonicMs();
  cache.set("one", 1, 10_000);
  cache.set("two", 2, 20_000);
  cache.set("three", 3, 30_000);
  t.equal(cache.size, 3);
  t.equal(cache.get("one"), 1);
  t.equal(cache.get("two"), 2);
  const three = { value: 3, expiresMs: nowMs + 30_000, ttlMs: 30_000 };
  t.same(cache.getWithExpiry("three"), three);
  t.equal(cache.get("one"), 1);
  for (let times = 0; times < 4; times += 1) cache.get("none");
  t.equal(cache.getWithExpiry("none"), undefined);
  t.match(cache.stats, { hits: 4, misses: 5 });
  t.end();
});

t.test("A146 at its time exactly an entry is gone", (t) => {
  const { clock, cache } = start();
  cache.set("one", 1, 10_000);
  cache.set("two", 2, 20_000);
  clock.advance(9_999);
  t.equal(cache.get("one"), 1);
  clock.advance(1);
  t.equal(cache.get("one"), undefined);
  t.equal(cache.get("two"), 2);
  t.equal(cache.size, 1);
  clock.advance(10_000);
  t.equal(cache.size, 0);
  cache.set("none", 0, 0);
  t.equal(cache.get("none"), undefined, "a time of 0 is over");
  t.end();
});

t.test("resize() and clear()", (t) => {
  const { cache } = start();
  for (const key of ["a", "b", "c"]) cache.set(key, 1);
  cache.resize({ maxEntries: 2 });
  t.equal(cache.has("a"), false);
  cache.resize({ maxSize: 1 });
  t.equal(cache.size, 1);
  cache.clear();
  t.match(cache.stats, { entries: 0, size: 0 });
  t.end();
});

t.test("what can't be", (t) => {
  const { cache } = start<number>({ sizeOf: (value) => value });
  for (const ttlMs of [NaN, -1, Infinity]) {
    t.throws(() => cache.set("a", 1, ttlMs), { code: "INVALID_ARGUMENT" });
    t.throws(() => new TtlCache({ ttlMs }), { code: "INVALID_ARGUMENT" });
  }
  for (const size of [NaN, -1]) {
    t.throws(() => cache.set("a", size), { code: "INVALID_ARGUMENT" });
  }
  t.equal(cache.size, 0, "a refused one changes nothing");
  t.throws(() => new TtlCache({ ttlMs: 1, maxEntries: 0 }), {
    code: "INVALID_ARGUMENT",
  });
  t.end();
});

t.test("holds what a list that is looked through holds", (t) => {
  const key = fc.constantFrom("a", "b", "c", "d", "e");
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.tuple(fc.constant("set"), key, fc.nat(20)) },
    { weight: 3, arbitrary: fc.tuple(fc.constant("get"), key, fc.nat(0)) },
    fc.tuple(fc.constant("delete"), key, fc.nat(0)),
    { weight: 2, arbitrary: fc.tuple(fc.constant("wait"), key, fc.nat(8)) },
  );
  let most = 0;
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 300, size: "max" }),
      fc.integer({ min: 1, max: 5 }),
      fc.boolean(),
      (steps, maxEntries, refreshOnGet) => {
        const { clock, cache } = start({ maxEntries, refreshOnGet });
        let model: { key: string; value: number; ttl: number; end: number }[] =
          [];
        for (const [index, [is, key, ms]] of steps.entries()) {
          const nowMs = clock.monotonicMs();
          model = model.filter(({ end }) => end > nowMs);
          const entry = model.find((each) => each.key === key);
          if (is === "wait") clock.advance(ms);
          else if (is === "set") {
            cache.set(key, index, ms);
            const set = { value: index, ttl: ms, end: nowMs + ms };
            if (entry !== undefined) Object.assign(entry, set);
            else model.push({ key, ...set });
            model = model.slice(-maxEntries);
          } else if (is === "delete") {
            if (cache.delete(key) !== entry?.value) return false;
            model = model.filter((each) => each !== entry);
          } else {
            if (cache.get(key) !== entry?.value) return false;
            if (entry && refreshOnGet) entry.end = nowMs + entry.ttl;
          }
        }
        const left = model.filter(({ end }) => end > clock.monotonicMs());
        most = Math.max(most, steps.length);
        return cache.size === left.length &&
          left.every(({ key, value }) => cache.get(key) === value);
      },
    ),
    { numRuns: 200 },
  );
  t.ok(most > 128, "long enough for the heap to be looked through");
  t.end();
});

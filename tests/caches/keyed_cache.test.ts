// One cache, against the simplest thing that could be one: a Map whose order
// is that of use. Loads end in any order, long after their entry has gone.

import process from "node:process";
import t from "tap";
import { keyedCache } from "../support/caches.ts";
import { type Deferred, deferred } from "../../src/runtime/waiting.ts";
import type { KeyPart } from "../../src/streams/builtin_streams.ts";
import { seeded } from "../support/seeded.ts";

/** Keys that a careless join, or a careless conversion, would mix up. */
const KEYS: readonly (readonly KeyPart[])[] = [
  [],
  [null],
  [1],
  ["1"],
  [true],
  ["true"],
  [false],
  [0],
  [""],
  ["null"],
  ["a"],
  ["a", null],
  ["a", "b"],
  ["a", "b", null],
  ["a\u0000b"],
  ["a,b"],
  ['["a","b"]'],
  ["a", 1],
  ["a", "1"],
  ["a", true],
];

t.test("KeyedCache tells every key from every other one", async (t) => {
  const cache = keyedCache("c", { maxEntries: 100 });
  for (const key of KEYS) {
    const text = JSON.stringify(key);
    t.equal(cache.get(key), undefined, `${text} is new`);
    void cache.load(key, () => Promise.resolve(text));
  }
  for (const key of KEYS) {
    t.equal(await cache.get(key), JSON.stringify(key));
  }
  for (const [index, key] of KEYS.entries()) {
    cache.invalidate(key);
    t.equal(cache.stats.entries, KEYS.length - index - 1);
    t.equal(cache.get(key), undefined);
  }
});

t.test("KeyedCache.invalidateOne() is invalidate() of one part", (t) => {
  for (const part of ["a", "", 1, 0, true, false, null]) {
    const cache = keyedCache("c", { maxEntries: 10 });
    void cache.load([part], () => Promise.resolve(1));
    void cache.load([part, part], () => Promise.resolve(2));
    cache.invalidateOne(part);
    t.equal(cache.get([part]), undefined, String(part));
    t.not(cache.get([part, part]), undefined, String(part));
    cache.invalidateOne(part);
    t.equal(cache.stats.invalidations, 1, "what isn't there isn't counted");
  }
  t.end();
});

t.test("KeyedCache.load() keeps the load itself, from its beginning", async (t) => {
  const cache = keyedCache("c", { maxEntries: 10 });
  const { promise, resolve } = deferred<number>();
  t.equal(cache.load(["a"], () => promise), promise);
  t.equal(cache.get(["a"]), promise);
  resolve(1);
  await promise;
  t.equal(cache.get(["a"]), promise);
});

t.test("KeyedCache.load() doesn't keep what fails", async (t) => {
  const cache = keyedCache("c", { maxEntries: 10 });
  for (const key of [["a"], ["a", "b"], [null], []]) {
    const failing = cache.load(key, () => Promise.reject(new RangeError("no")));
    t.equal(cache.get(key), failing, "shared while it runs");
    await t.rejects(failing, { message: "no" });
    t.equal(cache.get(key), undefined);
  }
  t.throws(() =>
    cache.load(["sync"], () => {
      throw new RangeError("at once");
    }), { message: "at once" });
  t.equal(cache.stats.entries, 0);
});

t.test("KeyedCache: a load that fails late leaves its successor alone", async (t) => {
  const cache = keyedCache("c", { maxEntries: 10 });
  for (const key of [["a"], ["a", "b"]]) {
    const first = deferred<number>();
    const failing = cache.load(key, () => first.promise);
    cache.invalidate(key);
    const second = cache.load(key, () => Promise.resolve(2));
    first.reject(new RangeError("late"));
    await t.rejects(failing);
    t.equal(cache.get(key), second);
  }
});

t.test("KeyedCache.load() refuses what can't be a key, and starts nothing", (t) => {
  const cache = keyedCache("getUser", { maxEntries: 10 });
  const bad: [unknown, string][] = [
    [NaN, "NaN"],
    [Infinity, "Infinity"],
    [{}, "an object"],
    [["a"], "an object"],
    [Symbol("s"), "Symbol(s)"],
  ];
  for (const [part, shown] of bad) {
    for (const key of [[part], ["a", part]]) {
      t.equal(cache.get(key as KeyPart[]), undefined);
      t.throws(
        () =>
          cache.load(key as KeyPart[], () => {
            throw new RangeError("was started");
          }),
        {
          code: "KEY_INVALID",
          message:
            `Cannot use argument ${key.length} of "getUser" as a key: it is ${shown}; ` +
            "give a string, a finite number, a bigint, a boolean, null or undefined",
        },
        shown,
      );
    }
  }
  t.match(cache.stats, { entries: 0, misses: 0, hits: 0 });
  t.end();
});

t.test("KeyedCache() refuses a maxEntries that is no positive integer", (t) => {
  for (const maxEntries of [0, -1, 1.5, NaN, Infinity, "5"]) {
    const shown = maxEntries === "5" ? '"5"' : maxEntries;
    t.throws(() => keyedCache("c", { maxEntries: maxEntries as number }), {
      code: "INVALID_ARGUMENT",
      message:
        `Cannot create cache "c": maxEntries is ${shown}; give a positive integer`,
    });
  }
  t.end();
});

t.test("KeyedCache behaves like a Map in the order of use", async (t) => {
  const wrong: string[] = [];
  for (let seed = 1; seed <= 60; seed += 1) {
    const problem = await compareWithModel(seed, 400);
    if (problem !== undefined) wrong.push(`seed ${seed}: ${problem}`);
  }
  t.same(wrong, []);
});

t.test("KeyedCache: the place of an invalidated key goes before any entry", async (t) => {
  const cache = keyedCache("c", { maxEntries: 3 });
  const load = (key: string) => cache.load([key], () => Promise.resolve(key));
  const keys = () => [...cache.entries.keys(true)];
  for (const key of ["a", "b", "c"]) await load(key);
  cache.invalidateOne("b");
  cache.invalidateOne("b");
  t.equal(cache.get(["b"]), undefined);
  t.same(keys(), ["a", "c"]);
  await load("d");
  t.same(keys(), ["a", "c", "d"], "none is evicted for it");
  await load("b");
  t.same(keys(), ["c", "d", "b"]);
  cache.invalidateOne("d");
  await load("d");
  t.same(keys(), ["c", "b", "d"], "it comes back as the one used last");
  cache.invalidateOne("c");
  cache.resize({ maxEntries: 2 });
  t.same(keys(), ["b", "d"]);
  const { evictions, invalidations, entries } = cache.stats;
  t.same([evictions, invalidations, entries], [1, 3, 2]);
  const seen: unknown[] = [];
  for (const key of cache.entries.keys(true)) {
    seen.push(key);
    cache.invalidateOne(String(key));
  }
  t.same(seen, ["b"], "it ends at one that goes while it rests there");
});

t.test("KeyedCache keeps nothing of the entries that went", async (t) => {
  const cache = keyedCache("c", { maxEntries: 10 });
  const padding = "x".repeat(20_000);
  const before = process.memoryUsage().heapUsed;
  for (let number = 0; number < 20_000; number += 1) {
    await cache.load(["room", `${number}${padding}`], () => Promise.resolve(1));
    if (number % 3 === 0) cache.invalidate(["room", `${number}${padding}`]);
    if (number % 1_000 === 0) cache.clear();
  }
  cache.clear();
  for (let number = 0; number < 20_000; number += 1) {
    await cache.load([`${number}${padding}`], () => Promise.resolve(1));
    cache.invalidateOne(`${number}${padding}`);
  }
  const grown = process.memoryUsage().heapUsed - before;
  // Kept, they would take 400 MB each time.
  t.ok(grown < 200e6, `grown by ${grown} bytes`);
  t.equal(cache.stats.entries, 0);
});

interface Model {
  readonly entries: Map<string, Promise<unknown>>;
  hits: number;
  misses: number;
  evictions: number;
  invalidations: number;
}

/** Does the same to a cache and to the model; tells the first difference. */
async function compareWithModel(
  seed: number,
  steps: number,
): Promise<string | undefined> {
  const random = seeded(seed);
  let maxEntries = 1 + random.below(KEYS.length + 2);
  const cache = keyedCache("c", { maxEntries });
  const model: Model = {
    entries: new Map(),
    hits: 0,
    misses: 0,
    evictions: 0,
    invalidations: 0,
  };
  const loads: [string, Deferred<unknown>][] = [];
  for (let step = 0; step < steps; step += 1) {
    const key = random.pick(KEYS);
    const text = JSON.stringify(key);
    const action = random.below(20);
    if (action < 12) {
      const found = cache.get(key);
      if (found !== readModel(model, text)) return `get ${text} at ${step}`;
      if (found === undefined) {
        const load = deferred<unknown>();
        load.promise.catch(() => {});
        loads.push([text, load]);
        void cache.load(key, () => load.promise);
        loadModel(model, text, load.promise, maxEntries);
      }
    } else if (action < 15) {
      // A single part leaves its place behind, which is to show nowhere.
      const [part = null] = key;
      if (key.length === 1 && step % 2 === 0) cache.invalidateOne(part);
      else cache.invalidate(key);
      if (model.entries.delete(text)) model.invalidations += 1;
    } else if (action < 19 && loads.length > 0) {
      const [[name, load]] = loads.splice(random.below(loads.length), 1) as [
        [string, Deferred<unknown>],
      ];
      if (random.below(3) === 0) {
        load.reject(new RangeError("no"));
        await new Promise((resolve) => setImmediate(resolve));
        if (model.entries.get(name) === load.promise) {
          model.entries.delete(name);
        }
      } else load.resolve(step);
    } else if (action === 19 && random.below(4) === 0) {
      cache.clear();
      model.invalidations += model.entries.size;
      model.entries.clear();
    } else if (action === 19) {
      maxEntries = 1 + random.below(KEYS.length + 2);
      cache.resize({ maxEntries });
      trimModel(model, maxEntries);
    }
    const listed = [...cache.entries.keys(true)].length;
    if (listed !== model.entries.size) return `${listed} keys at ${step}`;
    const expected = {
      name: "c",
      entries: model.entries.size,
      maxEntries,
      hits: model.hits,
      misses: model.misses,
      evictions: model.evictions,
      invalidations: model.invalidations,
    };
    const {
      name,
      entries,
      maxEntries: max,
      hits,
      misses,
      evictions,
      invalidations,
    } = cache.stats;
    const actual = JSON.stringify({
      name,
      entries,
      maxEntries: max,
      hits,
      misses,
      evictions,
      invalidations,
    });
    if (actual !== JSON.stringify(expected)) {
      return `stats at ${step}: ${actual}, not ${JSON.stringify(expected)}`;
    }
  }
  return undefined;
}

function readModel(model: Model, text: string): Promise<unknown> | undefined {
  const entry = model.entries.get(text);
  if (entry === undefined) return undefined;
  model.hits += 1;
  model.entries.delete(text);
  model.entries.set(text, entry);
  return entry;
}

function loadModel(
  model: Model,
  text: string,
  load: Promise<unknown>,
  maxEntries: number,
): void {
  model.misses += 1;
  model.entries.set(text, load);
  trimModel(model, maxEntries);
}

function trimModel(model: Model, maxEntries: number): void {
  for (const oldest of [...model.entries.keys()].slice(0, -maxEntries)) {
    model.entries.delete(oldest);
    model.evictions += 1;
  }
}

t.test("KeyedCache: a bigint is invalidated by its text, or refused", (t) => {
  const cache = keyedCache("c", { maxEntries: 10 });
  const longest = 10n ** 1_000n - 1n;
  for (const part of [longest, -longest]) {
    void cache.load([part], () => Promise.resolve(1));
    cache.invalidate([String(part)]);
    t.equal(cache.get([part]), undefined);
  }
  for (const part of [longest + 1n, -longest - 1n]) {
    t.throws(() => cache.load([part], () => Promise.resolve(1)), {
      code: "KEY_INVALID",
    });
  }
  t.end();
});

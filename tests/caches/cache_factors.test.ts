// Factors: by how much caches are larger or smaller than was written.

import t from "tap";
import { canonicalName } from "../../src/caches/cache_factors.ts";
import type { CacheFactorOptions } from "../../src/caches/cache_factors.ts";
import type { CacheLimits } from "../../src/caches/cache_options.ts";
import { CacheRegistry } from "../../src/caches/cache_registry.ts";
import { CacheSizes } from "../../src/caches/cache_sizes.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import { systemClock } from "../../src/runtime/clock.ts";

function open(
  options: CacheFactorOptions,
  variables: Readonly<Record<string, string>> = {},
) {
  const sizes = new CacheSizes(options, variables);
  const registry = new CacheRegistry([], silentLogger, systemClock, sizes);
  const create = (name: string, maxEntries: number, more: CacheLimits = {}) => {
    const cache = registry.create(name, { maxEntries, ...more });
    return () => cache.stats.maxEntries;
  };
  return { registry, create };
}

t.test("A106 a cache of 10 with a factor of its own of 10 holds 100", (t) => {
  const { registry } = open({ cacheFactors: { mycache: 10 } });
  const cache = registry.create("mycache", { maxEntries: 10 });
  for (let key = 0; key < 150; key += 1) {
    void cache.load([key], () => Promise.resolve(key));
  }
  t.match(cache.stats, { maxEntries: 100, entries: 100, evictions: 50 });
  t.end();
});

t.test("A260 a cache's factor from the environment", (t) => {
  const { create } = open({}, {
    HEADWATER_CACHE_FACTOR_SOMETHING_OR_OTHER: "2",
  });
  t.equal(create("something_or_other", 100)(), 200);
  t.equal(create("another", 100)(), 100);
  t.end();
});

t.test("A261 the environment takes precedence over what the program says", (t) => {
  const { registry, create } = open(
    { cacheFactor: 4, cacheFactors: { getUser: 3, getTag: 7 } },
    { HEADWATER_CACHE_FACTOR_GETUSER: "2", HEADWATER_CACHE_FACTOR: "0.5" },
  );
  const [user, room] = [create("getUser", 100), create("getRoom", 100)];
  t.same([user(), room()], [200, 50]);
  t.equal(create("getTag", 100)(), 700, "the common one is of the others only");
  registry.resize({ cacheFactor: 8, cacheFactors: { getUser: 8 } });
  t.same([user(), room()], [200, 50], "later, too");
  t.end();
});

t.test("A262 a cache made before its factor is set gets it", (t) => {
  const { registry, create } = open({ cacheFactor: 0.5 });
  const size = create("foo", 100);
  t.equal(size(), 50);
  registry.resize({ cacheFactors: { foo: 3 } });
  t.equal(size(), 300);
  t.end();
});

t.test("A263 a cache made after its factor is set has it", (t) => {
  const { registry, create } = open({ cacheFactor: 0.5 });
  registry.resize({ cacheFactors: { foo: 2 } });
  t.equal(create("foo", 100)(), 200);
  t.end();
});

t.test("A264 a cache made before the common factor is set gets it", (t) => {
  const { registry, create } = open({ cacheFactor: 0.5 });
  const size = create("foo", 100);
  t.equal(size(), 50);
  registry.resize({ cacheFactor: 4 });
  t.equal(size(), 400);
  t.end();
});

t.test("A265 a cache made after the common factor is set has it", (t) => {
  const { registry, create } = open({ cacheFactor: 0.5 });
  registry.resize({ cacheFactor: 1.5 });
  t.equal(create("foo", 100)(), 150);
  t.end();
});

t.test("A266 what is no letter, digit or _ in a name is of no account, nor is case", (t) => {
  const { create } = open({
    cacheFactors: { "*cache_a*": 5, cache_b: 6, cache_c: 2 },
  }, { HEADWATER_CACHE_FACTOR_CACHE_C: "3" });
  t.equal(create("*cache_a*", 100)(), 500);
  t.equal(create("*Cache_b*", 100)(), 600);
  t.equal(create("*cache_c*", 100)(), 300);
  t.equal(canonicalName("page.10"), "page10", "0 is a digit like any other");
  t.end();
});

t.test("A267 a cache that is to have the size that is written has it", (t) => {
  const { registry, create } = open({
    cacheFactor: 10,
    cacheFactors: { e: 3 },
  });
  const size = create("e", 100, { fixedSize: true });
  t.equal(size(), 100);
  registry.resize({ cacheFactor: 4, cacheFactors: { e: 4 } });
  t.equal(size(), 100);
  registry.resize({ caches: { e: { maxEntries: 7 } } });
  t.equal(size(), 7, "unless its own bounds are changed");
  t.end();
});

t.test("Factors apply to bytes, and to bounds that are changed", (t) => {
  const { registry } = open({ cacheFactor: 2 });
  const cache = registry.create("c", { maxBytes: "1MiB", sizeOf: () => 1_024 });
  t.equal(cache.stats.maxBytes, 2 * 1024 ** 2);
  registry.resize({ caches: { c: { maxBytes: "10KiB" } } });
  t.equal(cache.stats.maxBytes, 20 * 1024);
  registry.resize({ cacheFactor: 0.00001 });
  t.equal(cache.stats.maxBytes, 1, "a bound stays a bound");
  t.end();
});

t.test("Factors that can't be are refused, and change nothing", (t) => {
  for (const factor of [0, -1, NaN, Infinity]) {
    for (
      const options of [{ cacheFactor: factor }, {
        cacheFactors: { a: factor },
      }]
    ) {
      t.throws(() => open(options), { code: "INVALID_ARGUMENT" });
      const { registry, create } = open({ cacheFactor: 2 });
      const size = create("a", 100);
      t.throws(() => registry.resize(options), { code: "INVALID_ARGUMENT" });
      t.equal(size(), 200);
    }
  }
  t.throws(() => open({}, { HEADWATER_CACHE_FACTOR_A: "much" }), {
    code: "INVALID_ARGUMENT",
    message: "Cannot size caches: HEADWATER_CACHE_FACTOR_A is NaN; " +
      "give a positive number",
  });
  const { registry, create } = open({});
  const size = create("a", 100);
  t.throws(
    () => registry.resize({ cacheFactor: 2, caches: { b: { maxEntries: 1 } } }),
    {
      code: "INVALID_ARGUMENT",
      message: 'Cannot resize cache "b": there is none; the caches are a',
    },
  );
  t.throws(
    () => registry.resize({ cacheFactor: 2, caches: { a: { maxEntries: 0 } } }),
    {
      code: "INVALID_ARGUMENT",
    },
  );
  t.throws(() => registry.resize({ cacheFactor: 2, cacheMemory: "1MiB" }), {
    code: "INVALID_ARGUMENT",
    message: "Cannot give caches 1MiB to share: they have not counted their " +
      "bytes; open the store with cacheMemory",
  });
  t.equal(size(), 100);
  t.end();
});

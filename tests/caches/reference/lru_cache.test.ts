// Acceptance cases of the LRU and of trees, by number. What has no equal here,
// and why, is in README.md.

import t from "tap";
import { CacheRegistry } from "../../../src/caches/cache_registry.ts";
import { cached } from "../../../src/caches/cached.ts";
import type { CachedOptions } from "../../../src/caches/cached_options.ts";
import type { KeyArgument } from "../../../src/caches/key_parts.ts";
import type { KeyedCache } from "../../../src/caches/keyed_cache.ts";
import { silentLogger } from "../../../src/runtime/logger.ts";
import type { KeyPart } from "../../../src/streams/builtin_streams.ts";
import { attachStore, HeldStore, settled } from "../../support/attached.ts";
import { keyedCache } from "../../support/caches.ts";

type Key = readonly KeyArgument[];

async function fill(cache: KeyedCache, key: Key, value: unknown) {
  await cache.load(key, () => Promise.resolve(value));
  await settled();
}

/** A cache that notes what its `onInvalidate` is asked. */
function noted(limits: Omit<CachedOptions, "onInvalidate"> = {}) {
  const asked: unknown[] = [];
  const registry = new CacheRegistry([], silentLogger);
  const cache = registry.create("c", {
    maxEntries: 10,
    ...limits,
    onInvalidate: (key) => {
      asked.push(key);
      return [];
    },
  });
  return { cache, asked };
}

const has = (cache: KeyedCache, ...key: Key) => cache.get(key) !== undefined;

t.test("A100: what is loaded is found again, as a single argument and as a list", async (t) => {
  const cache = keyedCache("c", { maxEntries: 10 });
  t.equal(cache.get(["key"]), undefined);
  await fill(cache, ["key"], "value");
  t.equal(await cache.get(["key"]), "value");
  await fill(cache, ["key", 1], "other");
  t.equal(await cache.get(["key", 1]), "other");
  t.equal(await cache.get(["key"]), "value");
});

t.test("A101: with room for two, the third evicts the least recently used", async (t) => {
  const cache = keyedCache("c", { maxEntries: 2 });
  for (const [key, value] of [["1", 1], ["2", 2], ["3", 3]] as const) {
    await fill(cache, [key], value);
  }
  t.equal(cache.get(["1"]), undefined);
  t.equal(await cache.get(["2"]), 2);
  t.equal(await cache.get(["3"]), 3);
});

t.test("A102: what is there is given rather than loaded; another value needs an invalidation", async (t) => {
  class Counter extends HeldStore {
    value = 0;
    @cached({ maxEntries: 1 })
    count(_key: string): Promise<number> {
      return Promise.resolve(this.value += 1);
    }
  }
  const { store, caches } = attachStore(Counter);
  t.equal(await store.count("key"), 1);
  t.equal(await store.count("key"), 1);
  caches.apply("count", ["key"]);
  t.equal(await store.count("key"), 2);
});

t.test("A103: what is invalidated is gone, once", async (t) => {
  const cache = keyedCache("c", { maxEntries: 10 });
  await fill(cache, ["key"], "value");
  t.equal(await cache.get(["key"]), "value");
  cache.invalidate(["key"]);
  t.equal(cache.get(["key"]), undefined);
  cache.invalidate(["key"]);
  t.equal(cache.stats.invalidations, 1);
});

async function fillAnimals(cache: KeyedCache) {
  await fill(cache, ["animal", "cat"], "mew");
  await fill(cache, ["animal", "dog"], "woof");
  await fill(cache, ["vehicles", "car"], "vroom");
  await fill(cache, ["vehicles", "train"], "chuff");
}

t.test("A104: a prefix of a tree removes what begins so", async (t) => {
  const cache = keyedCache("c", { maxEntries: 10, tree: true });
  await fillAnimals(cache);
  t.equal(cache.stats.entries, 4);
  t.equal(await cache.get(["animal", "cat"]), "mew");
  t.equal(await cache.get(["vehicles", "car"]), "vroom");
  cache.invalidate(["animal"]);
  t.equal(cache.stats.entries, 2);
  t.notOk(has(cache, "animal", "cat"));
  t.notOk(has(cache, "animal", "dog"));
  t.equal(await cache.get(["vehicles", "car"]), "vroom");
  t.equal(await cache.get(["vehicles", "train"]), "chuff");
});

t.test("A105: clear() leaves nothing", async (t) => {
  const cache = keyedCache("c", { maxEntries: 10 });
  await fill(cache, ["key"], 1);
  t.equal(cache.stats.entries, 1);
  cache.clear();
  t.equal(cache.stats.entries, 0);
});

t.test("A107, A109: dependents are told once, of the invalidation, not of the next value", async (t) => {
  for (const next of ["same", "different"]) {
    const { cache, asked } = noted();
    await fill(cache, ["key"], "same");
    void cache.get(["key"]);
    t.same(asked, []);
    cache.invalidate(["key"]);
    t.same(asked, [["key"]]);
    await fill(cache, ["key"], next);
    void cache.get(["key"]);
    t.same(asked, [["key"]], "neither an equal nor a different one");
  }
});

t.test("A108: however many have called, dependents are told once", async (t) => {
  const { cache, asked } = noted();
  await fill(cache, ["key"], "value");
  for (let call = 0; call < 3; call += 1) void cache.get(["key"]);
  cache.invalidate(["key"]);
  t.same(asked, [["key"]]);
});

t.test("A110: each invalidation tells dependents once", async (t) => {
  const { cache, asked } = noted();
  await fill(cache, ["key"], "value");
  cache.invalidateOne("key");
  t.same(asked, [["key"]]);
});

t.test("A111: a prefix tells dependents of itself, and of nothing else", async (t) => {
  const { cache, asked } = noted({ tree: true });
  await fillAnimals(cache);
  cache.invalidate(["animal"]);
  t.same(asked, [["animal"]]);
  t.ok(has(cache, "vehicles", "car"));
});

t.test("A112: clear() tells dependents of the whole cache", async (t) => {
  const { cache, asked } = noted();
  await fill(cache, ["key1"], 1);
  await fill(cache, ["key2"], 2);
  cache.clear();
  t.same(asked, [null]);
});

t.test("A113: reading refreshes; an eviction makes no dependent wrong, and tells none", async (t) => {
  const { cache, asked } = noted({ maxEntries: 2 });
  await fill(cache, ["key1"], 1);
  await fill(cache, ["key2"], 2);
  void cache.get(["key1"]);
  await fill(cache, ["key3"], 3);
  t.same([..."123"].map((n) => has(cache, `key${n}`)), [true, false, true]);
  t.same(asked, []);
  cache.invalidate(["key2"]);
  t.same(asked, [["key2"]], "the evicted entry's dependents are reached still");
});

t.test("A114: sizes are added up, and the oldest go for the new", async (t) => {
  const cache = keyedCache("c", {
    maxBytes: 5,
    sizeOf: (value) => (value as unknown[]).length,
  });
  await fill(cache, ["key1"], [0]);
  await fill(cache, ["key2"], [1, 2]);
  await fill(cache, ["key3"], [3]);
  await fill(cache, ["key4"], [4]);
  t.same(await cache.get(["key1"]), [0]);
  t.same(await cache.get(["key2"]), [1, 2]);
  t.same(await cache.get(["key3"]), [3]);
  t.same(await cache.get(["key4"]), [4]);
  t.equal(cache.stats.bytes, 5);
  await fill(cache, ["key5"], [5, 6]);
  t.same(
    [1, 2, 3, 4, 5].map((n) => has(cache, `key${n}`)),
    [false, false, true, true, true],
  );
  t.equal(cache.stats.bytes, 4);
});

t.test("A115: an entry of size 0 takes 1, so that there is an end to them", async (t) => {
  const cache = keyedCache("c", { maxBytes: 3, sizeOf: () => 0 });
  for (let key = 0; key < 10; key += 1) await fill(cache, [key], "");
  t.match(cache.stats, { entries: 3, bytes: 3, evictions: 7 });
  cache.invalidate([9]);
  t.match(cache.stats, { entries: 2, bytes: 2 });
});

t.test("A118, A119: a key's first part as its index: one index drops all its entries, and is no key itself", (t) => {
  class Events extends HeldStore {
    readonly rooms = new Map([["k1", "i1"], ["k2", "i1"], ["k3", "i2"]]);
    @cached({
      maxEntries: 10,
      tree: true,
      keyOf: (id: string, room: string) => [room, id],
    })
    getEvent(id: string, room: string): Promise<string> {
      return this.begin(id, room);
    }
  }
  const { store, caches, stats } = attachStore(Events);
  for (const [id, room] of store.rooms) void store.getEvent(id, room);
  caches.apply("getEvent", ["k1"]);
  t.equal(stats("getEvent")?.entries, 3, "a key is no index");
  caches.apply("getEvent", ["i1"]);
  t.equal(stats("getEvent")?.entries, 1);
  for (const [id, room] of store.rooms) void store.getEvent(id, room);
  t.same(store.texts.slice(3), ["k1 i1", "k2 i1"]);
  t.end();
});

const tree = () => keyedCache("c", { maxEntries: 10, tree: true });

t.test("A120: a tree of one level", async (t) => {
  const cache = tree();
  await fill(cache, ["a"], "A");
  await fill(cache, ["b"], "B");
  t.equal(await cache.get(["a"]), "A");
  t.equal(await cache.get(["b"]), "B");
  t.equal(cache.stats.entries, 2);
});

t.test("A121: a tree of one level: what is dropped, and what isn't there", async (t) => {
  const cache = tree();
  await fill(cache, ["a"], "A");
  await fill(cache, ["b"], "B");
  cache.invalidate(["a"]);
  cache.invalidate(["missing"]);
  t.notOk(has(cache, "a"));
  t.equal(await cache.get(["b"]), "B");
  t.match(cache.stats, { entries: 1, invalidations: 1 });
});

/** Four leaves of two levels. */
async function fillTwo(cache: KeyedCache) {
  await fill(cache, ["a", "a"], "AA");
  await fill(cache, ["a", "b"], "AB");
  await fill(cache, ["b", "a"], "BA");
}

t.test("A122: a tree of two levels", async (t) => {
  const cache = tree();
  await fillTwo(cache);
  t.equal(await cache.get(["a", "a"]), "AA");
  t.equal(await cache.get(["a", "b"]), "AB");
  t.equal(await cache.get(["b", "a"]), "BA");
  t.equal(cache.stats.entries, 3);
});

t.test("A123: a tree of two levels: what is dropped, and what isn't there", async (t) => {
  const cache = tree();
  await fillTwo(cache);
  cache.invalidate(["a", "a"]);
  cache.invalidate(["a", "missing"]);
  cache.invalidate(["missing", "a"]);
  t.notOk(has(cache, "a", "a"));
  t.equal(await cache.get(["a", "b"]), "AB");
  t.match(cache.stats, { entries: 2, invalidations: 1 });
});

t.test("A124: a prefix drops its leaves, and counts each", async (t) => {
  const cache = tree();
  await fillTwo(cache);
  cache.invalidate(["a"]);
  t.match(cache.stats, { entries: 1, invalidations: 2 });
  t.equal(await cache.get(["b", "a"]), "BA");
});

t.test("A125: a tree is cleared", async (t) => {
  const cache = tree();
  await fillTwo(cache);
  cache.clear();
  t.equal(cache.stats.entries, 0);
  t.notOk(has(cache, "a", "a"));
});

t.test("A126: only whole keys are there; shorter and longer ones are not", async (t) => {
  const cache = tree();
  await fillTwo(cache);
  const keys: KeyPart[][] = [["a"], ["a", "a", "a"], [], ["c"], ["a", "c"]];
  t.same(keys.map((key) => cache.get(key)), keys.map(() => undefined));
  t.ok(has(cache, "a", "a"));
});

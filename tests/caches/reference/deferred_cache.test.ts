// Acceptance cases of loads under way, by number. What has no equal here, and
// why, is in README.md.

import t from "tap";
import { CacheRegistry } from "../../../src/caches/cache_registry.ts";
import { cachedFunction } from "../../../src/caches/cached_function.ts";
import { cachedListFunction } from "../../../src/caches/cached_list.ts";
import { silentLogger } from "../../../src/runtime/logger.ts";
import { deferred } from "../../../src/runtime/waiting.ts";
import { attachStore, HeldStore, settled } from "../../support/attached.ts";
import { keyedCache } from "../../support/caches.ts";

/** A cache that notes what its `onInvalidate` is asked. */
function noted() {
  const asked: unknown[] = [];
  const registry = new CacheRegistry([], silentLogger);
  const cache = registry.create("c", {
    maxEntries: 10,
    onInvalidate: (key) => {
      asked.push(key);
      return [];
    },
  });
  return { cache, asked };
}

t.test("A150: an empty cache has nothing", (t) => {
  const cache = keyedCache("c", { maxEntries: 1 });
  t.equal(cache.get(["foo"]), undefined);
  t.equal(cache.stats.misses, 0, "only what is loaded is a miss");
  t.end();
});

t.test("A151, A190: what a list has loaded needs no call", async (t) => {
  const { store } = attachStore(HeldStore);
  const getOne = cachedFunction(
    { store, name: "one", maxEntries: 10 },
    (_key: string): Promise<number | undefined> => {
      throw new RangeError("was called");
    },
  );
  const getMany = cachedListFunction(
    getOne,
    (keys: readonly string[]) => Promise.resolve(new Map([[keys[0], 123]])),
  );
  await getMany(["foo"]);
  t.equal(await getOne("foo"), 123);
});

t.test("A152: who asks while it loads waits, and hears of it after who asked first", async (t) => {
  const cache = keyedCache("c", { maxEntries: 10 });
  const { promise, resolve } = deferred<string>();
  const heard: string[] = [];
  const listen = (who: string, load: Promise<unknown> | undefined) =>
    load?.then((value) => heard.push(`${who} ${value}`));
  void listen("setter", cache.load(["key"], () => promise));
  void listen("getter 1", cache.get(["key"]));
  void listen("getter 2", cache.get(["key"]));
  await settled();
  t.same(heard, []);
  resolve("value");
  await settled();
  t.same(heard, ["setter value", "getter 1 value", "getter 2 value"]);
});

t.test("A153: a value's successor tells dependents at once, and nothing when it is there", async (t) => {
  const { cache, asked } = noted();
  await cache.load(["key"], () => Promise.resolve(1));
  const { promise, resolve } = deferred<number>();
  t.same(asked, []);
  cache.invalidate(["key"]);
  t.same(asked, [["key"]]);
  void cache.load(["key"], () => promise);
  resolve(2);
  await settled();
  t.equal(await cache.get(["key"]), 2);
  t.same(asked, [["key"]]);
  cache.invalidate(["key"]);
  t.same(asked, [["key"], ["key"]]);
});

t.test("A154: a failure reaches all who wait, and is not kept", async (t) => {
  const { cache, asked } = noted();
  const { promise, reject } = deferred<number>();
  const waiters = [cache.load(["key"], () => promise), cache.get(["key"])];
  reject(new RangeError("oops"));
  for (const waiter of waiters) {
    await t.rejects(waiter ?? Promise.resolve(), { message: "oops" });
  }
  t.equal(cache.get(["key"]), undefined);
  t.same(asked, [], "nothing that depends on it has been wrong");
  await cache.load(["key"], () => Promise.resolve(2));
  t.equal(await cache.get(["key"]), 2);
});

t.test("A156: what is invalidated is gone", async (t) => {
  const cache = keyedCache("c", { maxEntries: 10 });
  for (const part of ["foo", 5, true]) {
    await cache.load([part], () => Promise.resolve(123));
    cache.invalidate([part]);
    t.equal(cache.get([part]), undefined);
  }
});

t.test("A157: clearing drops what is there and what loads; a late result is not kept", async (t) => {
  const { cache, asked } = noted();
  await cache.load(["done"], () => Promise.resolve(1));
  const { promise, resolve } = deferred<number>();
  const load = cache.load(["loading"], () => promise);
  cache.clear();
  t.same(asked, [null]);
  t.equal(cache.get(["done"]), undefined);
  t.equal(cache.get(["loading"]), undefined);
  resolve(2);
  t.equal(await load, 2, "who asked before has it");
  await settled();
  t.equal(cache.get(["loading"]), undefined);
  t.match(cache.stats, { entries: 0, fenced: 1 });
});

t.test("A158: with room for two, the first of three goes", async (t) => {
  const cache = keyedCache("c", { maxEntries: 2 });
  for (const key of [1, 2, 3]) {
    await cache.load([key], () => Promise.resolve(`${key}`));
  }
  t.equal(cache.get([1]), undefined);
  t.equal(await cache.get([2]), "2");
  t.equal(await cache.get([3]), "3");
});

t.test("A159: with room for two, the least recently read of three goes", async (t) => {
  const cache = keyedCache("c", { maxEntries: 2 });
  await cache.load([1], () => Promise.resolve("one"));
  await cache.load([2], () => Promise.resolve("two"));
  void cache.get([1]);
  await cache.load([3], () => Promise.resolve("three"));
  t.equal(await cache.get([1]), "one");
  t.equal(cache.get([2]), undefined);
  t.equal(await cache.get([3]), "three");
});

t.test("A160: lists by their length, an empty one as 1", async (t) => {
  const cache = keyedCache("c", {
    maxBytes: 3,
    sizeOf: (value) => (value as unknown[]).length,
  });
  const fill = async (key: number, value: unknown[]) => {
    await cache.load([key], () => Promise.resolve(value));
    await settled();
  };
  await fill(1, ["one", "two"]);
  t.equal(cache.stats.bytes, 2);
  await fill(2, []);
  t.equal(cache.stats.bytes, 3);
  await fill(3, []);
  t.match(cache.stats, { bytes: 2, entries: 2 });
  t.equal(cache.get([1]), undefined);
  t.same(await cache.get([2]), []);
  t.same(await cache.get([3]), []);
});

t.test("A161: one call for those who ask now, and for those who ask later", async (t) => {
  const { store } = attachStore(HeldStore);
  const { promise, resolve } = deferred<number>();
  let calls = 0;
  const get = cachedFunction({ store, name: "get", maxEntries: 1 }, () => {
    calls += 1;
    return promise;
  });
  const both = [get(), get()];
  t.equal(calls, 1);
  resolve(123);
  t.same(await Promise.all(both), [123, 123]);
  t.equal(await get(), 123);
  t.equal(calls, 1);
});

t.test("A162: also where the result is there at once", async (t) => {
  const { store } = attachStore(HeldStore);
  let calls = 0;
  const get = cachedFunction({ store, name: "get", maxEntries: 1 }, () => {
    calls += 1;
    return Promise.resolve(123);
  });
  t.same(await Promise.all([get(), get(), get()]), [123, 123, 123]);
  t.equal(calls, 1);
});

t.test("A163: after a failure the next call tries again", async (t) => {
  const { store } = attachStore(HeldStore);
  const loads = [deferred<number>(), deferred<number>()];
  let calls = 0;
  const get = cachedFunction({ store, name: "get", maxEntries: 1 }, () => {
    const load = loads[calls];
    calls += 1;
    return load?.promise ?? Promise.resolve(-1);
  });
  const pending = [get(), get()];
  loads[0]?.reject(new RangeError("moo"));
  for (const call of pending) await t.rejects(call, { message: "moo" });
  t.equal(calls, 1);
  const again = get();
  t.equal(calls, 2);
  loads[1]?.resolve(1);
  t.equal(await again, 1);
  t.equal(await get(), 1);
});

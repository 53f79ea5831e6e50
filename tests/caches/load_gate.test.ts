// How many loads of one cache run at a time.

import t from "tap";
import {
  cachedFunction,
  cachedList,
  cachedListFunction,
} from "../../src/caches/mod.ts";
import { cached, CACHES } from "../../src/caches/cached.ts";
import { CacheRegistry } from "../../src/caches/cache_registry.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import { type Deferred, deferred } from "../../src/runtime/waiting.ts";
import { turn } from "../support/caches.ts";
import { manualClock } from "../support/manual_clock.ts";

function owner(): { [CACHES]: CacheRegistry } {
  return { [CACHES]: new CacheRegistry([], silentLogger) };
}

/** A function whose loads the test ends. */
function open(
  options: { maxConcurrentLoads?: number; maxQueuedLoads?: number },
) {
  const store = owner();
  const running = new Map<string, Deferred<string>>();
  const began: string[] = [];
  const get = cachedFunction(
    { store, name: "get", maxEntries: 100, ...options, uncachedArgs: [1] },
    (key: string, signal?: AbortSignal) => {
      began.push(key);
      const load = deferred<string>();
      running.set(key, load);
      signal?.addEventListener("abort", () => load.reject(signal.reason));
      return load.promise;
    },
  );
  const end = async (key: string) => {
    running.get(key)?.resolve(key);
    await turn();
  };
  const invalidate = (key: string) => store[CACHES].apply("get", [key]);
  const stats = () => store[CACHES].cacheStats()[0];
  return { get, began, end, running, invalidate, stats };
}

t.test("maxConcurrentLoads: more wait, in order, and are shared", async (t) => {
  const { get, began, end, running, stats } = open({ maxConcurrentLoads: 2 });
  const asked = ["a", "b", "c", "d"].map((key) => get(key));
  t.same(began, ["a", "b"]);
  t.equal(get("c"), asked[2], "who waits shares");
  t.match(stats(), { loading: 4, queued: 2, entries: 4, misses: 4, hits: 1 });
  await end("b");
  t.same(began, ["a", "b", "c"]);
  running.get("a")?.reject(new RangeError("no"));
  await t.rejects(asked[0] as Promise<string>, { message: "no" });
  t.same(began, ["a", "b", "c", "d"], "a failure makes room as well");
  await end("c");
  await end("d");
  t.same(await Promise.all(asked.slice(1)), ["b", "c", "d"]);
  t.match(stats(), { loading: 0, queued: 0 });
});

t.test("maxConcurrentLoads: an invalidation drops a load that waits", async (t) => {
  const { get, began, end, invalidate } = open({ maxConcurrentLoads: 1 });
  void get("a");
  const before = get("b");
  invalidate("b");
  const after = get("b");
  t.not(after, before, "who comes after doesn't join");
  await end("a");
  await end("b");
  t.same(began, ["a", "b", "b"]);
  await end("b");
  t.same(await Promise.all([before, after]), ["b", "b"]);
});

t.test("maxQueuedLoads: beyond, a call is refused, and nothing is kept", async (t) => {
  const { get, end, stats } = open({
    maxConcurrentLoads: 1,
    maxQueuedLoads: 1,
  });
  void get("a");
  const waiting = get("b");
  await t.rejects(get("c"), {
    code: "OVERLOADED",
    message: 'Cannot load an entry of cache "get": 1 loads run and 1 wait; ' +
      "try again later, or raise maxConcurrentLoads or maxQueuedLoads",
  });
  t.equal(stats()?.entries, 2);
  await end("a");
  await end("b");
  t.equal(await waiting, "b");
  const again = get("c");
  await end("c");
  t.equal(await again, "c");
});

t.test("maxConcurrentLoads: a load that nobody waits for any more isn't begun", async (t) => {
  const { get, began, end } = open({ maxConcurrentLoads: 1 });
  void get("a");
  const controller = new AbortController();
  const waiting = get("b", controller.signal);
  controller.abort(new RangeError("enough"));
  await t.rejects(waiting, { message: "enough" });
  await end("a");
  t.same(began, ["a"]);
  void get("c");
  t.same(began, ["a", "c"], "its place is free");
});

t.test("maxQueuedLoads: who leaves gives a place free", async (t) => {
  const { get, began, end, stats } = open({
    maxConcurrentLoads: 1,
    maxQueuedLoads: 3,
  });
  void get("a");
  for (let round = 0; round < 20; round += 1) {
    const asked = ["b", "c"].map((key) => {
      const caller = new AbortController();
      const wait = get(key, caller.signal);
      caller.abort(new RangeError("enough"));
      return wait;
    });
    for (const wait of asked) await t.rejects(wait, { message: "enough" });
    t.match(stats(), { loading: 1, queued: 0, entries: 1 });
  }
  const kept = ["d", "e", "f"].map((key) => get(key));
  t.match(stats(), { loading: 4, queued: 3 });
  for (const key of ["a", "d", "e", "f"]) await end(key);
  t.same(await Promise.all(kept), ["d", "e", "f"]);
  t.same(began, ["a", "d", "e", "f"], "those are not begun");
});

t.test("maxConcurrentLoads: a load that begins others is one of them", async (t) => {
  const store = owner();
  let running = 0;
  let most = 0;
  const get = cachedFunction(
    { store, name: "get", maxEntries: 100, maxConcurrentLoads: 1 },
    async (key: number): Promise<number> => {
      running += 1;
      most = Math.max(most, running);
      if (key > 0) get(key - 1).catch(() => {});
      await turn();
      running -= 1;
      return key;
    },
  );
  t.equal(await get(5), 5);
  t.equal(await get(0), 0);
  t.equal(most, 1);
});

t.test("maxConcurrentLoads: ttlMs runs from when a load begins", async (t) => {
  const clock = manualClock();
  const store = { [CACHES]: new CacheRegistry([], silentLogger, clock) };
  const loads: Deferred<string>[] = [];
  const load = () => {
    const loading = deferred<string>();
    loads.push(loading);
    return loading.promise;
  };
  const limits = { maxEntries: 100, maxConcurrentLoads: 1, ttlMs: 100 };
  const get = cachedFunction(
    { store, name: "get", ...limits },
    (_: string) => load(),
  );
  const getAll = cachedListFunction(get, async (keys: readonly string[]) => {
    const found = await load();
    return new Map(keys.map((key) => [key, found]));
  });
  const asked = [get("a"), get("b"), getAll(["c", "d"])];
  for (const index of [0, 1, 2]) {
    clock.advance(60);
    loads[index]?.resolve("found");
    await turn();
  }
  await Promise.all(asked);
  const [stats] = store[CACHES].cacheStats();
  t.match(stats, { entries: 2, expirations: 2 });
  t.ok((stats?.loadMsP99 ?? NaN) < 70, "waiting is no part of loading");
  clock.advance(39);
  t.match(store[CACHES].cacheStats()[0], { entries: 2 });
  clock.advance(1);
  t.match(store[CACHES].cacheStats()[0], { entries: 0 });
});

t.test("maxConcurrentLoads: ttlMs of each of a list's loads runs from its own beginning", async (t) => {
  const clock = manualClock();
  const store = { [CACHES]: new CacheRegistry([], silentLogger, clock) };
  const limits = { maxEntries: 100, maxConcurrentLoads: 1, ttlMs: 100 };
  const get = cachedFunction(
    { store, name: "get", ...limits },
    (key: string) => Promise.resolve(key),
  );
  const getAll = cachedListFunction(get, (keys: readonly string[]) => {
    clock.advance(60);
    return Promise.resolve(new Map(keys.map((key) => [key, key])));
  }, { maxKeys: 1 });
  await getAll(["a", "b"]);
  await turn();
  clock.advance(39);
  t.match(store[CACHES].cacheStats()[0], { entries: 1, expirations: 1 });
  clock.advance(1);
  t.match(store[CACHES].cacheStats()[0], { entries: 0, expirations: 2 });
});

t.test("maxConcurrentLoads: a list's load is one", async (t) => {
  const began: (readonly string[])[] = [];
  const loads: Deferred<void>[] = [];
  class Owner {
    readonly [CACHES] = owner()[CACHES];
  }
  class Names extends Owner {
    @cached({ maxEntries: 100, maxConcurrentLoads: 1, maxQueuedLoads: 1 })
    async getName(id: string): Promise<string | undefined> {
      return (await this.getNames([id])).get(id);
    }
    @cachedList({ of: "getName" })
    async getNames(
      ids: readonly string[],
    ): Promise<ReadonlyMap<string, string>> {
      began.push(ids);
      const load = deferred<void>();
      loads.push(load);
      await load.promise;
      return new Map(ids.map((id) => [id, `name of ${id}`]));
    }
  }
  const names = new Names();
  const first = names.getNames(["a", "b"]);
  const second = names.getNames(["b", "c"]);
  await t.rejects(names.getNames(["d"]), { code: "OVERLOADED" });
  t.same(began, [["a", "b"]]);
  loads[0]?.resolve();
  t.equal((await first).size, 2);
  await turn();
  t.same(began, [["a", "b"], ["c"]]);
  loads[1]?.resolve();
  t.same([...await second], [["b", "name of b"], ["c", "name of c"]]);
});

t.test("maxConcurrentLoads must be a positive integer", (t) => {
  for (const value of [0, -1, 1.5]) {
    t.throws(() => open({ maxConcurrentLoads: value }), {
      code: "INVALID_ARGUMENT",
    });
    t.throws(() => open({ maxQueuedLoads: value }), {
      code: "INVALID_ARGUMENT",
    });
  }
  t.end();
});

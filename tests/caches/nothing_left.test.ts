// What a cache keeps beside its entries (the nodes that keys of several parts
// are found by, who waits for a load) goes with the entry, however that goes.
// It is all in Maps, so what is in any Map that was made is counted.

import t, { type Test } from "tap";
import { CacheRegistry } from "../../src/caches/cache_registry.ts";
import { CACHES } from "../../src/caches/cached.ts";
import type { CacheLimits } from "../../src/caches/cache_options.ts";
import { cachedFunction, cachedListFunction } from "../../src/caches/mod.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import { type Deferred, deferred } from "../../src/runtime/waiting.ts";

/** Counts the nodes of keys, and the loads that somebody waits for, made since. */
function countItems(t: Test): () => number {
  const made: Map<unknown, unknown>[] = [];
  class CountedMap<Key, Value> extends Map<Key, Value> {
    constructor(items?: Iterable<readonly [Key, Value]> | null) {
      super(items);
      made.push(this);
    }
  }
  const before = Map;
  Reflect.set(globalThis, "Map", CountedMap);
  t.teardown(() => void Reflect.set(globalThis, "Map", before));
  return () => made.flatMap((map) => [...map.values()].filter(isOurs)).length;
}

function isOurs(value: unknown): boolean {
  return typeof value === "object" && value !== null &&
    ("children" in value || "abandon" in value);
}

type Options = Pick<CacheLimits, "negative"> & {
  readonly maxEntries?: number;
  readonly sizeOf?: (value: unknown) => number;
};

/** A tree, and loads that the test ends. */
function makeTree(options: Options = {}) {
  const caches = new CacheRegistry([], silentLogger);
  const loads: Deferred<unknown>[] = [];
  const load = () => {
    const result = deferred<unknown>();
    loads.push(result);
    return result.promise;
  };
  const get = cachedFunction(
    {
      store: { [CACHES]: caches },
      name: "get",
      maxEntries: 100,
      maxBytes: "1MiB",
      tree: true,
      uncachedArgs: [3],
      ...options,
    },
    (_a: string, _b: number, _c?: bigint | null, _signal?: AbortSignal) =>
      load(),
  );
  const list = cachedListFunction(
    get,
    (_a: string, _b: readonly number[]) =>
      load() as Promise<ReadonlyMap<number, unknown>>,
  );
  return { caches, get, list, loads };
}

type Tree = ReturnType<typeof makeTree>;

/** Lets loads make their way to the end. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

const WAYS: readonly (readonly [
  string,
  Options,
  (tree: Tree) => void | Promise<void>,
])[] = [
  ["by its key", {}, async ({ caches, get, loads }) => {
    void get("a", 1, 2n);
    void get("a", 1, null);
    loads[0]?.resolve(0);
    await turn();
    caches.apply("get", ["a", 1, "2"]);
    caches.apply("get", ["a", 1, null]);
    loads[1]?.resolve(0);
  }],
  ["by a prefix", {}, ({ caches, get, loads }) => {
    for (let number = 0; number < 50; number += 1) void get("a", number, null);
    void get("a", 1);
    caches.apply("get", ["a"]);
    for (const load of loads) load.resolve(0);
  }],
  ["as it fails", {}, async ({ get, loads }) => {
    const failing = get("a", 1, null).catch(() => {});
    loads[0]?.reject(new RangeError("no"));
    await failing;
  }],
  ["as a list fails", {}, async ({ list, loads }) => {
    const failing = list("a", [1, 2, 3]).catch(() => {});
    loads[0]?.reject(new RangeError("no"));
    await failing;
  }],
  ["as there is nothing", { negative: false }, ({ get, list, loads }) => {
    void get("a", 1, null);
    void list("b", [1, 2]);
    loads[0]?.resolve(undefined);
    loads[1]?.resolve(new Map());
  }],
  ["for lack of room", { maxEntries: 1 }, async ({ caches, get, loads }) => {
    for (let number = 0; number < 50; number += 1) void get("a", number, null);
    for (const load of loads) load.resolve(0);
    await turn();
    caches.apply("get", ["a", 49, null]);
  }],
  [
    "as it is too large",
    { sizeOf: (value) => value === 0 ? 1 : 1e9 },
    ({ get, loads }) => {
      void get("a", 1, null);
      loads[0]?.resolve("x".repeat(1_000));
    },
  ],
  ["as nobody waits", {}, async ({ get, loads }) => {
    const stop = new AbortController();
    const waiting = get("a", 1, null, stop.signal).catch(() => {});
    stop.abort();
    loads[0]?.reject(new RangeError("aborted"));
    await waiting;
  }],
];

for (const [how, options, go] of WAYS) {
  t.test(`an entry that goes ${how} leaves nothing`, async (t) => {
    const items = countItems(t);
    const tree = makeTree(options);
    const before = items();
    // An entry that stays beside it shares its first parts, and is found.
    void tree.get("a", -1, -1n);
    tree.loads[0]?.resolve(0);
    await turn();
    const withOne = items();
    t.ok(withOne > before);
    tree.caches.apply("get", ["a", -1, "-1"]);
    t.equal(items(), before);
    tree.loads.length = 0;
    await go(tree);
    await turn();
    t.equal(items(), before);
    t.match(tree.caches.cacheStats(), [{ entries: 0, loading: 0 }]);
  });
}

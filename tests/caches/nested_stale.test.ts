// Caches that may serve what is old, read by the loads of others: nothing that is
// kept may be made of it.

import t from "tap";
import { CacheRegistry } from "../../src/caches/cache_registry.ts";
import { CACHES } from "../../src/caches/cached.ts";
import { cachedFunction } from "../../src/caches/cached_function.ts";
import { cachedListFunction } from "../../src/caches/cached_list.ts";
import { CacheSizes } from "../../src/caches/cache_sizes.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import type { Random } from "../../src/runtime/random.ts";
import { type Deferred, deferred } from "../../src/runtime/waiting.ts";
import { VirtualClock } from "../../src/testing/virtual_clock.ts";
import { turn } from "../support/caches.ts";

const random: Random = { fraction: () => 0, id: () => "", uuid: () => "" };
const OLD = { staleWhileRevalidateMs: 1_000 };

/** Two stores with a registry each, over one number. */
function open() {
  const stores = [0, 1].map(() => {
    const clock = new VirtualClock();
    const sizes = new CacheSizes({}, {}, random);
    return { [CACHES]: new CacheRegistry([], silentLogger, clock, sizes) };
  });
  const [store, other] = stores as [
    { [CACHES]: CacheRegistry },
    { [CACHES]: CacheRegistry },
  ];
  const database = { version: 1, loads: 0 };
  const read = () => {
    database.loads += 1;
    return Promise.resolve(database.version);
  };
  const inner = cachedFunction(
    { store, name: "inner", maxEntries: 10, ...OLD },
    (_id: string) => read(),
  );
  const inners = cachedListFunction(inner, async (ids: readonly string[]) => {
    const version = await read();
    return new Map(ids.map((id) => [id, version]));
  });
  /** What a writer does: a new version, and everything invalidated. */
  const change = () => {
    database.version += 1;
    for (const each of stores) {
      each[CACHES].flush({ reason: "t", mayServeOld: true });
    }
  };
  return { store, other, database, inner, inners, change };
}

t.test("a load is given nothing old, however it comes to ask", async (t) => {
  const { store, other, inner, inners, change } = open();
  const ways: Record<string, () => Promise<unknown>> = {
    "at once": () => inner("x"),
    "after a wait": async () => {
      await turn();
      return await inner("x");
    },
    "from a timer": () =>
      new Promise((resolve) => setTimeout(() => resolve(inner("x")))),
    "as a list": async () => (await inners(["x", "y"])).get("x"),
  };
  const outers = Object.entries(ways).map(([way, load]) => {
    const made = [store, other].flatMap((each, at) => {
      const name = `${way} ${at}`;
      const options = { store: each, maxEntries: 10 };
      const plain = cachedFunction({ ...options, name }, load);
      const above = cachedFunction(
        { ...options, name: `${name} above` },
        (_id: string) => plain(),
      );
      const list = cachedListFunction(above, async (ids: readonly string[]) => {
        const value = await plain();
        return new Map(ids.map((id) => [id, value]));
      });
      const limited = cachedFunction(
        { ...options, name: `${name} limited`, maxConcurrentLoads: 1 },
        (_id: string) => load(),
      );
      return [
        plain,
        () => above("x"),
        async () => (await list(["y", "z"])).get("z"),
        async () => {
          const both = await Promise.all(["a", "b"].map((id) => limited(id)));
          return Math.min(...both.map(Number));
        },
      ];
    });
    return [way, made] as const;
  });
  for (const [way, made] of outers) {
    for (const [index, outer] of made.entries()) {
      const before = await outer();
      t.equal(before, await inner("x"), `${way} ${index}`);
      change();
      t.equal(await inner("x"), before, "others are");
      change();
      const now = await outer();
      t.equal(now, Number(before) + 2, `${way} ${index}: nothing old`);
      t.equal(await inner("x"), now, "nor is anybody afterwards");
      t.equal(await outer(), now);
    }
  }
});

t.test("a background load is given nothing old, either", async (t) => {
  const { store, database, inner, change } = open();
  const outer = cachedFunction(
    { store, name: "outer", maxEntries: 10, ...OLD },
    (id: string) => inner(id),
  );
  t.equal(await outer("x"), 1);
  change();
  t.equal(await outer("x"), 1, "old, and loaded anew");
  await turn();
  t.equal(await outer("x"), 2);
  t.equal(await inner("x"), 2);
  t.equal(database.loads, 2);
});

t.test("a load that asks joins the background load, and so does who comes then", async (t) => {
  const { store, inner: _, change } = open();
  const held: Deferred<string>[] = [];
  const inner = cachedFunction(
    { store, name: "held", maxEntries: 10, ...OLD },
    (_id: string) => {
      const load = deferred<string>();
      held.push(load);
      return load.promise;
    },
  );
  const outer = cachedFunction(
    { store, name: "outer", maxEntries: 10 },
    (id: string) => inner(id),
  );
  const first = inner("x");
  held[0]?.resolve("old");
  t.equal(await first, "old");
  change();
  t.equal(await inner("x"), "old");
  t.equal(held.length, 2);
  const [asked, then] = [outer("x"), inner("x")];
  t.equal(held.length, 2);
  store[CACHES].apply("held", ["x"]);
  const last = inner("x");
  t.equal(held.length, 3, "an invalidation fences it, as any load");
  held[1]?.resolve("between");
  held[2]?.resolve("new");
  t.same(await Promise.all([asked, then, last]), ["between", "between", "new"]);
  t.equal(await inner("x"), "new");
});

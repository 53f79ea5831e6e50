// The decorator: what a caller of a cached method sees.

import t from "tap";
import { CacheRegistry } from "../../src/caches/cache_registry.ts";
import { cached } from "../../src/caches/cached.ts";
import { cacheNameOf } from "../../src/caches/cached_method.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import { type Deferred, deferred } from "../../src/runtime/waiting.ts";
import { Store, type StoreClass } from "../../src/store/store.ts";

type NoDatabase = Record<never, never>;

/** Loads that a test ends when it likes. */
class Rooms extends Store<NoDatabase> {
  readonly loads: [string, Deferred<string>][] = [];

  @cached({ maxEntries: 10 })
  getRoom(id: string): Promise<string> {
    return this.begin(`getRoom ${id}`);
  }

  @cached({ maxEntries: 2, name: "members" })
  async getMembers(id: string, limit: number | null): Promise<string> {
    return await this.begin(`getMembers ${id} ${limit}`);
  }

  protected begin(text: string): Promise<string> {
    const load = deferred<string>();
    this.loads.push([text, load]);
    return load.promise;
  }
}

function attach<S extends Store<NoDatabase>>(
  storeClass: StoreClass<NoDatabase, S>,
  caches = new CacheRegistry([], silentLogger),
): { store: S; caches: CacheRegistry } {
  return { store: new storeClass({ db: undefined as never, caches }), caches };
}

t.test("@cached: calls at the same time share one load", async (t) => {
  const { store, caches } = attach(Rooms);
  const calls = [store.getRoom("a"), store.getRoom("a"), store.getRoom("a")];
  t.same(store.loads.map(([text]) => text), ["getRoom a"]);
  store.loads[0]?.[1].resolve("A");
  t.same(await Promise.all(calls), ["A", "A", "A"]);
  t.equal(await store.getRoom("a"), "A");
  t.equal(
    store.getRoom("a"),
    store.getRoom("a"),
    "a hit is the promise itself",
  );
  t.equal(store.loads.length, 1);
  t.match(caches.cacheStats().find(({ name }) => name === "getRoom"), {
    hits: 5,
    misses: 1,
    entries: 1,
  });
});

t.test("@cached: a call after the invalidation loads anew", async (t) => {
  const { store, caches } = attach(Rooms);
  const early = store.getRoom("a");
  caches.applyOne("getRoom", "a");
  const late = store.getRoom("a");
  t.equal(store.loads.length, 2);
  store.loads[1]?.[1].resolve("new");
  store.loads[0]?.[1].resolve("old");
  t.equal(await early, "old", "it asked before");
  t.equal(await late, "new");
  t.equal(await store.getRoom("a"), "new", "the old load is not kept");
});

t.test("@cached: what is thrown is a rejection, and not kept", async (t) => {
  class Failing extends Store<NoDatabase> {
    calls = 0;
    @cached({ maxEntries: 10 })
    getIt(_id: string): Promise<number> {
      this.calls += 1;
      throw new RangeError(`sync ${this.calls}`);
    }
    @cached({ maxEntries: 10 })
    async loadIt(): Promise<number> {
      this.calls += 1;
      return await Promise.reject(new RangeError(`async ${this.calls}`));
    }
  }
  const { store, caches } = attach(Failing);
  await t.rejects(store.getIt("a"), { message: "sync 1" });
  await t.rejects(store.getIt("a"), { message: "sync 2" });
  await t.rejects(store.loadIt(), { message: "async 3" });
  await t.rejects(store.loadIt(), { message: "async 4" });
  t.match(caches.cacheStats(), [{ entries: 0 }, { entries: 0 }]);
});

t.test("@cached: arguments that can't be a key are a rejection", async (t) => {
  const { store, caches } = attach(Rooms);
  const call = store.getRoom as unknown as (id: unknown) => Promise<unknown>;
  for (const id of [NaN, {}, () => 1, Symbol("s"), new Date(0)]) {
    await t.rejects(call(id), { code: "KEY_INVALID" });
  }
  t.equal(store.loads.length, 0);
  t.match(caches.cacheStats(), [{ entries: 0, misses: 0 }, { entries: 0 }]);
});

t.test("@cached: evictions are counted", (t) => {
  const { store, caches } = attach(Rooms);
  for (const limit of [1, 2, 3, null]) void store.getMembers("a", limit);
  t.match(caches.cacheStats().find(({ name }) => name === "members"), {
    entries: 2,
    maxEntries: 2,
    evictions: 2,
    invalidations: 0,
  });
  t.end();
});

t.test("@cached: each attached store has its own cache, invalidated together", (t) => {
  const { store: first, caches } = attach(Rooms);
  const { store: second } = attach(Rooms, caches);
  void first.getRoom("a");
  void second.getRoom("a");
  t.same([first.loads.length, second.loads.length], [1, 1]);
  caches.apply("getRoom", ["a"]);
  void first.getRoom("a");
  void second.getRoom("a");
  t.same([first.loads.length, second.loads.length], [2, 2]);
  t.equal(caches.cacheStats().length, 4);
  t.end();
});

t.test("@cached: a subclass that overrides without @cached has no cache", (t) => {
  class Plain extends Rooms {
    override getRoom(id: string): Promise<string> {
      return this.begin(`plain ${id}`);
    }
  }
  const { store, caches } = attach(Plain);
  void store.getRoom("a");
  void store.getRoom("a");
  t.same(store.loads.map(([text]) => text), ["plain a", "plain a"]);
  t.same(caches.cacheStats().map(({ name }) => name), ["members"]);
  t.throws(() => cacheNameOf(store.getRoom), { code: "NOT_CACHED" });
  t.end();
});

t.test("@cached: a subclass that overrides with @cached has its own", async (t) => {
  class Louder extends Rooms {
    @cached({ maxEntries: 5, name: "louder" })
    override async getRoom(id: string): Promise<string> {
      return (await super.getRoom(id)).toUpperCase();
    }
  }
  const { store, caches } = attach(Louder);
  const call = store.getRoom("a");
  t.equal(store.getRoom("a"), call);
  store.loads[0]?.[1].resolve("room");
  t.equal(await call, "ROOM");
  t.equal(store.loads.length, 1);
  t.same(caches.cacheStats().map(({ name }) => name).sort(), [
    "louder",
    "members",
  ]);
});

t.test("@cached: the method's cache is named by the class and by the store", (t) => {
  const { store } = attach(Rooms);
  t.equal(cacheNameOf(store.getRoom), "getRoom");
  t.equal(cacheNameOf(store.getMembers), "members");
  t.equal(cacheNameOf(Rooms.prototype.getMembers), "members");
  t.end();
});

t.test("@cached: `this` is the store, however the method is called", (t) => {
  const { store } = attach(Rooms);
  const { getRoom } = store;
  void getRoom("a");
  t.same(store.loads.map(([text]) => text), ["getRoom a"]);
  t.end();
});

t.test("@cached refuses what it can't decorate", (t) => {
  const decorate = cached({ maxEntries: 1 }) as unknown as (
    method: () => Promise<void>,
    context: object,
  ) => void;
  const context = { kind: "method", name: "x", static: false, private: false };
  for (
    const wrong of [
      { static: true },
      { private: true, name: "#x" },
      { name: Symbol("x") },
    ]
  ) {
    t.throws(
      () => decorate(() => Promise.resolve(), { ...context, ...wrong }),
      { code: "INVALID_ARGUMENT", message: /decorate a public method/ },
    );
  }
  t.end();
});

t.test("@cached refuses a bad maxEntries when the store is attached", (t) => {
  class Bad extends Store<NoDatabase> {
    @cached({ maxEntries: 0 })
    getIt(): Promise<void> {
      return Promise.resolve();
    }
  }
  t.throws(() => attach(Bad), { code: "INVALID_ARGUMENT" });
  t.end();
});

// What the decorator does, as a plain function.

import t from "tap";
import { cachedFunction } from "../../src/caches/cached_function.ts";
import {
  cacheNameOf,
  wireKeyOf,
  wirePrefixOf,
} from "../../src/caches/cached_method.ts";
import { attachStore, HeldStore, settled } from "../support/attached.ts";
import { manualClock } from "../support/manual_clock.ts";

class Rooms extends HeldStore {
  readonly getRoom = cachedFunction(
    { store: this, name: "get_room", maxEntries: 10 },
    (id: string, limit?: number) => this.begin("room", id, limit),
  );

  readonly getMember = cachedFunction(
    { store: this, name: "get_member", maxEntries: 10, tree: true, ttlMs: 50 },
    (room: string, user: string) => this.begin("member", room, user),
  );

  readonly getLater = cachedFunction(
    { store: this, name: "get_later", maxEntries: 10, uncachedArgs: [1] },
    (id: string, signal?: AbortSignal) =>
      this.begin("later", id, signal?.aborted),
  );

  readonly getOf = cachedFunction(
    {
      store: this,
      name: "get_of",
      maxEntries: 10,
      keyOf: (room: { id: string }) => room.id,
    },
    (room: { id: string }) => this.begin("of", room.id),
  );
}

t.test("cachedFunction: calls share a load, until they are invalidated", async (t) => {
  const { store, caches, stats } = attachStore(Rooms);
  const first = store.getRoom("a");
  t.equal(store.getRoom("a", undefined), first);
  t.not(store.getRoom("a", 1), first);
  t.equal(cacheNameOf(store.getRoom), "get_room");
  caches.applyOne("get_room", "a");
  const late = store.getRoom("a");
  store.end("old", 0);
  store.end("new", 2);
  t.same(await Promise.all([first, late, store.getRoom("a")]), [
    "old",
    "new",
    "new",
  ]);
  t.match(stats("get_room"), { hits: 2, misses: 3, fenced: 1 });
});

t.test("cachedFunction has all options of @cached", async (t) => {
  const clock = manualClock();
  const { store, caches } = attachStore(Rooms, clock);
  void store.getMember("r", "a");
  void store.getMember("r", "b");
  t.same(wirePrefixOf(store.getMember, ["r"]), ["r"]);
  caches.apply("get_member", ["r"]);
  void store.getMember("r", "a");
  t.same(store.texts, ["member r a", "member r b", "member r a"]);
  store.end("A");
  await settled();
  clock.advance(50);
  void store.getMember("r", "a");
  t.equal(store.loads.length, 4, "its time was over");
  void store.getOf({ id: "a" });
  void store.getOf({ id: "a" });
  t.equal(store.loads.length, 5);
  t.same(wireKeyOf(store.getOf, [{ id: "a" } as never]), ["a"]);
  const controller = new AbortController();
  const later = store.getLater("a", controller.signal);
  t.equal(store.texts.at(-1), "later a false");
  const gaveUp = t.rejects(later, { message: "enough" });
  controller.abort(new RangeError("enough"));
  await gaveUp;
  void store.getLater("a");
  t.equal(store.texts.at(-1), "later a undefined", "not the aborted one");
});

t.test("cachedFunction: a function's own name will do, none will not", (t) => {
  const { store, caches } = attachStore(HeldStore);
  async function countAll(): Promise<number> {
    return await Promise.resolve(5);
  }
  const counted = cachedFunction({ store, maxEntries: 1 }, countAll);
  t.equal(cacheNameOf(counted), "countAll");
  t.throws(
    () => cachedFunction({ store, maxEntries: 1 }, () => Promise.resolve(5)),
    {
      code: "INVALID_ARGUMENT",
      message: 'Cannot cache a function without a name; give the option "name"',
    },
  );
  t.equal(caches.cacheStats().length, 1);
  t.end();
});

t.test("cachedFunction: what is thrown at once is a rejection, and not kept", async (t) => {
  const { store, stats } = attachStore(HeldStore);
  let calls = 0;
  const failing = cachedFunction(
    { store, name: "failing", maxEntries: 10 },
    (_id: string): Promise<number> => {
      calls += 1;
      throw new RangeError(`no ${calls}`);
    },
  );
  await t.rejects(failing("a"), { message: "no 1" });
  await t.rejects(failing("a"), { message: "no 2" });
  t.match(stats("failing"), { entries: 0, loading: 0 });
});

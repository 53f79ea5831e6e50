// What the types promise of caches: options, keys and prefixes that can't be do
// not compile. Like store.test.ts, checked by the compilers.

import t from "tap";
import { z } from "zod";
import {
  cached,
  defineCacheGroup,
  type Invalidation,
  Store,
  type WriterTransaction,
} from "../../mod.ts";
import {
  cachedFunction,
  cachedList,
  cachedListFunction,
  type KeyArgument,
} from "../../src/caches/mod.ts";
import { expandGroup } from "../../src/caches/cache_groups.ts";
import { attachStore } from "../support/attached.ts";

type NoDatabase = Record<never, never>;

interface User {
  readonly id: string;
}

/** Keys of types that its users choose. */
class Things<Id extends string | number> extends Store<NoDatabase> {
  @cached({ maxEntries: 1, tree: true })
  getThing(id: Id, part?: number): Promise<Id | undefined> {
    return Promise.resolve(part === 0 ? undefined : id);
  }

  @cached({ maxEntries: 1 })
  getParts(...parts: readonly KeyArgument[]): Promise<number> {
    return Promise.resolve(parts.length);
  }
}

class Rooms extends Store<NoDatabase> {
  readonly getOne = cachedFunction(
    { store: this, name: "one", maxEntries: 10, tree: true },
    (room: string, user: string, limit?: number) =>
      Promise.resolve(`${room}${user}${limit}`),
  );

  readonly getMany = cachedListFunction(
    this.getOne,
    (room: string, users: readonly string[]) =>
      Promise.resolve(new Map(users.map((user) => [user, room]))),
  );

  readonly getOf = cachedFunction(
    {
      store: this,
      name: "of",
      maxBytes: "1MiB",
      keyOf: (user: User, _part: number) => user.id,
    },
    (user: User, _part: number) => Promise.resolve(user.id),
  );

  readonly getLater = cachedFunction(
    { store: this, name: "later", maxEntries: 10, uncachedArgs: [0] },
    (_signal: AbortSignal | undefined, id: string) => Promise.resolve(id),
  );

  @cached({ maxBytes: 5, ttlMs: 5, negative: { ttlMs: 5 } })
  getNothing(): Promise<void> {
    return Promise.resolve();
  }

  @cached({ maxEntries: 1, tree: true })
  getFlags(room: string, ...flags: boolean[]): Promise<string> {
    return Promise.resolve(`${room}${flags}`);
  }

  // @ts-expect-error -- a function is no key
  @cached({ maxEntries: 1 })
  getCalled(call: () => string): Promise<string> {
    return Promise.resolve(call());
  }

  // @ts-expect-error -- an array is no key
  @cached({ maxEntries: 1 })
  getListed(ids: readonly string[]): Promise<string> {
    return Promise.resolve(ids.join());
  }

  // @ts-expect-error -- what may be anything is no key
  @cached({ maxEntries: 1 })
  getAnything(what: unknown): Promise<string> {
    return Promise.resolve(String(what));
  }

  // @ts-expect-error -- not every part of it can be a key
  @cached({ maxEntries: 1, tree: true })
  getBoth(id: string, ...users: (string | User)[]): Promise<string> {
    return Promise.resolve(`${id}${users.length}`);
  }

  // @ts-expect-error -- a date is no key
  @cached({ maxEntries: 1 })
  getAt(at: Date): Promise<string> {
    return Promise.resolve(String(at));
  }

  // @ts-expect-error -- a symbol is no key
  @cached({ maxEntries: 1, keyOf: (id: string) => Symbol(id) })
  getSymbol(id: string): Promise<string> {
    return Promise.resolve(id);
  }

  // @ts-expect-error -- nobody could tell what to invalidate
  @cached({ maxEntries: 1, uncachedArgs: [1] })
  getTranslated(id: string, _locale: string): Promise<string> {
    return Promise.resolve(id);
  }

  // @ts-expect-error -- the user is not left out, and no key
  @cached({ maxEntries: 1, uncachedArgs: [1] })
  getBeside(_user: User, _signal: AbortSignal): Promise<string> {
    return Promise.resolve("");
  }

  @cached({ maxEntries: 1 })
  getNull(id: string): Promise<string | null> {
    return Promise.resolve(id);
  }

  // @ts-expect-error -- who is left out is undefined, which the single gives not
  @cachedList({ of: "getNull" })
  getNulls(ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
    return Promise.resolve(new Map(ids.map((id) => [id, id])));
  }

  // @ts-expect-error -- the single method gives texts
  @cachedList({ of: "getNull" })
  getNumbers(ids: readonly string[]): Promise<ReadonlyMap<string, number>> {
    return Promise.resolve(new Map(ids.map((id) => [id, 5])));
  }

  // @ts-expect-error -- a list has an array among its arguments
  @cachedList({ of: "getNothing" })
  getUnlisted(id: string): Promise<ReadonlyMap<string, string>> {
    return Promise.resolve(new Map([[id, id]]));
  }
}

/** Never called: what can't be, one way or the other. */
function refused(store: Rooms): void {
  const load = (id: string) => Promise.resolve(id);
  const idOf = (id: string) => id;
  // @ts-expect-error -- a cache has a bound
  cachedFunction({ store, name: "a" }, load);
  // @ts-expect-error -- a cache has an owner
  cachedFunction({ name: "a", maxEntries: 1 }, load);
  // @ts-expect-error -- bytes are a number or a text
  cachedFunction({ store, name: "a", maxBytes: true }, load);
  // @ts-expect-error -- a time is a number
  cachedFunction({ store, name: "a", maxEntries: 1, ttlMs: "5s" }, load);
  // @ts-expect-error -- a time is a number
  cachedFunction({ store, name: "a", maxEntries: 1, negative: 5 }, load);
  const bound = { store, name: "a", maxEntries: 1 };
  // @ts-expect-error -- one or the other
  cachedFunction({ ...bound, uncachedArgs: [1], keyOf: idOf }, load);
  cachedFunction(
    // @ts-expect-error -- dependents are a cache and a key each
    { store, name: "a", maxEntries: 1, onInvalidate: () => ["b"] },
    load,
  );
  // @ts-expect-error -- an object is no key
  cachedFunction({ store, name: "a", maxEntries: 1 }, (_: User) => load("a"));
  const ofAnything = cachedFunction(bound, (what: unknown) => load(`${what}`));
  // @ts-expect-error -- what may be anything can be given keys only
  void ofAnything({});
  // @ts-expect-error -- what is cached is a promise
  cachedFunction({ store, name: "a", maxEntries: 1 }, (id: string) => id);
  // @ts-expect-error -- nobody could tell what to invalidate
  cachedFunction(
    { store, name: "a", maxEntries: 1, uncachedArgs: [1] },
    (id: string, _locale: string) => load(id),
  );
  const many = (_room: number, users: readonly string[]) =>
    Promise.resolve(new Map(users.map((user) => [user, user])));
  // @ts-expect-error -- the room is a text in the single method
  cachedListFunction(store.getOne, many);
  // @ts-expect-error -- the user is missing
  cachedListFunction(store.getOne, (_rooms: string[]) => many(1, []));
}

function invalidate(txn: WriterTransaction<NoDatabase>, rooms: Rooms): void {
  txn.invalidate(rooms.getOne, ["r", "u"]);
  txn.invalidate(rooms.getOne, ["r", "u", 5]);
  txn.invalidatePrefix(rooms.getOne, ["r"]);
  txn.invalidatePrefix(rooms.getOne, ["r", "u"]);
  txn.invalidatePrefix(rooms.getFlags, ["r", true, false]);
  txn.invalidate(rooms.getOf, [{ id: "u" }, 5]);
  txn.invalidate(rooms.getLater, ["u"]);
  txn.invalidate(rooms.getNothing, []);
  txn.invalidateAll(rooms.getLater);
  // @ts-expect-error -- the user is missing
  txn.invalidate(rooms.getOne, ["r"]);
  // @ts-expect-error -- the limit is a number
  txn.invalidate(rooms.getOne, ["r", "u", "5"]);
  // @ts-expect-error -- longer than any key
  txn.invalidate(rooms.getOne, ["r", "u", 5, 5]);
  // @ts-expect-error -- the user is a text
  txn.invalidatePrefix(rooms.getOne, ["r", 5]);
  // @ts-expect-error -- longer than any key
  txn.invalidatePrefix(rooms.getOne, ["r", "u", 5, 5]);
  // @ts-expect-error -- longer than any key
  txn.invalidatePrefix(rooms.getLater, ["u", "v"]);
  // @ts-expect-error -- flags are booleans
  txn.invalidatePrefix(rooms.getFlags, ["r", "yes"]);
  // @ts-expect-error -- a prefix has one part at least
  txn.invalidatePrefix(rooms.getFlags, []);
  // @ts-expect-error -- nobody's arguments
  txn.invalidate(rooms.getNothing, ["u"]);
  // @ts-expect-error -- keyOf takes a user and a number
  txn.invalidate(rooms.getOf, [{ id: 5 }, 5]);
  // @ts-expect-error -- the signal is no part of the key
  txn.invalidate(rooms.getLater, [undefined, "u"]);
  // @ts-expect-error -- an id is a text
  txn.invalidate(rooms.getLater, [5]);
  // @ts-expect-error -- a list has no cache of its own; its entries have
  txn.invalidatePrefix(rooms.getMany, [["u"]]);
}

const { getNothing, getFlags } = Rooms.prototype;
const room = z.tuple([z.string()]);
const users = ["u", "v"];

/** Keys of methods, of some of them, and of caches by name. */
function groupsOf({ getOne, getLater }: Rooms) {
  return [
    defineCacheGroup("whole", room, ([id]) => [
      [getOne, [id, "u"]],
      [getOne, [id, "u", 5]],
      [getOne, [id]],
      [getOne, null],
      [getNothing, []],
      [getFlags, [id, true]],
      [getLater, [id]],
      ["any name", [id, 5n, null, undefined]],
      ["any name", null],
    ]),
    defineCacheGroup("some", room, ([id]) => [
      ...users.map((user) => [getOne, [id, user]] as const),
      ["any name", [id]],
    ]),
    defineCacheGroup("one by one", room, function* ([id]) {
      yield [getOne, [id]];
      yield ["any name", [id]];
    }),
    defineCacheGroup("made before", room, (): Invalidation[] => []),
    defineCacheGroup<[string]>("its key is said", room, ([id]) => [
      [getOne, [id]],
    ]),
  ];
}

/** Never called: keys that aren't their methods'. */
function refusedGroups({ getOne, getOf, getLater }: Rooms): void {
  // @ts-expect-error -- the user is a text
  defineCacheGroup("a", room, ([id]) => [[getOne, [id, 5]]]);
  // @ts-expect-error -- longer than any key
  defineCacheGroup("a", room, ([id]) => [[getOne, [id, "u", 5, 5]]]);
  // @ts-expect-error -- neither a key nor the beginning of one
  defineCacheGroup("a", room, () => [[getOne, []]]);
  // @ts-expect-error -- nobody's arguments
  defineCacheGroup("a", room, ([id]) => [["b", [id]], [getNothing, [id]]]);
  // @ts-expect-error -- flags are booleans
  defineCacheGroup("a", room, ([id]) => [[getFlags, [id, "yes"]]]);
  // @ts-expect-error -- the signal is no part of the key
  defineCacheGroup("a", room, ([id]) => [[getLater, [undefined, id]]]);
  // @ts-expect-error -- its keys are made by keyOf: name it, and give the key
  defineCacheGroup("a", room, ([id]) => [[getOf, [id]]]);
  // @ts-expect-error -- an object is no key
  defineCacheGroup("a", room, () => [["b", [{}]]]);
  // @ts-expect-error -- the group's key is a text
  defineCacheGroup("a", z.tuple([z.number()]), ([n]) => [[getOne, [n]]]);
  const wrong = users.map((user) => [getOne, [5, user]] as const);
  // @ts-expect-error -- the room is a text
  defineCacheGroup("a", room, ([id]) => [["b", [id]], ...wrong]);
  // @ts-expect-error -- the user is a text
  defineCacheGroup("a", room, function* ([id]) {
    yield [getOne, [id, 5]];
  });
}

t.test("a group expands to the keys of its methods", (t) => {
  const { store } = attachStore(Rooms);
  const [whole, some, each, before, said] = groupsOf(store).map((group) =>
    expandGroup(group, ["r"])
  );
  t.same(whole?.slice(0, 4), [
    ["one", ["r", "u"]],
    ["one", ["r", "u", 5]],
    ["one", ["r"]],
    ["one", null],
  ]);
  t.same(whole?.at(-2), ["any name", ["r", "5", null]]);
  t.same(some?.map(([, key]) => key), [["r", "u"], ["r", "v"], ["r"]]);
  t.same(each, [["one", ["r"]], ["any name", ["r"]]]);
  t.same(before, []);
  t.same(said, [["one", ["r"]]]);
  t.type(refusedGroups, "function");
  t.end();
});

t.test("what compiles also runs", async (t) => {
  const { store } = attachStore(Rooms);
  t.same([...await store.getMany("r", ["u"])], [["u", "r"]]);
  t.equal(await store.getOne("r", "u"), "r");
  t.equal(await store.getFlags("r", true, false), "rtrue,false");
  t.equal(await store.getOf({ id: "u" }, 5), "u");
  t.equal(await store.getLater(undefined, "u"), "u");
  const { store: things } = attachStore(Things<"a" | 5>);
  t.equal(await things.getThing(5), 5);
  t.equal(await things.getParts("a", 5n, null), 3);
  t.same([refused, invalidate].map((each) => typeof each), [
    "function",
    "function",
  ]);
});

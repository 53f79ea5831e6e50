// What makes a key: which arguments, of which types, and what is said of those
// that can't.

import t from "tap";
import { cached } from "../../src/caches/cached.ts";
import { keyFunction } from "../../src/caches/bind_cached.ts";
import {
  cacheBindingOf,
  wireKeyOf,
  wirePrefixOf,
} from "../../src/caches/cached_method.ts";
import type { KeyArgument } from "../../src/caches/key_parts.ts";
import { CacheRegistry } from "../../src/caches/cache_registry.ts";
import {
  formatCachesRow,
  readCachesRow,
} from "../../src/protocol/caches_row.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import { Store } from "../../src/store/store.ts";
import { attachStore, HeldStore, settled } from "../support/attached.ts";
import { keyedCache } from "../support/caches.ts";

type NoDatabase = Record<never, never>;

interface User {
  readonly id: string;
  readonly shard: number;
}

class Shapes extends HeldStore {
  @cached({ maxEntries: 10, uncachedArgs: [1] })
  getRoom(id: string, trace: object, limit?: number): Promise<string> {
    return this.begin("room", id, Object.keys(trace), limit);
  }

  @cached({ maxEntries: 10, uncachedArgs: [0, 2], tree: true })
  getMember(_: object, room: string, _log: () => void, user: string) {
    return this.begin("member", room, user);
  }

  @cached({
    maxEntries: 10,
    name: "by_shard",
    keyOf: (user: User, shard: number = user.shard) => [shard, user.id],
  })
  getUser(user: User, _shard?: number): Promise<string> {
    return this.begin("user", user.id);
  }

  @cached({ maxEntries: 10, keyOf: (user: User) => user.id })
  getName(user: User): Promise<string> {
    return this.begin("name", user.id);
  }

  @cached({
    maxEntries: 10,
    keyOf: (user: User) => user as unknown as string,
  })
  getWrong(user: User): Promise<string> {
    return this.begin("wrong", user.id);
  }

  @cached({
    maxEntries: 10,
    keyOf: (user: User): string => {
      throw new RangeError(`no key of ${user.id}`);
    },
  })
  getThrown(user: User): Promise<string> {
    return this.begin("thrown", user.id);
  }
}

t.test("uncachedArgs: the others are the key, in their order", (t) => {
  const { store, caches } = attachStore(Shapes);
  const first = store.getRoom("a", { one: 1 }, 5);
  t.equal(store.getRoom("a", { two: 2 }, 5), first);
  t.not(store.getRoom("a", { one: 1 }), first);
  t.not(store.getRoom("b", { one: 1 }, 5), first);
  t.same(store.texts, ["room a one 5", "room a one undefined", "room b one 5"]);
  caches.apply("getRoom", ["a", 5]);
  void store.getRoom("a", {}, 5);
  void store.getRoom("a", {});
  void store.getRoom("b", {}, 5);
  t.same(store.texts.slice(3), ["room a  5"]);
  t.end();
});

t.test("uncachedArgs of a tree: prefixes begin at the first that counts", (t) => {
  const { store, caches } = attachStore(Shapes);
  const read = (room: string, user: string) =>
    store.getMember({}, room, () => {}, user);
  for (const room of ["r", "s"]) {
    for (const user of ["a", "b"]) void read(room, user);
  }
  t.same(wirePrefixOf(store.getMember, ["r"]), ["r"]);
  caches.apply("getMember", wirePrefixOf(store.getMember, ["r"]));
  caches.apply("getMember", wireKeyOf(store.getMember, ["s", "b"]));
  const before = store.texts.length;
  for (const room of ["r", "s"]) {
    for (const user of ["a", "b"]) void read(room, user);
  }
  t.same(store.texts.slice(before), ["member r a", "member r b", "member s b"]);
  t.end();
});

t.test("uncachedArgs: keys are refused by their place among those that count", async (t) => {
  const { store } = attachStore(Shapes);
  const call = store.getRoom as unknown as (
    ...args: unknown[]
  ) => Promise<unknown>;
  await t.rejects(call("a", {}, NaN), {
    code: "KEY_INVALID",
    message: /^Cannot use argument 2 of "getRoom" as a key: it is NaN; /,
  });
  t.same(store.texts, []);
});

t.test("uncachedArgs that are no positions are refused", (t) => {
  for (const wrong of [-1, 0.5, NaN, "1"]) {
    class Bad extends Store<NoDatabase> {
      @cached({ maxEntries: 1, uncachedArgs: [wrong as number] })
      getIt(_id: string): Promise<void> {
        return Promise.resolve();
      }
    }
    t.throws(() => attachStore(Bad), {
      code: "INVALID_ARGUMENT",
      message: `Cannot cache method "getIt": ${wrong} in uncachedArgs is no ` +
        "position of an argument; count from 0",
    });
  }
  const both = { uncachedArgs: [1], keyOf: (id: string) => id };
  t.throws(() => keyFunction("getIt", both), {
    code: "INVALID_ARGUMENT",
    message: 'Cannot cache method "getIt": it has both keyOf and ' +
      "uncachedArgs; leave those arguments out in keyOf",
  });
  t.end();
});

t.test("keyOf makes the key, of a list or of one part", (t) => {
  const { store, caches } = attachStore(Shapes);
  const first = store.getUser({ id: "a", shard: 1 });
  t.equal(store.getUser({ id: "a", shard: 1 }), first, "by content");
  t.equal(store.getUser({ id: "a", shard: 5 }, 1), first);
  t.not(store.getUser({ id: "a", shard: 2 }), first);
  void store.getName({ id: "a", shard: 1 });
  void store.getName({ id: "a", shard: 2 });
  t.same(store.texts, ["user a", "user a", "name a"]);
  t.same(wireKeyOf(store.getUser, [{ id: "a", shard: 1 }] as never), [1, "a"]);
  t.same(
    wireKeyOf(Shapes.prototype.getName, [{ id: "a", shard: 1 }] as never),
    ["a"],
    "the class knows it, too",
  );
  caches.apply("by_shard", [1, "a"]);
  caches.apply("getName", ["a"]);
  void store.getUser({ id: "a", shard: 1 });
  void store.getUser({ id: "a", shard: 2 });
  void store.getName({ id: "a", shard: 2 });
  t.same(store.texts.slice(3), ["user a", "name a"]);
  t.end();
});

t.test("keyOf that throws, or makes no key, is a rejection", async (t) => {
  const { store, stats } = attachStore(Shapes);
  await t.rejects(store.getThrown({ id: "a", shard: 1 }), {
    message: "no key of a",
  });
  await t.rejects(store.getWrong({ id: "a", shard: 1 }), {
    code: "KEY_INVALID",
    message: /^Cannot use argument 1 of "getWrong" as a key: it is an object; /,
  });
  t.same(store.texts, []);
  t.match(stats("getWrong"), { misses: 0, entries: 0 });
});

t.test("keyOf and prefixes: only by name, as only keyOf knows what comes first", (t) => {
  class Tree extends HeldStore {
    @cached({
      maxEntries: 10,
      tree: true,
      keyOf: (user: User) => [user.shard, user.id],
    })
    getUser(user: User): Promise<string> {
      return this.begin(user.id);
    }
  }
  const { store, caches } = attachStore(Tree);
  t.throws(() => wirePrefixOf(store.getUser, [1]), {
    code: "INVALID_ARGUMENT",
    message: 'Cannot invalidate "getUser" by prefix: its keys are made by ' +
      "keyOf; give its name and the beginning of a key",
  });
  void store.getUser({ id: "a", shard: 1 });
  void store.getUser({ id: "b", shard: 1 });
  void store.getUser({ id: "c", shard: 2 });
  caches.apply("getUser", wirePrefixOf("getUser", [1]));
  t.match(caches.cacheStats(), [{ entries: 1, invalidations: 2 }]);
  t.end();
});

t.test("prefixes are refused of what is no tree, and where they are empty", (t) => {
  const { store } = attachStore(Shapes);
  t.throws(() => wirePrefixOf(store.getRoom, ["a"]), {
    code: "INVALID_ARGUMENT",
    message: 'Cannot invalidate "getRoom" by prefix: its entries are not ' +
      "found by one; decorate it with tree: true",
  });
  for (const empty of [[], [undefined], [undefined, undefined]]) {
    t.throws(() => wirePrefixOf(store.getMember, empty), {
      code: "KEY_INVALID",
      message: 'Cannot invalidate "getMember" by an empty prefix; give the ' +
        "first argument, or use invalidateAll",
    });
  }
  t.throws(() => wirePrefixOf(() => Promise.resolve(), ["a"]), {
    code: "NOT_CACHED",
  });
  t.throws(() => wirePrefixOf(store.getMember, "r" as never), {
    code: "KEY_INVALID",
    message: 'Cannot use "r" as a key of "getMember": give the array of its ' +
      "arguments",
  });
  t.end();
});

/** Keys that are told apart here, and how many of them each drops from the wire. */
const KEYS: readonly (readonly KeyArgument[])[] = [
  [],
  [null],
  [1],
  [1n],
  ["1"],
  [-1n],
  ["-1"],
  [0],
  [0n],
  ["0"],
  ["00"],
  [10n ** 30n],
  [1e30],
  [true],
  ["true"],
  ["a"],
  ["a", null],
  ["a", 1n],
  ["a", "1"],
  ["a", 1],
  ["a", undefined, "b"],
  ["a", null, "b"],
  [undefined, "b"],
  [null, "b"],
  [null, undefined, 5n],
  [undefined, null, "5"],
  ["\ud800"],
  ["é"],
  ["a\u0000b"],
];

/** Whether two keys are one on the wire, by the simplest means. */
function isAlike(one: readonly KeyArgument[], other: readonly KeyArgument[]) {
  const text = (key: readonly KeyArgument[]) =>
    JSON.stringify(
      key.map((part) => typeof part === "bigint" ? String(part) : part ?? null),
    );
  return text(one) === text(other);
}

t.test("keys are told apart, and dropped if they are alike on the wire", (t) => {
  for (const tree of [false, true]) {
    for (const key of KEYS) {
      const registry = new CacheRegistry([], silentLogger);
      const cache = keyedCache("c", { maxEntries: 100, tree });
      registry.register(cache);
      const loads = KEYS.map((each) =>
        cache.load(each, () => new Promise<void>(() => {}))
      );
      t.equal(cache.stats.entries, KEYS.length);
      t.same(
        KEYS.filter((each, index) => cache.get(each) !== loads[index]),
        [],
      );
      const row = formatCachesRow("c", wireKeyOf("c", key), 5);
      t.ok(readCachesRow(row, registry));
      const gone = KEYS.filter((each) => cache.get(each) === undefined);
      const expected = KEYS.filter((each) =>
        isAlike(tree ? each.slice(0, key.length) : each, key)
      );
      t.same(gone, expected, `${tree ? "tree" : "plain"} ${row}`);
    }
  }
  t.end();
});

t.test("arguments that are not given are undefined ones at the end", (t) => {
  for (const tree of [false, true]) {
    const cache = keyedCache("c", { maxEntries: 10, tree });
    for (const key of [[], ["a"], ["a", 1]] as KeyArgument[][]) {
      const load = cache.load(
        [...key, undefined],
        () => new Promise<void>(() => {}),
      );
      t.equal(cache.get(key), load);
      t.equal(cache.get([...key, undefined, undefined]), load);
      t.same(wireKeyOf("c", [...key, undefined, undefined]), key);
      cache.invalidate(wireKeyOf("c", [...key, undefined]) as string[]);
      t.equal(cache.get(key), undefined);
    }
    t.equal(cache.stats.entries, 0);
  }
  t.end();
});

t.test("-0 is 0: as a key, as a part, and from the wire", (t) => {
  const registry = new CacheRegistry([], silentLogger);
  const cache = keyedCache("c", { maxEntries: 10 });
  registry.register(cache);
  for (const [one, other] of [[[-0], [0]], [["a", -0], ["a", 0]]]) {
    const load = cache.load(one ?? [], () => new Promise<void>(() => {}));
    t.equal(cache.get(other ?? []), load);
    readCachesRow(formatCachesRow("c", wireKeyOf("c", one ?? []), 5), registry);
    t.equal(cache.get(one ?? []), undefined);
  }
  t.end();
});

t.test("a bigint is a key as far as it can be read back", (t) => {
  const cache = keyedCache("c", { maxEntries: 10 });
  for (const largest of [10n ** 1_000n - 1n, 1n - 10n ** 1_000n]) {
    void cache.load([largest], () => Promise.resolve());
    cache.invalidate(wireKeyOf("c", [largest]));
    t.equal(cache.stats.entries, 0);
  }
  for (const part of [10n ** 1_000n, -(10n ** 1_000n)]) {
    t.throws(() => cache.load(["a", part], () => Promise.resolve()), {
      code: "KEY_INVALID",
      message: /^Cannot use argument 2 of "c" as a key: it is a bigint of /,
    });
  }
  t.end();
});

t.test("a subclass overrides with options of its own", async (t) => {
  class Base extends HeldStore {
    @cached({ maxEntries: 10, negative: false })
    getIt(id: string): Promise<string> {
      return this.begin("base", id);
    }
  }
  class Special extends Base {
    @cached({
      maxBytes: 1_000,
      sizeOf: () => 400,
      ttlMs: 50,
      tree: true,
      onInvalidate: () => [["other", null]],
    })
    override getIt(id: string, part?: number): Promise<string> {
      return this.begin("special", id, part);
    }
    @cached({ maxEntries: 10 })
    other(): Promise<string> {
      return this.begin("other");
    }
  }
  const { store, caches, stats } = attachStore(Special);
  for (const part of [1, 2, 3]) {
    void store.getIt("a", part);
    store.end("x");
    await settled();
  }
  void store.other();
  t.match(stats("getIt"), { entries: 2, bytes: 800, evictions: 1 });
  t.equal(stats("getIt")?.maxEntries, undefined);
  t.equal(cacheBindingOf(store.getIt).isTree, true);
  t.equal(cacheBindingOf(Special.prototype.getIt).isTree, true);
  t.equal(cacheBindingOf(Base.prototype.getIt).isTree, false);
  caches.apply("getIt", wirePrefixOf(store.getIt, ["a"]));
  t.match(stats("getIt"), { entries: 0, invalidations: 2 });
  t.match(stats("other"), { entries: 0, invalidations: 1 });
  t.equal(caches.cacheStats().length, 2);
  const { store: base, stats: baseStats } = attachStore(Base);
  void base.getIt("a");
  t.match(baseStats("getIt"), { maxEntries: 10, maxBytes: undefined });
});

t.test("keyOf: an array that its caller uses again is still the key it was", async (t) => {
  class Lists extends HeldStore {
    @cached({ maxEntries: 10, ttlMs: 1e9, keyOf: (ids: string[]) => ids })
    async getAll(ids: string[]): Promise<string> {
      const taken: string[] = [];
      while (ids.length > 0) taken.push(ids.shift() as string);
      return await this.begin("all", ...taken);
    }
  }
  const { store, caches, stats } = attachStore(Lists);
  const failing = store.getAll(["a", "b"]);
  store.loads[0]?.[1].reject(new Error("down"));
  await t.rejects(failing, /down/);
  const loading = store.getAll(["a", "b"]);
  store.end("both");
  t.equal(await loading, "both", "the failure was not kept");
  t.equal(await store.getAll(["a", "b"]), "both");
  t.same(store.texts, ["all a b", "all a b"]);
  caches.apply("getAll", ["a", "b"]);
  t.equal(stats("getAll")?.entries, 0);
});

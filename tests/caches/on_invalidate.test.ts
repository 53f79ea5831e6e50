// Caches that depend on others are invalidated with them: by key, by prefix and
// as a whole, however the invalidation came.

import t from "tap";
import { z } from "zod";
import { defineCacheGroup } from "../../src/caches/cache_groups.ts";
import { CacheRegistry } from "../../src/caches/cache_registry.ts";
import { cached } from "../../src/caches/cached.ts";
import { cachedFunction } from "../../src/caches/cached_function.ts";
import type { CachedMethod } from "../../src/caches/cached_method.ts";
import type { CachedOptions } from "../../src/caches/cached_options.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import type { KeyPart } from "../../src/streams/builtin_streams.ts";
import { attachStore, HeldStore } from "../support/attached.ts";
import { manualClock } from "../support/manual_clock.ts";

type Dependents = NonNullable<CachedOptions["onInvalidate"]>;

const KEYS = [["a"], ["b"], ["a", 1], ["a", 2], ["b", 1]];

/** Caches by name, each with what it says of its dependents; and what is left in them. */
function makeCaches(dependents: Record<string, Dependents | undefined>) {
  const logged: string[] = [];
  const group = defineCacheGroup("group", z.array(z.string()), (key) => [
    ["one", key],
  ]);
  const caches = new CacheRegistry(
    [group],
    (_level, message, fields) =>
      void logged.push(`${message} ${JSON.stringify(fields)}`),
  );
  const names = Object.keys(dependents);
  const made = names.map((name) => {
    const onInvalidate = dependents[name];
    const cache = caches.create(name, {
      maxEntries: 100,
      tree: name.startsWith("tree"),
      onInvalidate,
    });
    for (const key of KEYS) void cache.load(key, () => Promise.resolve());
    return cache;
  });
  const left = () =>
    Object.fromEntries(made.map((cache) => [
      cache.name,
      KEYS.filter((key) => cache.get(key) !== undefined)
        .map((key) => key.join("")).join(" "),
    ]));
  return { caches, left, logged };
}

const ALL = "a b a1 a2 b1";
const sameKey = (name: string): Dependents => (key) => [[name, key]];

t.test("onInvalidate: an entry's dependents go with it", (t) => {
  const ways: ((caches: CacheRegistry) => void)[] = [
    (caches) => caches.apply("one", ["a"]),
    (caches) => caches.applyOne("one", "a"),
    (caches) => caches.applyAll("one", ["a"]),
    (caches) => caches.apply("group", ["a"]),
  ];
  for (const way of ways) {
    const { caches, left } = makeCaches({
      one: sameKey("two"),
      two: undefined,
      three: undefined,
    });
    way(caches);
    t.same(left(), { one: "b a1 a2 b1", two: "b a1 a2 b1", three: ALL });
    t.match(caches.stats, { applied: 1, unknown: 0, unexpandable: 0 });
  }
  t.end();
});

t.test("onInvalidate is asked whether or not the entry is there", (t) => {
  const { caches, left } = makeCaches({
    one: (key) => [["two", key && key.slice(1)]],
    two: undefined,
  });
  caches.apply("one", ["nobody", "a"]);
  t.same(left(), { one: ALL, two: "b a1 a2 b1" });
  t.end();
});

t.test("onInvalidate: null is the whole cache, and may mean one entry of another", (t) => {
  const asked: unknown[] = [];
  const { caches, left } = makeCaches({
    one: (key) => {
      asked.push(key);
      return [["two", key === null ? ["a"] : ["b"]]];
    },
    two: undefined,
  });
  caches.apply("one", null);
  t.same(left(), { one: "", two: "b a1 a2 b1" });
  t.same(asked, [null]);
  caches.apply("one", null);
  t.same(asked, [null, null], "of an empty one, too");
  t.end();
});

t.test("onInvalidate of a tree is told the prefix", (t) => {
  const { caches, left } = makeCaches({
    tree1: (key) => [["tree2", key], ["flat", key]],
    tree2: undefined,
    flat: undefined,
  });
  caches.apply("tree1", ["a"]);
  t.same(left(), { tree1: "b b1", tree2: "b b1", flat: "b a1 a2 b1" });
  t.end();
});

t.test("onInvalidate goes on from cache to cache, and round a ring once", (t) => {
  const { caches, left } = makeCaches({
    one: sameKey("two"),
    two: sameKey("three"),
    three: sameKey("one"),
    self: sameKey("self"),
  });
  caches.apply("one", ["a"]);
  const rest = "b a1 a2 b1";
  t.same(left(), { one: rest, two: rest, three: rest, self: ALL });
  caches.apply("self", ["a"]);
  caches.apply("three", null);
  t.same(left(), { one: "", two: "", three: "", self: rest });
  caches.apply("one", ["a"]);
  t.match(caches.stats, { applied: 4, unexpandable: 0, flushes: 0 });
  t.end();
});

t.test("onInvalidate without an end clears every cache", (t) => {
  let calls = 0;
  const { caches, left } = makeCaches({
    one: (key) => {
      calls += 1;
      return [["one", [...(key ?? []), calls]]];
    },
    two: undefined,
  });
  caches.apply("one", ["a"]);
  t.same(left(), { one: "", two: "" });
  t.ok(caches.stats.unexpandable > 0);
  t.end();
});

t.test("onInvalidate that fails clears every cache, and says so", (t) => {
  const wrong: [string, Dependents][] = [
    ["bad luck", () => {
      throw new RangeError("bad luck");
    }],
    ["is NaN", () => [["two", [NaN]]]],
    ["no cache", () => [[() => Promise.resolve(), ["a"]]]],
    ["not iterable", () => undefined as unknown as []],
    ['"group" is a cache group', () => [["group", ["a"]]]],
  ];
  for (const [message, onInvalidate] of wrong) {
    const { caches, left, logged } = makeCaches({
      one: onInvalidate,
      two: undefined,
    });
    caches.applyOne("one", "b");
    t.same(left(), { one: "", two: "" }, message);
    t.match(caches.stats, { unexpandable: 1, flushes: 1 });
    t.equal(logged.length, 1);
    t.match(logged[0], /^dependent caches are not known: all cleared .*"one"/);
    t.match(JSON.parse(logged[0]?.replace(/^[^{]*/, "") ?? ""), {
      error: new RegExp(message),
    });
  }
  t.end();
});

t.test("onInvalidate: a cache that this process hasn't is counted", (t) => {
  const { caches, left } = makeCaches({
    one: (key) => [["elsewhere", key], ["two", key]],
    two: undefined,
  });
  caches.apply("one", ["a"]);
  t.same(left(), { one: "b a1 a2 b1", two: "b a1 a2 b1" });
  t.match(caches.stats, { applied: 1, unknown: 1, flushes: 0 });
  t.end();
});

t.test("onInvalidate isn't asked when every cache is cleared anyway", (t) => {
  let calls = 0;
  const { caches, left } = makeCaches({
    one: () => {
      calls += 1;
      return [];
    },
  });
  caches.flush();
  t.same(left(), { one: "" });
  t.equal(calls, 0);
  t.end();
});

t.test("onInvalidate names methods and caches, with their keys", (t) => {
  class Rooms extends HeldStore {
    @cached({ maxEntries: 10, name: "topic" })
    getTopic(id: string): Promise<string> {
      return this.begin("topic", id);
    }

    @cached({ maxEntries: 10, keyOf: (room: { id: string }) => ["k", room.id] })
    getOf(room: { id: string }): Promise<string> {
      return this.begin("of", room.id);
    }

    readonly getTitle = cachedFunction(
      { store: this, name: "title", maxEntries: 10 },
      (id: string) => this.begin("title", id),
    );

    @cached({
      maxEntries: 10,
      onInvalidate: (key: readonly KeyPart[] | null) => [
        [Rooms.prototype.getTopic, key],
        ["getOf", key && ["k", String(key[0])]],
        ["title", key],
      ],
    })
    getRoom(id: string): Promise<string> {
      return this.begin("room", id);
    }
  }
  const { store, caches } = attachStore(Rooms);
  const readAll = () => {
    for (const id of ["a", "b"]) {
      void store.getRoom(id);
      void store.getTopic(id);
      void store.getOf({ id });
      void store.getTitle(id);
    }
  };
  readAll();
  caches.apply("getRoom", ["a"]);
  const before = store.texts.length;
  readAll();
  t.same(store.texts.slice(before), [
    "room a",
    "topic a",
    "of a",
    "title a",
  ]);
  caches.apply("getRoom", null);
  readAll();
  t.equal(store.texts.length, before + 12);
  t.end();
});

t.test("onInvalidate: a method whose keys keyOf makes can't be named by a key", (t) => {
  class Rooms extends HeldStore {
    @cached({ maxEntries: 10, keyOf: (room: { id: string }) => room.id })
    getOf(room: { id: string }): Promise<string> {
      return this.begin("of", room.id);
    }

    @cached({
      maxEntries: 10,
      onInvalidate: (key) => [[Rooms.prototype.getOf, key]],
    })
    getRoom(id: string): Promise<string> {
      return this.begin("room", id);
    }
  }
  // The compiler would refuse it, if it knew which method it is.
  const getOf: CachedMethod = Rooms.prototype.getOf;
  const group = defineCacheGroup(
    "room",
    z.tuple([z.string()]),
    (key) => [[getOf, key]],
  );
  for (const name of ["getRoom", "room"]) {
    const { store, caches, logged } = attachStore(Rooms, manualClock(), [
      group,
    ]);
    void store.getOf({ id: "a" });
    caches.apply(name, ["b"]);
    t.match(logged, [/made by keyOf; give its name and the key/], name);
    void store.getOf({ id: "a" });
    t.same(store.texts, ["of a", "of a"], "all is cleared");
  }
  t.end();
});

t.test("onInvalidate: two stores of one class, each cache asked for itself", (t) => {
  const caches = new CacheRegistry([], silentLogger);
  const options: CachedOptions = {
    maxEntries: 10,
    onInvalidate: (key) => [["two", key]],
  };
  const made = ["one", "one", "two", "two"].map((name) =>
    caches.create(name, name === "one" ? options : { maxEntries: 10 })
  );
  for (const cache of made) void cache.load(["a"], () => Promise.resolve());
  caches.applyOne("one", "a");
  t.same(caches.cacheStats().map(({ entries }) => entries), [0, 0, 0, 0]);
  t.end();
});

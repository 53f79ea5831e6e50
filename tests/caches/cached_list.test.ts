// Many keys, one load: what is cached is served, what is missing is fetched
// once, and each entry is kept and fenced for itself.

import t from "tap";
import { cached } from "../../src/caches/cached.ts";
import { cachedFunction } from "../../src/caches/cached_function.ts";
import {
  cachedList,
  cachedListFunction,
} from "../../src/caches/cached_list.ts";
import { type Deferred, deferred } from "../../src/runtime/waiting.ts";
import { attachStore, HeldStore, settled } from "../support/attached.ts";

type Names = ReadonlyMap<string, string | null>;

/** Lists whose loads a test ends. */
class Users extends HeldStore {
  readonly lists: [string, Deferred<Names>][] = [];

  @cached({ maxEntries: 100 })
  getName(id: string): Promise<string | null | undefined> {
    return this.begin("name", id);
  }

  @cachedList({ of: "getName" })
  getNames(ids: readonly string[]): Promise<Names> {
    return this.beginList("names", ids);
  }

  @cachedList({ of: "getName", maxKeys: 2 })
  getFew(ids: readonly string[]): Promise<Names> {
    return this.beginList("few", ids);
  }

  @cached({ maxEntries: 100, tree: true, negative: false, name: "members" })
  getMember(
    room: string,
    user: string,
    limit?: number,
  ): Promise<string | null | undefined> {
    return this.begin("member", room, user, limit);
  }

  @cachedList({ of: "getMember" })
  getMembers(room: string, users: readonly string[], limit?: number) {
    return this.beginList("members", users, room, limit);
  }

  @cachedList({ of: "getMember" })
  getInRooms(rooms: readonly string[], user: string): Promise<Names> {
    return this.beginList("in_rooms", rooms, user);
  }

  @cachedList({ of: "nobody" })
  getOfNobody(ids: readonly string[]): Promise<Names> {
    return this.beginList("nobody", ids);
  }

  @cached({ maxEntries: 100, keyOf: (id: string) => id.toLowerCase() })
  getFolded(id: string): Promise<string | null | undefined> {
    return this.begin("folded", id);
  }

  @cachedList({ of: "getFolded" })
  getAllFolded(ids: readonly string[]): Promise<Names> {
    return this.beginList("folded", ids);
  }

  beginList(...words: readonly unknown[]): Promise<Names> {
    const load = deferred<Names>();
    this.lists.push([words.map(String).join(" "), load]);
    return load.promise;
  }

  get listTexts(): string[] {
    return this.lists.map(([text]) => text);
  }

  /** Ends the list that was begun last: each item is found, in upper case. */
  endList(items: string, index = this.lists.length - 1): void {
    const found = [...items].map((id) => [id, id.toUpperCase()] as const);
    this.lists[index]?.[1].resolve(new Map(found));
  }
}

const names = (text: string) =>
  [...text].map((id) => [id, id.toUpperCase()] as [string, string]);

t.test("@cachedList loads what is missing, in one call, and keeps it one by one", async (t) => {
  const { store, stats } = attachStore(Users);
  const single = store.getName("b");
  store.end("B");
  await single;
  const list = store.getNames(["a", "b", "c"]);
  t.same(store.listTexts, ["names a,c"]);
  store.endList("ac");
  t.same([...await list], names("abc"), "in the order of the list");
  t.equal(await store.getName("a"), "A");
  t.same([...await store.getNames(["c", "a"])], names("ca"));
  t.equal(store.lists.length, 1);
  t.equal(store.loads.length, 1);
  t.match(stats("getName"), { misses: 3, hits: 4, entries: 3 });
});

t.test("@cachedList: `this` is the store, however the method is called", async (t) => {
  const { store } = attachStore(Users);
  const { getNames } = store;
  const list = getNames(["a"]);
  store.endList("a");
  t.same([...await list], names("a"));
  class Special extends Users {
    override getNames(): Promise<Names> {
      return Promise.resolve(new Map([["a", "special"]]));
    }
  }
  const special = attachStore(Special).store;
  t.same([...await special.getNames()], [["a", "special"]]);
});

t.test("@cachedList: an empty list loads nothing", async (t) => {
  const { store } = attachStore(Users);
  t.same([...await store.getNames([])], []);
  t.equal(store.lists.length, 0);
});

t.test("@cachedList: what is given twice is loaded once, and found once", async (t) => {
  const { store, stats } = attachStore(Users);
  const list = store.getNames(["a", "b", "a", "a", "b"]);
  t.same(store.listTexts, ["names a,b"]);
  store.endList("ab");
  t.same([...await list], names("ab"));
  t.match(stats("getName"), { misses: 2, hits: 0 });
});

t.test("@cachedList: lists that overlap, and single calls, share their loads", async (t) => {
  const { store } = attachStore(Users);
  const first = store.getNames(["a", "b"]);
  const second = store.getNames(["b", "c"]);
  const single = store.getName("c");
  const other = store.getName("d");
  const third = store.getNames(["a", "b", "c", "d"]);
  t.same(store.listTexts, ["names a,b", "names c"]);
  t.same(store.texts, ["name d"]);
  store.endList("c", 1);
  store.endList("ab", 0);
  store.end("D");
  t.same([...await first], names("ab"));
  t.same([...await second], names("bc"));
  t.same([await single, await other], ["C", "D"]);
  t.same([...await third], names("abcd"));
});

t.test("@cachedList: what is not found is nothing, and kept as that", async (t) => {
  const { store, caches } = attachStore(Users);
  const list = store.getNames(["a", "b", "c"]);
  store.lists[0]?.[1].resolve(new Map([["a", "A"], ["c", null]]));
  t.same([...await list], names("a"), "neither what is missing nor null");
  t.equal(await store.getName("b"), undefined);
  t.equal(await store.getName("c"), null);
  t.same([...await store.getNames(["b", "a"])], names("a"));
  t.equal(store.lists.length + store.loads.length, 1);
  caches.apply("getName", ["b"]);
  const again = store.getNames(["a", "b"]);
  t.equal(store.listTexts.at(-1), "names b");
  store.endList("b");
  t.same([...await again], names("ab"));
});

t.test("@cachedList: negative: false asks again for what was not found", async (t) => {
  const { store, stats } = attachStore(Users);
  const list = store.getMembers("r", ["a", "b"]);
  store.endList("a");
  t.same([...await list], names("a"));
  await settled();
  t.match(stats("members"), { entries: 1, loading: 0 });
  void store.getMembers("r", ["a", "b"]);
  t.same(store.listTexts, [
    "members a,b r undefined",
    "members b r undefined",
  ]);
});

t.test("@cachedList: the list may stand anywhere, beside other arguments", async (t) => {
  const { store, caches } = attachStore(Users);
  const list = store.getMembers("r", ["a", "b"], 5);
  store.endList("ab");
  t.same([...await list], names("ab"));
  t.equal(await store.getMember("r", "a", 5), "A");
  void store.getMember("r", "a");
  void store.getMember("s", "a", 5);
  t.same(store.texts, ["member r a undefined", "member s a 5"]);
  const rooms = store.getInRooms(["r", "t"], "a");
  t.equal(store.listTexts.at(-1), "in_rooms t a", "the one of r is loading");
  store.endList("t");
  store.end("R", 0);
  t.same([...await rooms], [["r", "R"], ["t", "T"]]);
  caches.apply("members", ["r"]);
  void store.getMembers("r", ["a", "b"], 5);
  t.equal(store.listTexts.at(-1), "members a,b r 5", "a prefix drops them all");
});

t.test("@cachedList: a key that is invalidated meanwhile is not kept, others are", async (t) => {
  const ways: [string, string][] = [["b", "b"], ["all", "abc"]];
  for (const [way, dropped] of ways) {
    const { store, caches, stats } = attachStore(Users);
    const list = store.getNames(["a", "b", "c"]);
    caches.apply("getName", way === "all" ? null : [way]);
    const late = store.getNames(["a", "b", "c"]);
    t.equal(store.listTexts[1], `names ${[...dropped].join()}`);
    store.endList("abc", 0);
    t.same([...await list], names("abc"), "those who asked before have it");
    await settled();
    t.equal(stats("getName")?.fenced, dropped.length);
    const found = [...dropped].map((id) => [id, `new ${id}`] as const);
    store.lists[1]?.[1].resolve(new Map(found));
    const kept = names("abc").map(([id, name]) =>
      [id, dropped.includes(id) ? `new ${id}` : name] as const
    );
    t.same([...await late], kept);
    t.same([...await store.getNames(["a", "b", "c"])], kept);
    t.equal(store.lists.length, 2);
  }
});

t.test("@cachedList: a load that fails, fails for all who wait, and is not kept", async (t) => {
  const { store, stats } = attachStore(Users);
  const calls: Promise<unknown>[] = [
    store.getNames(["a", "b"]),
    store.getNames(["b"]),
    store.getName("a"),
  ];
  store.lists[0]?.[1].reject(new RangeError("bad luck"));
  for (const call of calls) await t.rejects(call, { message: "bad luck" });
  t.match(stats("getName"), { entries: 0, failures: 2, loading: 0 });
  const again = store.getNames(["a"]);
  store.endList("a");
  t.same([...await again], names("a"));
});

t.test("@cachedList: a method that throws at once, or gives no Map, is a rejection", async (t) => {
  const results: [string, () => Promise<Names>][] = [
    ["bad luck", () => {
      throw new RangeError("bad luck");
    }],
    ...[{ a: "A" }, [["a", "A"]], undefined].map((value) =>
      [
        'Cannot load a list of "getName": the method gave no Map; return a Map ' +
        "from each item that was found to its value",
        () => Promise.resolve(value as unknown as Names),
      ] as [string, () => Promise<Names>]
    ),
  ];
  for (const [message, result] of results) {
    const { store, stats } = attachStore(Users);
    store.beginList = result;
    await t.rejects(store.getNames(["a"]), { message });
    await settled();
    t.match(stats("getName"), { entries: 0, loading: 0 });
  }
});

t.test("@cachedList: maxKeys makes several loads of one", async (t) => {
  const { store } = attachStore(Users);
  const list = store.getFew(["a", "b", "c", "d", "e"]);
  t.same(store.listTexts, ["few a,b", "few c,d", "few e"]);
  store.endList("e", 2);
  store.lists[1]?.[1].reject(new RangeError("half of it"));
  store.endList("ab", 0);
  await t.rejects(list, { message: "half of it" });
  t.equal(await store.getName("a"), "A", "the other loads are kept");
  t.equal(await store.getName("e"), "E");
  const again = store.getFew(["a", "c", "e"]);
  t.equal(store.listTexts.at(-1), "few c");
  store.endList("c");
  t.same([...await again], names("ace"));
});

t.test("@cachedList: entries that have no room are found all the same", async (t) => {
  class Few extends HeldStore {
    readonly getName = cachedFunction(
      { store: this, name: "name", maxEntries: 2 },
      (id: string) => this.begin(id),
    );
    readonly getNames = cachedListFunction(
      this.getName,
      async (ids: readonly string[]) => {
        await settled();
        return new Map(ids.map((id) => [id, id.toUpperCase()]));
      },
    );
  }
  const { store, stats } = attachStore(Few);
  t.same([...await store.getNames([..."abcdef"])], names("abcdef"));
  t.match(stats("name"), { entries: 2, evictions: 4, fenced: 4 });
});

t.test("@cachedList: what can't be a key is refused before anything is loaded", async (t) => {
  const { store, stats } = attachStore(Users);
  for (const bad of [NaN, {}, ["a"]]) {
    await t.rejects(store.getNames(["a", bad as string]), {
      code: "KEY_INVALID",
      message: /^Cannot use argument 1 of "getName" as a key: it is /,
    });
  }
  await t.rejects(store.getNames("abc" as unknown as string[]), {
    code: "KEY_INVALID",
    message:
      'Cannot load a list of "getName": none of the arguments is an array',
  });
  t.match(stats("getName"), { entries: 0, misses: 0, loading: 0 });
  t.equal(store.lists.length, 0);
});

t.test("@cachedList of a method that has no cache to share is refused", async (t) => {
  const { store } = attachStore(Users);
  await t.rejects(store.getOfNobody(["a"]), {
    code: "NOT_CACHED",
    message: 'Cannot load a list of "nobody": it has no cache; name a method ' +
      "that is decorated with @cached",
  });
  await t.rejects(store.getAllFolded(["a"]), {
    code: "INVALID_ARGUMENT",
    message: 'Cannot load a list of "getFolded": its keys are made by keyOf',
  });
  t.throws(
    () =>
      cachedListFunction(
        () => Promise.resolve(),
        () => Promise.resolve(new Map()),
      ),
    { code: "NOT_CACHED" },
  );
  t.throws(
    () =>
      cachedListFunction(
        Users.prototype.getName,
        (_: readonly string[]) => Promise.resolve(new Map()),
      ),
    {
      code: "INVALID_ARGUMENT",
      message: /^Cannot load a list of ".*": it is not attached to a store$/,
    },
  );
});

t.test("cachedList refuses a maxKeys that is none", (t) => {
  const { store } = attachStore(Users);
  for (const maxKeys of [0, -1, 1.5, NaN]) {
    const expected = {
      code: "INVALID_ARGUMENT",
      message: `Cannot load lists of "getName": maxKeys is ${maxKeys}; ` +
        "give a positive integer",
    };
    t.throws(() => cachedList({ of: "getName", maxKeys }), expected);
    const load = (_: readonly string[]) => Promise.resolve(new Map());
    t.throws(
      () => cachedListFunction(store.getName, load, { maxKeys }),
      expected,
    );
  }
  t.end();
});

t.test("cachedListFunction does what @cachedList does", async (t) => {
  const { store, caches } = attachStore(Users);
  const asked: string[] = [];
  const getNames = cachedListFunction(
    store.getMember,
    (room: string, users: readonly string[]) => {
      asked.push(`${room} ${users}`);
      return Promise.resolve(new Map(users.map((id) => [id, room + id])));
    },
    { maxKeys: 2 },
  );
  t.same([...await getNames("r", ["a", "b", "c", "a"])], [
    ["a", "ra"],
    ["b", "rb"],
    ["c", "rc"],
  ]);
  t.same(asked, ["r a,b", "r c"]);
  caches.apply("members", ["r", "b"]);
  await getNames("r", ["a", "b", "c"]);
  t.same(asked.slice(2), ["r b"]);
  t.equal(await store.getMember("r", "c"), "rc");
});

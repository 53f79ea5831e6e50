// What stores say of their caches' sizes, and of what is old, in a real writer
// and a real reader.

import process from "node:process";
import t, { type Test } from "tap";
import { cached, Store, WriterStore } from "../../mod.ts";
import type { WriterStoreOptions } from "../../mod.ts";
import { CacheMemory } from "../../src/caches/mod.ts";
import { defineStream } from "../../mod.ts";
import {
  defineChangeCache,
  DictionaryCache,
  TtlCache,
} from "../../src/caches/mod.ts";
import { z } from "zod";
import { until } from "../support/conditions.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { saveUser, type TestDatabase, Users } from "../support/stores.ts";
import { connectUsers, openUsers } from "../support/users.ts";

const notes = defineStream("notes", z.string());

const noted = defineChangeCache("noted", {
  stream: notes,
  entities: (note) => [note],
  maxEntities: 40,
});

/** A store with a cache of its own. */
class Titles extends Store<TestDatabase> {
  readonly titles = new TtlCache<string, string>({
    store: this,
    name: "titles",
    ttlMs: 1e9,
    maxEntries: 10,
  });
}

/** Reads that may be old for long, and are never loaded anew by themselves. */
class OldUsers extends Store<TestDatabase> {
  @cached({
    maxEntries: 100,
    staleWhileRevalidateMs: 1e9,
    revalidateJitterMs: 1e9,
  })
  async countUsers(): Promise<number> {
    const { count } = await this.db.selectFrom("users")
      .select((eb) => eb.fn.countAll<number>().as("count"))
      .executeTakeFirstOrThrow();
    return count;
  }
}

async function open(t: Test, sizes: Partial<WriterStoreOptions> = {}) {
  const options = {
    ...sizes,
    database: temporaryDatabase(t),
    streams: [notes],
  };
  const writer = await openUsers(t, {
    ...options,
    listen: "tcp://127.0.0.1:0",
  });
  const slaved = await connectUsers(t, writer, { ...options });
  return { writer, slaved };
}

t.test("A reader may be served what is old, but not after it has waited", async (t) => {
  const { writer, slaved } = await open(t);
  const users = slaved.attach(OldUsers);
  t.equal(await users.countUsers(), 0);
  const commit = await saveUser(writer, { id: "a", name: "A", version: 1 });
  const hasReached = () =>
    (slaved.position.get(commit.instance) ?? 0) >= commit.token;
  await until("the reader has applied it", hasReached);
  t.match(slaved.caches(), [{ entries: 0, stale: 1 }]);
  t.equal(await users.countUsers(), 0);
  t.match(slaved.caches(), [{ staleHits: 1 }]);
  await slaved.waitFor(commit);
  t.equal(await users.countUsers(), 1);
});

t.test("A handler is never served what is older than what it is given", async (t) => {
  const { writer, slaved } = await open(t);
  const users = slaved.attach(OldUsers);
  const seen: number[] = [];
  slaved.subscribe(notes, async () => void seen.push(await users.countUsers()));
  t.equal(await users.countUsers(), 0);
  await writer.transaction("save, and say so", async (txn) => {
    const user = { id: "a", name: "A", version: 1 };
    await txn.db.insertInto("users").values(user).execute();
    txn.invalidateAll("countUsers");
    await txn.write(notes, "saved");
  });
  await until("the handler was called", () => seen.length > 0);
  t.same(seen, [1]);
});

t.test("Who writes reads what was written", async (t) => {
  const { writer } = await open(t);
  const users = writer.attach(OldUsers);
  t.equal(await users.countUsers(), 0);
  const seen: Promise<number>[] = [];
  await writer.transaction("save", async (txn) => {
    const user = { id: "a", name: "A", version: 1 };
    await txn.db.insertInto("users").values(user).execute();
    txn.invalidateAll("countUsers");
    txn.afterCommit(() => void seen.push(users.countUsers()));
  });
  t.equal(await users.countUsers(), 1);
  t.same(await Promise.all(seen), [1]);
});

t.test("resizeCaches() changes live caches of both stores", async (t) => {
  const { writer, slaved } = await open(t, {
    cacheFactor: 0.5,
    cacheFactors: { countusers: 2 },
  });
  for (const store of [writer, slaved]) {
    const users = store.attach(Users);
    const bounds = () =>
      Object.fromEntries(
        store.caches().map(({ name, maxEntries }) => [name, maxEntries]),
      );
    t.same(bounds(), { getUserById: 5_000, countUsers: 20, findUsers: 50 });
    for (const id of ["a", "b", "c"]) await users.getUserById(id);
    store.resizeCaches({
      cacheFactor: 1,
      caches: { getUserById: { maxEntries: 2 } },
    });
    t.same(bounds(), { getUserById: 2, countUsers: 20, findUsers: 100 });
    t.equal(
      store.caches().find(({ name }) => name === "getUserById")?.entries,
      2,
    );
    t.throws(() => store.resizeCaches({ cacheFactor: 0 }), {
      code: "INVALID_ARGUMENT",
    });
  }
});

t.test("cacheMemory is one store's, or several stores'", async (t) => {
  const alone = await open(t, { cacheMemory: "64KiB" });
  for (const store of [alone.writer, alone.slaved]) {
    const users = store.attach(Users);
    const bytes = () =>
      store.caches().reduce((sum, { bytes = 0 }) => sum + bytes, 0);
    for (let id = 0; id < 1_000; id += 1) await users.getUserById(`${id}`);
    t.ok(bytes() > 60 * 1024 && bytes() <= 64 * 1024, `${bytes()} bytes`);
    store.resizeCaches({ cacheMemory: "16KiB" });
    t.ok(bytes() <= 16 * 1024, `${bytes()} bytes`);
  }
  const cacheMemory = new CacheMemory("64KiB");
  const { writer, slaved } = await open(t, { cacheMemory });
  for (const store of [writer, slaved]) {
    const users = store.attach(Users);
    for (let id = 0; id < 400; id += 1) await users.getUserById(`${id}`);
  }
  t.equal(cacheMemory.stats.caches, 6);
  t.ok(cacheMemory.stats.bytes <= 64 * 1024);
  await slaved.close();
  t.equal(cacheMemory.stats.caches, 3, "who closes gives its memory back");
  await writer.close();
  t.match(cacheMemory.stats, { caches: 0, bytes: 0 });
});

t.test("Change caches and plain ones are a store's, under its memory and its factors", async (t) => {
  const { writer, slaved } = await open(t, {
    cacheMemory: "64KiB",
    cacheFactor: 0.5,
    changeCaches: [noted],
  });
  const note = (from: number, count: number) =>
    writer.transaction("note", (txn) => {
      for (let each = 0; each < count; each += 1) {
        txn.write(notes, `${from + each}`);
      }
      return Promise.resolve();
    });
  for (let from = 0; from < 30; from += 1) await note(from, 1);
  const before = writer.position;
  await slaved.waitFor(await note(30, 1));
  for (const store of [writer, slaved]) {
    const { titles } = store.attach(Titles);
    const dictionaries = new DictionaryCache<string, string, string>({
      store,
      name: "dictionaries",
    });
    const listed = (name: string) =>
      store.caches().find((each) => each.name === name);
    t.match(listed("noted"), { entries: 20, maxEntries: 20, evictions: 11 });
    const { bytes = 0 } = listed("noted") ?? {};
    t.ok(bytes > 20 * 50 && bytes < 20 * 300, `${bytes} bytes`);
    t.equal(store.changes(noted).hasChanged("30", before), true);
    t.equal(store.changes(noted).hasChanged("1", before), false);
    t.match(listed("noted"), { hits: 2, misses: 0 });
    for (let key = 0; key < 9; key += 1) titles.set(`${key}`, `title ${key}`);
    t.match(listed("titles"), { entries: 5, maxEntries: 5, evictions: 4 });
    dictionaries.update(0, "a", [["b", "x".repeat(50 * 1024)]]);
    t.match(listed("dictionaries"), { entries: 1 });
    const { titles: twins } = store.attach(Titles);
    twins.set("a", "x".repeat(10 * 1024));
    twins.set("b", "x".repeat(10 * 1024));
    t.match(listed("dictionaries"), { entries: 0, evictions: 1 });
    store.resizeCaches({
      cacheFactor: 1,
      caches: { noted: { maxEntries: 3 } },
    });
    t.match(listed("noted"), { entries: 3, maxEntries: 3, evictions: 28 });
    t.equal(store.changes(noted).hasChanged("1", before), false);
    t.throws(
      () => store.resizeCaches({ caches: { noted: { maxBytes: 1 } } }),
      { code: "INVALID_ARGUMENT" },
    );
  }
  await slaved.waitFor(await note(40, 10));
  t.match(
    slaved.caches().find(({ name }) => name === "noted"),
    { entries: 0, maxEntries: 3 },
    "one token has changed more than there is room for",
  );
});

t.test("Factors from the environment take precedence", async (t) => {
  process.env.HEADWATER_CACHE_FACTOR_GETUSERBYID = "3";
  process.env.HEADWATER_CACHE_FACTOR = "0.1";
  t.teardown(() => {
    delete process.env.HEADWATER_CACHE_FACTOR_GETUSERBYID;
    delete process.env.HEADWATER_CACHE_FACTOR;
  });
  const { writer } = await open(t, { cacheFactor: 2 });
  writer.attach(Users);
  t.same(
    writer.caches().map(({ maxEntries }) => maxEntries).sort(),
    [1, 10, 30_000].sort(),
  );
  process.env.HEADWATER_CACHE_FACTOR = "a lot";
  await t.rejects(
    WriterStore.open({ database: "sqlite::memory:" }),
    { code: "INVALID_ARGUMENT" },
  );
});

// A row that names a group which the reader doesn't know: what it stands for
// can't be told, so nothing may be kept. A name of a cache that only other
// processes have is of no account.

import t, { type Test } from "tap";
import { z } from "zod";
import {
  cached,
  defineCacheGroup,
  SlavedStore,
  type SlavedStoreOptions,
  Store,
  WriterStore,
} from "../../mod.ts";
import { MAX_UNKNOWN_NAMES } from "../../src/runtime/limits.ts";
import { onEachEngine } from "../support/databases.ts";
import { createUsers, type TestDatabase, Users } from "../support/stores.ts";

const userGroup = defineCacheGroup(
  "user_group",
  z.tuple([z.string()]),
  ([id]) => [["getUserById", [id]]],
);

class Elsewhere extends Store<TestDatabase> {
  @cached({ maxEntries: 10 })
  async getElsewhere(id: string): Promise<string> {
    return await Promise.resolve(id);
  }
}

onEachEngine(t, "a group that a reader doesn't know", async (t, database) => {
  const open = (groups = [userGroup]) =>
    WriterStore.open<TestDatabase>({
      database,
      groups,
      listen: "tcp://127.0.0.1:0",
    });
  let writer = await open();
  t.teardown(() => writer.close());
  await createUsers(writer);
  const connect = (t: Test, options: Partial<SlavedStoreOptions> = {}) =>
    follow(t, { database, replicate: String(writer.url), ...options });
  const insert = (id: string, group = userGroup, by = writer) =>
    by.transaction("insert", async (txn) => {
      const user = { id, name: id, version: 1 };
      await txn.db.insertInto("users").values(user).execute();
      txn.invalidateGroup(group, [id]);
    });

  await t.test("clears every cache, and counts it", async (t) => {
    const { slaved, users } = await connect(t);
    t.equal(await users.getUserById("a"), undefined);
    await slaved.waitFor(await insert("a"));
    t.match(await users.getUserById("a"), { id: "a" });
    t.match(slaved.stats, { unknownGroups: 1, flushes: 2 });
    t.equal(await users.getUserById("b"), undefined);
    await slaved.waitFor(await insert("b"));
    t.match(await users.getUserById("b"), { id: "b" }, "the second time, too");
    t.match(slaved.stats, { unknownGroups: 2, flushes: 3 });
  });

  await t.test("as rows, and in a catch-up", async (t) => {
    const { slaved, users } = await connect(t, { maxLineBytes: 2_000 });
    t.equal(await users.getUserById("c"), undefined);
    await slaved.waitFor(await insert("c"));
    t.match(await users.getUserById("c"), { id: "c" });
    t.equal(slaved.stats.unknownGroups, 1);
    const other = await WriterStore.open<TestDatabase>({
      database,
      groups: [userGroup],
      instance: "other",
    });
    t.teardown(() => other.close());
    t.equal(await users.getUserById("d"), undefined);
    // Nobody tells of it: it is found in the log.
    await slaved.waitFor(await insert("d", userGroup, other));
    t.match(await users.getUserById("d"), { id: "d" });
    t.ok(slaved.stats.unknownGroups > 1);
  });

  await t.test("however many other names come with it", async (t) => {
    const { slaved, users } = await connect(t);
    t.equal(await users.getUserById("g"), undefined);
    await slaved.waitFor(
      await writer.transaction("insert", async (txn) => {
        const user = { id: "g", name: "g", version: 1 };
        await txn.db.insertInto("users").values(user).execute();
        for (let at = 0; at < MAX_UNKNOWN_NAMES; at += 1) {
          txn.invalidateAll(`nobody's ${at}`);
        }
        txn.invalidateGroup(userGroup, ["g"]);
      }),
    );
    t.match(await users.getUserById("g"), { id: "g" });
    t.equal(slaved.stats.unknownGroups, 1);
  });

  await t.test("a cache of others is left to them", async (t) => {
    const { slaved, users } = await connect(t);
    const elsewhere = writer.attach(Elsewhere);
    t.equal(await users.getUserById("e"), undefined);
    const { flushes } = slaved.stats;
    await slaved.waitFor(
      await writer.transaction("invalidate", (txn) => {
        txn.invalidate(elsewhere.getElsewhere, ["e"]);
        return Promise.resolve();
      }),
    );
    t.match(slaved.stats, {
      unknownGroups: 0,
      unknownInvalidations: 1,
      flushes,
    });
  });

  await t.test("what a newer writer declares is found out", async (t) => {
    const { users, slaved } = await connect(t);
    const later = defineCacheGroup(
      "getElsewhere",
      z.tuple([z.string()]),
      ([id]) => [["getUserById", [id]]],
    );
    // It is known not to be a group's.
    await slaved.waitFor(
      await writer.transaction("invalidate", (txn) => {
        txn.invalidateAll("getElsewhere");
        return Promise.resolve();
      }),
    );
    t.equal(slaved.stats.unknownGroups, 0);
    const { url } = writer;
    await writer.close();
    writer = await WriterStore.open<TestDatabase>({
      database,
      groups: [userGroup, later],
      listen: String(url),
    });
    t.equal(await users.getUserById("f"), undefined);
    await slaved.waitFor(await insert("f", later));
    t.match(await users.getUserById("f"), { id: "f" });
    t.equal(slaved.stats.unknownGroups, 1);
  });
});

async function follow(t: Test, options: SlavedStoreOptions) {
  const slaved = await SlavedStore.connect<TestDatabase>({
    minBackoffMs: 1,
    maxBackoffMs: 20,
    pollIntervalMs: 20,
    ...options,
  });
  t.teardown(() => slaved.close());
  return { slaved, users: slaved.attach(Users) };
}

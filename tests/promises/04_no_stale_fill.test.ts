// Promise 4: a load that was in flight when its entry was invalidated (by key,
// by group, with its whole cache, or by a reset) is given to those already
// waiting for it at most, and is never kept. Here the load is held open on
// purpose, after it has read the old value, in both kinds of process.

import t from "tap";
import { z } from "zod";
import { cached, defineCacheGroup, Store } from "../../mod.ts";
import { temporaryDatabase } from "../support/folders.ts";
import type { TestDatabase } from "../support/stores.ts";
import { connectUsers, openUsers } from "../support/users.ts";

const userGroup = defineCacheGroup(
  "user_group",
  z.tuple([z.string()]),
  ([id]) => [["readVersion", [id]], ["readVersionOf", [id, 1]]],
);

let hold: Promise<void> | undefined;

class HeldUsers extends Store<TestDatabase> {
  @cached({ maxEntries: 100 })
  async readVersion(id: string): Promise<number | undefined> {
    const user = await this.db.selectFrom("users").select("version")
      .where("id", "=", id).executeTakeFirst();
    await hold;
    return user?.version;
  }

  @cached({ maxEntries: 100 })
  async readVersionOf(id: string, _part: number): Promise<number | undefined> {
    const user = await this.db.selectFrom("users").select("version")
      .where("id", "=", id).executeTakeFirst();
    await hold;
    return user?.version;
  }
}

t.test("a load held open while it is invalidated", async (t) => {
  const database = temporaryDatabase(t);
  const groups = [userGroup];
  const writer = await openUsers(t, {
    database,
    listen: "tcp://127.0.0.1:0",
    groups,
  });
  const slaved = await connectUsers(t, writer, { database, groups });
  const own = writer.attach(HeldUsers);
  const remote = slaved.attach(HeldUsers);

  let version = 0;
  const write = (invalidate: "key" | "group" | "all") =>
    writer.transaction("write", async (txn) => {
      version += 1;
      const user = { id: "bob", name: "Bob", version };
      await txn.db.insertInto("users").values(user)
        .onConflict((conflict) => conflict.column("id").doUpdateSet(user))
        .execute();
      switch (invalidate) {
        case "key":
          txn.invalidate(own.readVersion, ["bob"]);
          txn.invalidate(own.readVersionOf, ["bob", 1]);
          break;
        case "group":
          txn.invalidateGroup(userGroup, ["bob"]);
          break;
        case "all":
          txn.invalidateAll(own.readVersion);
          txn.invalidateAll(own.readVersionOf);
      }
    });

  for (const [place, users] of [["writer", own], ["reader", remote]] as const) {
    const methods = [
      ["one argument", () => users.readVersion("bob")],
      ["two arguments", () => users.readVersionOf("bob", 1)],
    ] as const;
    for (const invalidate of ["key", "group", "all"] as const) {
      for (const [shape, read] of methods) {
        await t.test(`${place}, ${shape}, by ${invalidate}`, async (t) => {
          await slaved.waitFor(await write("all"));
          const old = version;
          let release = () => {};
          hold = new Promise<void>((resolve) => release = resolve);
          const before = read();
          // The load reads in this turn's microtasks, and is then held.
          await new Promise((resolve) => setImmediate(resolve));
          t.equal(read(), before, "those who come before share the load");
          await slaved.waitFor(await write(invalidate));
          hold = undefined;
          const after = read();
          t.not(after, before, "those who come after don't join it");
          t.equal(await after, version);
          release();
          t.equal(await before, old, "it read the old value indeed");
          t.equal(await read(), version, "and its end kept nothing");
        });
      }
    }
  }
});

// Promise 6: if the rows between two positions can't be had, the reader clears
// every cache before it adopts the new position.

import t from "tap";
import { DatabaseSync } from "node:sqlite";
import { SlavedStore, WriterStore } from "../../mod.ts";
import { cachedFunction } from "../../src/caches/mod.ts";
import { parseToken } from "../../src/tokens/token.ts";
import { until } from "../support/conditions.ts";
import { startFakeWriter } from "../support/fake_writer.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { saveUser, type TestDatabase, Users } from "../support/stores.ts";
import { openUsers } from "../support/users.ts";

t.test("a reader that was away", async (t) => {
  const database = temporaryDatabase(t);
  const writer = await openUsers(t, { database });
  const first = await saveUser(writer, { id: "a", name: "A", version: 1 });
  const fake = await startFakeWriter(t);
  const tell = (token: number) => `POSITION caches master ${token} ${token}\n`;
  fake.answer = tell(first.token);
  const slaved = await SlavedStore.connect<TestDatabase>({
    database,
    replicate: fake.url,
    minBackoffMs: 1,
    pollIntervalMs: 0, // Or it may read of an instance before it is told.
  });
  t.teardown(() => slaved.close());
  const users = slaved.attach(Users);
  const outside = new DatabaseSync(database.slice("sqlite:".length));
  t.teardown(() => outside.close());
  const reconnect = async () => {
    const connections = slaved.stats.connections;
    fake.cut();
    await until(
      "it is back",
      () =>
        slaved.stats.connections > connections && slaved.stats.state === "live",
    );
  };

  await t.test("keeps its caches where it missed nothing", async (t) => {
    const kept = users.getUserById("a");
    await kept;
    const { flushes } = slaved.stats;
    await reconnect();
    t.equal(users.getUserById("a"), kept);
    t.equal(slaved.stats.flushes, flushes);
  });

  await t.test("fetches what it missed, and drops only that", async (t) => {
    const [kept, dropped] = [users.getUserById("b"), users.getUserById("a")];
    await Promise.all([kept, dropped]);
    const { flushes, catchUps } = slaved.stats;
    const commit = await saveUser(writer, { id: "a", name: "A", version: 2 });
    fake.answer = tell(commit.token);
    await reconnect();
    t.ok(slaved.position.get("master") === commit.token);
    t.equal(users.getUserById("b"), kept);
    t.match(await users.getUserById("a"), { version: 2 });
    t.equal(slaved.stats.flushes, flushes);
    t.equal(slaved.stats.catchUps, catchUps + 1);
  });

  await t.test("clears all where the log does not reach back", async (t) => {
    t.match(await users.getUserById("a"), { version: 2 });
    const { flushes } = slaved.stats;
    await saveUser(writer, { id: "a", name: "A", version: 3 });
    const commit = await saveUser(writer, { id: "b", name: "B", version: 1 });
    outside.prepare("DELETE FROM headwater_log WHERE token < ?")
      .run(commit.token);
    fake.answer = tell(commit.token);
    await reconnect();
    t.equal(slaved.stats.flushes, flushes + 1);
    t.equal(slaved.position.get("master"), commit.token);
    t.match(await users.getUserById("a"), { version: 3 });
  });

  await t.test("clears all where the log has lost its end", async (t) => {
    t.match(await users.getUserById("a"), { version: 3 });
    const { flushes } = slaved.stats;
    const commit = await saveUser(writer, { id: "a", name: "A", version: 4 });
    outside.prepare("DELETE FROM headwater_log WHERE token = ?")
      .run(commit.token);
    fake.answer = tell(commit.token);
    await reconnect();
    t.equal(slaved.stats.flushes, flushes + 1);
    t.match(await users.getUserById("a"), { version: 4 });
  });

  /** May serve what was there before all was cleared. */
  const old = cachedFunction({
    store: users,
    name: "old",
    maxEntries: 9,
    staleWhileRevalidateMs: 1e6,
  }, (id: string) => users.getUserById(id));

  await t.test("clears all where the writer has gone back", async (t) => {
    t.match(await old("a"), { version: 4 });
    outside.exec("UPDATE users SET version = 0 WHERE id = 'a'");
    const { flushes } = slaved.stats;
    fake.answer = tell(first.token);
    await reconnect();
    t.equal(slaved.stats.flushes, flushes + 1);
    t.equal(slaved.position.get("master"), first.token);
    t.match(
      await old("a"),
      { version: 0 },
      "of another history it serves none",
    );
    t.match(await users.getUserById("a"), { version: 0 });
  });

  await t.test("clears what was loaded before it knew any position", async (t) => {
    t.match(await users.getUserById("a"), { version: 0 });
    t.match(await old("a"), { version: 0 });
    outside.exec("UPDATE users SET version = 9 WHERE id = 'a'");
    const other = await WriterStore.open({ database, instance: "other" });
    const { token } = await other.transaction("write", (txn) => {
      txn.invalidateAll("x");
      return Promise.resolve();
    });
    await other.close();
    fake.send(`POSITION caches other 0 ${token}\n`);
    await until(
      "it knows the instance",
      () => slaved.position.get("other") === token,
    );
    t.match(await users.getUserById("a"), { version: 9 });
    t.match(await old("a"), { version: 0 }, "served by who may serve it");
    await slaved.waitFor(new Map([["other", parseToken(7)]]));
    t.match(await old("a"), { version: 9 });
  });
});

// Promise 1: data and log rows commit or roll back together. Nothing is
// announced before its commit is durable; nothing committed goes unannounced.
// (A crash between commit and announcement: tests/crash.)

import t from "tap";
import { DatabaseSync } from "node:sqlite";
import { z } from "zod";
import { defineStream } from "../../mod.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { Users } from "../support/stores.ts";
import { connectUsers, openUsers } from "../support/users.ts";

const orders = defineStream("orders", z.object({ id: z.string() }));

t.test("WriterStore.transaction()", async (t) => {
  const database = temporaryDatabase(t);
  const writer = await openUsers(t, {
    database,
    listen: "tcp://127.0.0.1:0",
    streams: [orders],
  });
  const users = writer.attach(Users);
  const slaved = await connectUsers(t, writer, { database, streams: [orders] });
  // A connection of the test's own: what it sees is what is durable.
  const outside = new DatabaseSync(database.slice("sqlite:".length));
  t.teardown(() => outside.close());
  const count = (table: string) =>
    outside.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.n;
  const seen: string[] = [];
  slaved.subscribe(orders, ({ rows }) => {
    for (const { id } of rows) {
      const row = outside.prepare("SELECT id FROM users WHERE id = ?").get(id);
      seen.push(row === undefined ? `${id} too early` : id);
    }
  });

  await t.test("commits data, rows and events under one token", async (t) => {
    const commit = await writer.transaction("order", async (txn) => {
      await txn.db.insertInto("users")
        .values({ id: "a", name: "A", version: 1 }).execute();
      txn.write(orders, { id: "a" });
      txn.invalidate(users.getUserById, ["a"]);
      await txn.append("user:a", [{ type: "made", data: { by: "é" } }]);
      return "done";
    });
    t.equal(commit.result, "done");
    const records = outside.prepare(
      "SELECT stream, instance, row_count, length(commit_id) AS id FROM headwater_log WHERE token = ? ORDER BY stream",
    ).all(commit.token);
    t.same(
      records.map((record) => ({ ...record })),
      ["caches", "events", "orders"].map((stream) => ({
        stream,
        instance: "master",
        row_count: 1,
        id: 16,
      })),
    );
    t.equal(count("users"), 1);
    t.equal(count("headwater_appends"), 1);
    await slaved.waitFor(commit);
    t.same(seen.splice(0), ["a"]);
  });

  await t.test("rolls all of it back when the function throws", async (t) => {
    const before = [count("users"), count("headwater_log")];
    const ended: string[] = [];
    await t.rejects(
      writer.transaction("fail", async (txn) => {
        txn.afterCommit(() => ended.push("commit"));
        txn.afterRollback(() => ended.push("rollback"));
        await txn.db.insertInto("users")
          .values({ id: "b", name: "B", version: 1 }).execute();
        txn.write(orders, { id: "b" });
        await txn.append("user:b", [{ type: "made" }]);
        throw new TypeError("not today");
      }),
      { name: "TypeError", message: "not today" },
    );
    t.same(ended, ["rollback"]);
    t.same([count("users"), count("headwater_log")], before);
    t.equal(count("headwater_appends"), 1);
    const next = await writer.transaction("next", async (txn) => {
      await txn.db.insertInto("users")
        .values({ id: "c", name: "C", version: 1 }).execute();
      txn.write(orders, { id: "c" });
    });
    await slaved.waitFor(next);
    t.same(seen.splice(0), ["c"], "nothing of it was announced");
  });

  await t.test("rolls back when the commit itself fails", async (t) => {
    const before = count("headwater_log");
    outside.exec("UPDATE headwater_instances SET fence = fence + 1");
    const ended: string[] = [];
    await t.rejects(
      writer.transaction("fenced", async (txn) => {
        txn.afterCommit(() => ended.push("commit"));
        txn.afterRollback(() => ended.push("rollback"));
        await txn.db.insertInto("users")
          .values({ id: "d", name: "D", version: 1 }).execute();
      }),
      { code: "LEASE_LOST" },
    );
    outside.exec("UPDATE headwater_instances SET fence = fence - 1");
    t.same(ended, ["rollback"]);
    t.equal(count("users"), 2);
    t.equal(count("headwater_log"), before);
  });

  await t.test("announces every commit, in commit order", async (t) => {
    const ids = Array.from({ length: 300 }, (_, index) => `many${index}`);
    const commits = await Promise.all(
      ids.map((id) =>
        writer.transaction("many", async (txn) => {
          await txn.db.insertInto("users").values({ id, name: id, version: 1 })
            .execute();
          txn.write(orders, { id });
        })
      ),
    );
    for (const commit of commits) await slaved.waitFor(commit);
    t.same(seen.splice(0), ids);
  });

  await t.test("gives what changed nothing no token", async (t) => {
    const before = writer.position.get("master");
    const commit = await writer.transaction("look", async (txn) => {
      const rows = await txn.db.selectFrom("users").select("id").execute();
      return rows.length;
    });
    t.equal(commit.token, before);
    t.equal(commit.result, 302);
    await slaved.waitFor(commit);
  });

  await t.test("gives data without rows a token, and tells it", async (t) => {
    const before = Number(writer.position.get("master"));
    const commit = await writer.transaction("quiet", async (txn) => {
      await txn.db.updateTable("users").set({ version: 2 }).execute();
    });
    t.equal(commit.token, before + 1);
    await slaved.waitFor(commit, { timeoutMs: 5_000 });
  });

  await t.test("calls afterCommit callbacks once caches are right", async (t) => {
    const name = async () => (await users.getUserById("a"))?.name;
    t.equal(await name(), "A");
    let cached: Promise<string | undefined> | undefined;
    await writer.transaction("rename", async (txn) => {
      await txn.db.updateTable("users").set({ name: "AA" })
        .where("id", "=", "a").execute();
      txn.invalidate(users.getUserById, ["a"]);
      txn.afterCommit(() => cached = name());
      txn.afterCommit(() => {
        throw new Error("a callback's failure undoes nothing");
      });
    });
    t.equal(await cached, "AA");
  });
});

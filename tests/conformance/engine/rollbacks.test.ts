// What is rolled back leaves nothing, and says so.

import { sql } from "kysely";
import { add, collect, conform, range, things } from "./engines.ts";

conform("rollbacks", {
  "by an error of the function": async (t, { open }) => {
    const writer = await open();
    const error = new RangeError("mine");
    const failing = writer.transaction("fails", async (txn) => {
      await txn.db.insertInto("things").values({ id: 1, name: "x" }).execute();
      txn.invalidate("byId", [1]);
      await txn.append("a:1", [{ type: "x" }]);
      throw error;
    });
    t.equal(await failing.catch((caught) => caught), error, "the very same");
    t.same(await things(writer), []);
    t.same((await writer.readRows("caches")).rows, []);
    t.same(await collect(writer.readEvents()), []);
  },
  "by something thrown that is no error": async (t, { open }) => {
    const writer = await open();
    const failing = writer.transaction("fails", () => Promise.reject("text"));
    t.equal(await failing.catch((caught) => caught), "text");
    await add(writer, 1);
  },
  "by a function that throws at once": async (t, { open }) => {
    const writer = await open();
    await t.rejects(
      writer.transaction("fails", () => {
        throw new RangeError("at once");
      }),
      { message: "at once" },
    );
    await add(writer, 1);
  },
  "by a statement that fails": async (t, { open }) => {
    const writer = await open();
    await add(writer, 1);
    await t.rejects(writer.transaction("fails", async ({ db }) => {
      await db.insertInto("things").values({ id: 2, name: "x" }).execute();
      await db.insertInto("things").values({ id: 1, name: "x" }).execute();
    }));
    t.same(await things(writer), [1]);
  },
  "by a row that can't be": async (t, { open }) => {
    const writer = await open();
    await t.rejects(
      writer.transaction("fails", async (txn) => {
        await txn.db.insertInto("things").values({ id: 2, name: "x" })
          .execute();
        txn.write("none", {});
      }),
      { code: "STREAM_UNKNOWN" },
    );
    t.same(await things(writer), []);
  },
  "by a key that can't be": async (t, { open }) => {
    const writer = await open();
    await t.rejects(
      writer.transaction("fails", (txn) => {
        txn.invalidate("byId", [{} as never]);
        return Promise.resolve();
      }),
      { code: "KEY_INVALID" },
    );
  },
  "by too many rows": async (t, { open }) => {
    const writer = await open({ maxRowsPerTransaction: 3 });
    await t.rejects(
      writer.transaction("fails", (txn) => {
        for (const id of range(1, 4)) txn.invalidate("byId", [id]);
        return Promise.resolve();
      }),
      { code: "TRANSACTION_TOO_LARGE" },
    );
    t.same((await writer.readRows("caches")).rows, []);
  },
  "callbacks of a commit": async (t, { open }) => {
    const writer = await open();
    const calls: string[] = [];
    await writer.transaction("commits", (txn) => {
      txn.afterCommit(() => calls.push("one"));
      txn.afterRollback(() => calls.push("no"));
      txn.afterCommit(() => calls.push("two"));
      return Promise.resolve();
    });
    t.same(calls, ["one", "two"]);
  },
  "callbacks of a rollback": async (t, { open }) => {
    const writer = await open();
    const calls: string[] = [];
    await t.rejects(writer.transaction("fails", (txn) => {
      txn.afterCommit(() => calls.push("no"));
      txn.afterRollback(() => calls.push("one"));
      txn.afterRollback(() => calls.push("two"));
      return Promise.reject(new RangeError("no"));
    }));
    t.same(calls, ["one", "two"]);
  },
  "a callback that throws harms nobody": async (t, { open }) => {
    const writer = await open();
    const calls: string[] = [];
    await writer.transaction("commits", (txn) => {
      txn.afterCommit(() => {
        throw new RangeError("mine");
      });
      txn.afterCommit(() => calls.push("two"));
      return Promise.resolve();
    });
    t.same(calls, ["two"]);
  },
  "statistics count them": async (t, { open }) => {
    const writer = await open();
    const { commits, rollbacks } = writer.stats;
    await add(writer, 1);
    await t.rejects(add(writer, 1));
    await t.rejects(add(writer, 1));
    t.match(writer.stats, { commits: commits + 1, rollbacks: rollbacks + 2 });
  },
  "a table that was made is gone": async (t, { open }) => {
    const writer = await open();
    await t.rejects(writer.transaction("fails", async ({ db }) => {
      await db.schema.createTable("more").addColumn("id", "integer").execute();
      throw new RangeError("no");
    }));
    await t.rejects(
      writer.transaction("look", async ({ db }) => {
        await sql`SELECT * FROM more`.execute(db);
      }),
      { message: /more/ },
    );
  },
  "a savepoint takes back its part": async (t, { open }) => {
    const writer = await open();
    await writer.transaction("part", async ({ db }) => {
      await db.insertInto("things").values({ id: 1, name: "x" }).execute();
      await sql`SAVEPOINT part`.execute(db);
      await db.insertInto("things").values({ id: 2, name: "x" }).execute();
      await sql`ROLLBACK TO SAVEPOINT part`.execute(db);
      await db.insertInto("things").values({ id: 3, name: "x" }).execute();
    });
    t.same(await things(writer), [1, 3]);
  },
  "a deferred constraint fails the commit": async (t, { open }) => {
    const writer = await open();
    await writer.transaction("create", async ({ db }) => {
      await sql`CREATE TABLE parts (id INTEGER PRIMARY KEY, thing INTEGER
        REFERENCES things (id) DEFERRABLE INITIALLY DEFERRED)`.execute(db);
    });
    const before = writer.position;
    const calls: string[] = [];
    await t.rejects(
      writer.transaction("fails", async (txn) => {
        txn.afterCommit(() => calls.push("commit"));
        txn.afterRollback(() => calls.push("rollback"));
        txn.invalidate("byId", [1]);
        await sql`INSERT INTO parts VALUES (1, 99)`.execute(txn.db);
      }),
      { message: /foreign key/i },
    );
    t.same(calls, ["rollback"]);
    t.same(writer.position, before);
    t.same((await writer.readRows("caches")).rows, []);
    await add(writer, 1);
  },
  "many that fail beside many that don't": async (t, { open }) => {
    const writer = await open();
    const outcomes = await Promise.allSettled(
      range(1, 60).map((id) =>
        writer.transaction("mixed", async ({ db }) => {
          await db.insertInto("things").values({ id, name: "x" }).execute();
          if (id % 3 === 0) throw new RangeError("no");
        })
      ),
    );
    t.same(
      outcomes.map(({ status }) => status),
      range(1, 60).map((id) => id % 3 === 0 ? "rejected" : "fulfilled"),
    );
    t.same(await things(writer), range(1, 60).filter((id) => id % 3 !== 0));
  },
  "an append that fails halfway leaves nothing of it": async (t, { open }) => {
    const writer = await open({ maxLineBytes: 2_000 });
    const { result } = await writer.transaction("append", async (txn) => {
      const small = { type: "small", id: "small" };
      const huge = { type: "huge", data: "x".repeat(3_000) };
      await t.rejects(txn.append("a:1", [small, huge]), {
        code: "ROW_TOO_LONG",
      });
      return await txn.append("a:1", [{ ...small, data: 2 }]);
    });
    t.equal(result, 1);
    await writer.transaction("next", async (txn) => {
      t.equal(await txn.append("a:1", [{ type: "next" }]), 2);
    });
    const events = await collect(writer.readEvents());
    t.match(events, [{ version: 1, data: 2 }, { version: 2, type: "next" }]);
    t.equal(events.length, 2);
  },
});

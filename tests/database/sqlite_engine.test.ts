// One write connection: transactions one after another, whole or not at all.

import { type Kysely, sql } from "kysely";
import t from "tap";
import type { WriteSession } from "../../src/database/engine.ts";
import { openDatabase } from "../../src/database/open_database.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { deferred } from "../../src/runtime/waiting.ts";
import {
  addThing,
  openEngine,
  openThings,
  readIds,
  type ThingDatabase,
} from "../support/engines.ts";
import { temporaryDatabase } from "../support/folders.ts";

/** The only value of the only row; reads don't take raw SQL by their type. */
async function one(text: string, db: unknown): Promise<unknown> {
  const { rows } = await sql.raw<Record<string, unknown>>(text)
    .execute(db as Kysely<ThingDatabase>);
  return Object.values(rows[0] ?? {})[0];
}

t.test("a transaction commits what its function did", async (t) => {
  const engine = await openThings(t);
  const order: string[] = [];
  const value = await engine.transaction("add", async ({ db }) => {
    await addThing(db, 4);
    return "added";
  }, { committed: (value) => void order.push(`committed ${value}`) });
  order.push("returned");
  t.equal(value, "added");
  t.same(order, ["committed added", "returned"]);
  t.same(await readIds(engine.db), [1, 2, 3, 4]);
});

t.test("a transaction takes everything back if its function fails", async (t) => {
  const engine = await openThings(t);
  let committed = 0;
  const failing = engine.transaction("add", async ({ db }) => {
    await addThing(db, 4);
    await db.schema.createTable("more").addColumn("id", "integer").execute();
    throw new RangeError("changed my mind");
  }, { committed: () => void (committed += 1) });
  await t.rejects(failing, { name: "RangeError", message: "changed my mind" });
  t.equal(committed, 0);
  t.same(await readIds(engine.db), [1, 2, 3]);
  t.equal(await one("select count(*) from sqlite_schema", engine.db), 1);
  await engine.transaction("add", ({ db }) => addThing(db, 5));
  t.same(await readIds(engine.db), [1, 2, 3, 5], "and the next one works");
});

t.test("transactions run one at a time, in the order of the calls", async (t) => {
  const engine = await openThings(t, undefined, undefined, 0);
  const order: string[] = [];
  await Promise.all(
    Array.from(
      { length: 30 },
      (_, index) =>
        engine.transaction(`add ${index}`, async ({ db }) => {
          order.push(`${index} begins`);
          await addThing(db, index);
          await new Promise((resolve) => setImmediate(resolve));
          order.push(`${index} ends`);
        }, { committed: () => void order.push(`${index} committed`) }),
    ),
  );
  t.same(
    order,
    Array.from({ length: 30 }, (_, index) => [
      `${index} begins`,
      `${index} ends`,
      `${index} committed`,
    ]).flat(),
  );
});

t.test("reads never wait for an open transaction, and see only what is committed", async (t) => {
  const url = temporaryDatabase(t);
  const engine = await openThings(t, url);
  const other = openEngine(t, url);
  await engine.transaction("add", async ({ db }) => {
    await addThing(db, 4);
    t.same(await readIds(engine.db), [1, 2, 3], "beside it");
    t.same(await readIds(other.db), [1, 2, 3], "elsewhere");
    t.same(await readIds(db), [1, 2, 3, 4], "within it");
    t.same(await engine.session.rows("SELECT count(*) FROM things", []), [[3]]);
  });
  t.same(await readIds(engine.db), [1, 2, 3, 4]);
  t.same(await readIds(other.db), [1, 2, 3, 4]);
});

t.test("txn.db is unusable once the transaction has ended", async (t) => {
  const engine = await openThings(t);
  const leaked: WriteSession<ThingDatabase>["db"][] = [];
  await engine.transaction("good", ({ db }) => {
    leaked.push(db);
    return Promise.resolve();
  });
  await engine.transaction("bad", ({ db }) => {
    leaked.push(db);
    return Promise.reject(new RangeError("no"));
  }).catch(() => {});
  for (const [index, name] of ["good", "bad"].entries()) {
    const db = leaked[index] as WriteSession<ThingDatabase>["db"];
    const error = {
      code: "TRANSACTION_ENDED",
      message:
        `Cannot use txn.db: transaction "${name}" has ended; await every query within it`,
    };
    await t.rejects(addThing(db, 9), error);
    await engine.transaction("another", async () => {
      await t.rejects(addThing(db, 9), error, "nor in another's time");
    });
  }
  t.same(await readIds(engine.db), [1, 2, 3]);
});

t.test("a query that was not awaited doesn't slip into the next transaction", async (t) => {
  const engine = await openThings(t);
  const late: Promise<unknown>[] = [];
  await engine.transaction("careless", ({ db }) => {
    const query = (async () => {
      await new Promise((resolve) => setImmediate(resolve));
      await addThing(db, 9);
    })();
    // It may fail before anybody looks at it.
    query.catch(() => {});
    late.push(query);
    return Promise.resolve();
  });
  const hold = deferred<void>();
  const next = engine.transaction("next", () => hold.promise);
  await t.rejects(late[0] as Promise<unknown>, { code: "TRANSACTION_ENDED" });
  hold.resolve();
  await next;
  t.same(await readIds(engine.db), [1, 2, 3]);
});

t.test("nothing is kept after SQLite has rolled back by itself", async (t) => {
  const engine = await openThings(t);
  const cases: [
    string,
    (db: WriteSession<ThingDatabase>["db"]) => Promise<unknown>,
    RegExp,
  ][] = [
    [
      "a conflict that rolls back",
      (db) =>
        db.insertInto("things").orRollback().values({ id: 1, name: "b" })
          .execute(),
      /UNIQUE constraint failed/,
    ],
    [
      "no room",
      async (db) => {
        await sql`PRAGMA max_page_count = 3`.execute(db);
        await sql`INSERT INTO things VALUES (7, hex(randomblob(100000)))`
          .execute(db);
      },
      /database or disk is full/,
    ],
  ];
  for (const [what, breakIt, message] of cases) {
    let caught = 0;
    const failing = engine.transaction("careless", async ({ db }) => {
      await addThing(db, 4);
      await breakIt(db).catch(() => caught += 1);
      // Without a transaction, this would be kept for itself.
      await addThing(db, 5).catch(() => caught += 1);
      await addThing(db, 6);
    });
    await t.rejects(failing, { message }, what);
    t.equal(caught, 2);
    t.same(await readIds(engine.db), [1, 2, 3], what);
    await engine.transaction("room again", async ({ db }) => {
      await sql`PRAGMA max_page_count = 1000000`.execute(db);
    });
  }
  const swallowed = engine.transaction("careless", async ({ db }) => {
    await addThing(db, 4);
    await cases[0]?.[1](db).catch(() => {});
  });
  await t.rejects(swallowed, { message: /UNIQUE/ }, "nor called a success");
  t.same(await readIds(engine.db), [1, 2, 3]);
});

t.test("an error that ends nothing may be caught", async (t) => {
  const engine = await openThings(t);
  await engine.transaction("careful", async ({ db }) => {
    await addThing(db, 4);
    await t.rejects(addThing(db, 1), { message: /UNIQUE constraint failed/ });
    await addThing(db, 5);
  });
  t.same(await readIds(engine.db), [1, 2, 3, 4, 5]);
});

t.test("txn.db begins and ends no transaction", async (t) => {
  const engine = await openThings(t);
  await engine.transaction("raw", async ({ db }) => {
    await addThing(db, 4);
    for (
      const text of ["COMMIT", " end transaction", "rollback", "BEGIN"]
    ) {
      await t.rejects(sql.raw(text).execute(db), {
        code: "INVALID_ARGUMENT",
        message: /the store begins and ends transactions itself/,
      }, text);
    }
    t.throws(() => db.transaction(), { message: /not supported/ });
    await sql`savepoint a`.execute(db);
    await addThing(db, 5);
    await sql`rollback to a`.execute(db);
    await sql`release a`.execute(db);
  });
  t.same(await readIds(engine.db), [1, 2, 3, 4], "savepoints are the user's");
});

t.test("a streamed query left open doesn't outlive its transaction", async (t) => {
  const url = temporaryDatabase(t);
  const engine = await openThings(t, url);
  const other = openEngine(t, url);
  for (const fails of [false, true]) {
    const leaked: AsyncIterator<{ id: number }>[] = [];
    await engine.transaction("leak", async ({ db }) => {
      const rows = db.selectFrom("things").select("id").stream(1);
      leaked.push(rows[Symbol.asyncIterator]());
      t.match(await leaked[0]?.next(), { done: false });
      if (fails) throw new RangeError("no");
    }).catch(() => {});
    // It would keep the write connection at what it has seen.
    const [id] = (await readIds(engine.db)).slice(-1) as [number];
    await other.transaction("elsewhere", ({ db }) => addThing(db, id + 1));
    await engine.transaction("here", ({ db }) => addThing(db, id + 2));
    await t.rejects(Promise.resolve(leaked[0]?.next()), {
      code: "TRANSACTION_ENDED",
    });
  }
  t.same(await readIds(engine.db), [1, 2, 3, 4, 5, 6, 7]);
});

t.test("a transaction within a transaction is refused in the end", async (t) => {
  const engine = await openThings(t, undefined, { queueTimeoutMs: 50 });
  await engine.transaction("outer", async ({ db }) => {
    await addThing(db, 4);
    await t.rejects(
      engine.transaction("inner", ({ db }) => addThing(db, 5)),
      {
        code: "DATABASE_BUSY",
        message:
          /waited 50 ms for the write connection, held by "outer"; end that one first \(is one opened within the other\?\)/,
      },
    );
  });
  t.same(await readIds(engine.db), [1, 2, 3, 4]);
});

t.test("a transaction too many in the queue is refused at once", async (t) => {
  const engine = await openThings(t, undefined, { maxQueuedTransactions: 2 });
  const hold = deferred<void>();
  const add = (id: number) =>
    engine.transaction(`add ${id}`, ({ db }) => addThing(db, id));
  const running = engine.transaction("hold", () => hold.promise);
  const queued = [add(4), add(5)];
  await t.rejects(add(6), {
    code: "DATABASE_BUSY",
    message: /^Cannot run "add 6": 2 wait for the write connection already/,
  });
  hold.resolve();
  await Promise.all([running, ...queued]);
  t.same(await readIds(engine.db), [1, 2, 3, 4, 5]);
});

t.test("another process's lock is waited for, and named at last", async (t) => {
  const url = temporaryDatabase(t);
  const engine = await openThings(t, url);
  const other = openEngine(t, url, { busyTimeoutMs: 20 });
  await engine.transaction("hold", async () => {
    await t.rejects(other.transaction("add", ({ db }) => addThing(db, 4)), {
      code: "DATABASE_BUSY",
      message:
        /^Cannot run "add" on ".*": database is locked; another process holds the lock; try again, or raise busyTimeoutMs$/,
    });
  });
  await other.transaction("add", ({ db }) => addThing(db, 4));
  t.same(await readIds(engine.db), [1, 2, 3, 4]);
});

t.test("close() comes after what was called for, however long the queue", async (t) => {
  const engine = await openThings(t, undefined, { maxQueuedTransactions: 1 });
  const hold = deferred<void>();
  const running = engine.transaction("hold", () => hold.promise);
  const queued = engine.transaction("add", ({ db }) => addThing(db, 4));
  const closing = [engine.close(), engine.close()];
  hold.resolve();
  await Promise.all([running, queued]);
  await t.resolves(Promise.all(closing));
  await engine.close();
  const late = engine.transaction("late", () => Promise.resolve());
  await t.rejects(late, {
    code: "CLOSED",
    message: /^Cannot run "late": database ".*" is closed; open it again$/,
  });
  await t.rejects(readIds(engine.db), { code: "CLOSED" });
});

t.test("hasWritten tells whether anything was changed", async (t) => {
  const engine = await openThings(t);
  const statements: [string, boolean][] = [
    ["SELECT * FROM things", false],
    ["UPDATE things SET name = 'x' WHERE id = 99", false],
    ["DELETE FROM things WHERE id = 99", false],
    ["INSERT INTO things VALUES (1, 'x') ON CONFLICT DO NOTHING", false],
    ["PRAGMA user_version", false],
    ["UPDATE things SET name = 'x' WHERE id = 1", true],
    ["INSERT INTO things VALUES (10, 'x')", true],
    ["INSERT INTO things VALUES (11, 'x') RETURNING id", true],
    [
      "WITH n AS (SELECT 12 AS id) INSERT INTO things SELECT id, 'x' FROM n",
      true,
    ],
    ["REPLACE INTO things VALUES (1, 'y')", true],
    ["DELETE FROM things WHERE id = 12", true],
    ["CREATE TABLE more (id INTEGER)", true],
    ["ALTER TABLE more ADD COLUMN name TEXT", true],
    ["CREATE INDEX more_id ON more (id)", true],
    ["DROP TABLE more", true],
  ];
  for (const [text, expected] of statements) {
    const hasWritten = await engine.transaction(text, async (session) => {
      await sql.raw(text).execute(session.db);
      return await session.hasWritten();
    });
    t.equal(hasWritten, expected, text);
  }
  const streamed = await engine.transaction("stream", async (session) => {
    const rows = session.db.insertInto("things")
      .values({ id: 20, name: "x" }).returning("id").stream();
    for await (const { id } of rows) t.equal(id, 20);
    return await session.hasWritten();
  });
  t.ok(streamed, "rows that are returned one by one");
});

t.test("the database is in WAL mode, as safe as it was asked to be", async (t) => {
  for (const synchronous of [undefined, "full", "normal"] as const) {
    const engine = openDatabase<ThingDatabase>(
      temporaryDatabase(t),
      systemClock,
      { synchronous, busyTimeoutMs: 1_234 },
    );
    t.teardown(() => engine.close());
    await engine.transaction("look", async ({ db }) => {
      // "full" adds the fsync that NORMAL leaves out, on another thread.
      t.equal(await one("PRAGMA synchronous", db), 1, `${synchronous}`);
      t.equal(await one("PRAGMA journal_mode", db), "wal");
      t.equal(await one("PRAGMA busy_timeout", db), 0);
      t.equal(await one("PRAGMA wal_autocheckpoint", db), 0);
    });
    t.equal(await one("PRAGMA journal_mode", engine.db), "wal");
    t.equal(await one("PRAGMA busy_timeout", engine.db), 1_234);
  }
});

t.test("an unknown synchronous is refused before anything is made", (t) => {
  t.throws(
    () => openEngine(t, undefined, { synchronous: "off" as "full" }),
    {
      code: "INVALID_ARGUMENT",
      message: /synchronous is "off"; give "full" or "normal"$/,
    },
  );
  t.end();
});

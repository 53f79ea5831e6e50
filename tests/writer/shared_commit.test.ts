// Transactions that share one commit of SQLite's: each fails alone, none is
// told of before it is durable, and order is kept.

import { once } from "node:events";
import fs from "node:fs";
import { connect } from "node:net";
import t, { type Test } from "tap";
import { SqliteDurability } from "../../src/database/sqlite_durability.ts";
import {
  cached,
  Store,
  WriterStore,
  type WriterStoreOptions,
} from "../../mod.ts";
import { temporaryDatabase, temporaryFolder } from "../support/folders.ts";

interface Database {
  things: { id: number; name: string };
  parts: { id: number; thing: number };
}

class Things extends Store<Database> {
  @cached({ maxEntries: 10 })
  async countThings(): Promise<number> {
    const rows = await this.db.selectFrom("things").select("id").execute();
    return rows.length;
  }
}

async function openWriter(
  t: Test,
  options: Partial<WriterStoreOptions> = {},
): Promise<WriterStore<Database>> {
  const writer = await WriterStore.open<Database>({
    database: temporaryDatabase(t),
    ...options,
  });
  t.teardown(() => writer.close());
  await writer.transaction("create", async ({ db }) => {
    await db.schema.createTable("things")
      .addColumn("id", "integer", (column) => column.primaryKey())
      .addColumn("name", "text", (column) => column.notNull()).execute();
    await db.schema.createTable("parts")
      .addColumn("id", "integer", (column) => column.primaryKey())
      .addColumn("thing", "integer", (column) =>
        column.references("things.id")
          .onDelete("restrict").notNull())
      .execute();
  });
  return writer;
}

async function idsOf(writer: WriterStore<Database>): Promise<number[]> {
  const { result } = await writer.transaction(
    "look",
    async ({ db }) =>
      await db.selectFrom("things").select("id").orderBy("id").execute(),
  );
  return result.map(({ id }) => id);
}

const numbers = (count: number) =>
  Array.from({ length: count }, (_, index) => index + 1);

t.test("of many at once, those that fail fail alone", async (t) => {
  for (const synchronous of ["full", "normal"] as const) {
    const writer = await openWriter(t, { synchronous });
    const ended: string[] = [];
    const outcomes = await Promise.allSettled(
      numbers(100).map((id) =>
        writer.transaction("add", async (txn) => {
          txn.afterCommit(() => ended.push(`commit ${id}`));
          txn.afterRollback(() => ended.push(`rollback ${id}`));
          await txn.db.insertInto("things").values({ id, name: "x" }).execute();
          txn.invalidate("byId", [id]);
          // A constraint, an error of the user's own, and one that was caught.
          if (id % 10 === 3) {
            await txn.db.insertInto("things").values({ id, name: "y" })
              .execute();
          }
          if (id % 10 === 5) throw new RangeError("no");
          if (id % 10 === 7) {
            await txn.db.insertInto("things").values({ id, name: "y" })
              .execute().catch(() => {});
          }
        })
      ),
    );
    const isGood = (id: number) => id % 10 !== 3 && id % 10 !== 5;
    t.same(
      outcomes.map(({ status }) => status === "fulfilled"),
      numbers(100).map(isGood),
    );
    t.same(await idsOf(writer), numbers(100).filter(isGood));
    t.same(
      ended.filter((text) => text.startsWith("commit")),
      numbers(100).filter(isGood).map((id) => `commit ${id}`),
      "told of in the order of the calls",
    );
    t.equal(ended.length, 100);
    const tokens = outcomes.flatMap((outcome) =>
      outcome.status === "fulfilled" ? [outcome.value.token] : []
    );
    t.same(tokens, tokens.toSorted((a, b) => a - b));
    t.equal(new Set(tokens).size, tokens.length);
    const { rows } = await writer.readRows("caches", { limit: 1_000 });
    t.equal(rows.length, tokens.length, "a log row for each, and no other");
  }
});

t.test("a common commit that fails is made again, one by one", async (t) => {
  const writer = await openWriter(t);
  const outcomes = await Promise.allSettled(
    numbers(20).map((id) =>
      writer.transaction("add", async ({ db }) => {
        await db.insertInto("things").values({ id, name: "x" }).execute();
        if (id !== 7) return;
        // Found out by COMMIT only, which all twenty share.
        const { sql } = await import("kysely");
        await sql`PRAGMA defer_foreign_keys = ON`.execute(db);
        await db.insertInto("parts").values({ id, thing: 999 }).execute();
      })
    ),
  );
  const failed = outcomes.flatMap((outcome, index) =>
    outcome.status === "rejected" ? [index + 1] : []
  );
  t.same(failed, [7]);
  t.match(outcomes[6], { reason: { message: /FOREIGN KEY/ } });
  t.same(await idsOf(writer), numbers(20).filter((id) => id !== 7));
  const attempts = outcomes.map((outcome) =>
    outcome.status === "fulfilled" ? outcome.value.attempts : 0
  );
  t.ok(Math.max(...attempts) <= 2, `${attempts}`);
});

t.test("a statement that ends the transaction for all harms its own only", async (t) => {
  const writer = await openWriter(t);
  await writer.transaction(
    "one",
    ({ db }) => db.insertInto("things").values({ id: 0, name: "x" }).execute(),
  );
  const { sql } = await import("kysely");
  const outcomes = await Promise.allSettled(
    numbers(20).map((id) =>
      writer.transaction("add", async ({ db }) => {
        await db.insertInto("things").values({ id, name: "x" }).execute();
        if (id === 9) {
          await sql`INSERT OR ROLLBACK INTO things VALUES (0, 'y')`.execute(db);
        }
      })
    ),
  );
  const failed = outcomes.flatMap((outcome, index) =>
    outcome.status === "rejected" ? [index + 1] : []
  );
  t.same(failed, [9]);
  t.same(await idsOf(writer), [0, ...numbers(20).filter((id) => id !== 9)]);
});

t.test("one that waits for something else holds nobody's commit up twice", async (t) => {
  const writer = await openWriter(t);
  const slow = () =>
    writer.transaction("slow", async ({ db }) => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      await db.selectFrom("things").select("id").execute();
    });
  await slow();
  const order: string[] = [];
  const quick = writer.transaction("quick", (txn) => {
    txn.invalidateAll("byId");
    return Promise.resolve();
  }).then(() => order.push("quick"));
  const second = slow().then(() => order.push("slow"));
  await Promise.all([quick, second]);
  t.same(order, ["quick", "slow"], "committed before the slow one began");
});

t.test("one that waits for another's acknowledgement gets it", async (t) => {
  const writer = await openWriter(t);
  const write = (name: string, id: number) =>
    writer.transaction(name, async ({ db }) => {
      await db.insertInto("things").values({ id, name }).execute();
    });
  /** Four in line, the third of which waits for the second; how often it ran. */
  const runFour = async (base: number, isUsed: boolean) => {
    const first = write("write", base);
    const second = write("write", base + 1);
    let runs = 0;
    const third = writer.transaction("wait", async ({ db }) => {
      runs += 1;
      if (isUsed) await db.selectFrom("things").select("id").execute();
      await second;
      await db.insertInto("things").values({ id: base + 2, name: "x" })
        .execute();
    });
    const fourth = write("write", base + 3);
    await Promise.all([first, second, third, fourth]);
    const ids = (await idsOf(writer)).filter((id) => id >= base);
    t.same(ids, [base, base + 1, base + 2, base + 3]);
    return runs;
  };
  await write("write", 1);
  await write("wait", 2);
  t.equal(await runFour(10, false), 1, "it had not used the database");
  // It is taken back if it shares their commit; on a busy machine it may come
  // a moment too late for that.
  const runs: number[] = [];
  for (let base = 100; runs.at(-1) !== 2 && base < 5_000; base += 100) {
    await write("wait", base + 50);
    runs.push(await runFour(base + 60, true));
  }
  t.equal(runs.at(-1), 2, `run again as it had used the database: ${runs}`);
  t.ok(runs.slice(0, -1).every((count) => count === 1));
});

t.test("nothing is told of before the disk has it", async (t) => {
  const path = `${temporaryFolder(t)}/test.db`;
  fs.writeFileSync(`${path}-wal`, "log");
  const durability = new SqliteDurability(path);
  t.teardown(() => durability.close());
  const told: number[] = [];
  const presses = numbers(5).map((id) => durability.press(() => told.push(id)));
  t.same(told, [], "not in the turn of the commit");
  await Promise.all(presses);
  t.same(told, numbers(5));
  const later = durability.press(() => told.push(6));
  t.equal(told.length, 5);
  await later;
  t.equal(told.length, 6);
});

t.test("a disk that can't be pressed is told, and nothing more is acknowledged", async (t) => {
  // There is no such file, as when a disk has gone away.
  const durability = new SqliteDurability(`${temporaryFolder(t)}/none.db`);
  const told: number[] = [];
  for (let attempt = 0; attempt < 2; attempt += 1) {
    await t.rejects(durability.press(() => told.push(attempt)), {
      code: "COMMIT_UNKNOWN",
      message:
        /^Cannot press database ".*none.db" on the disk: .*may be lost in a power failure; .*open it again/,
    });
  }
  t.same(told, []);
  await durability.close();
});

t.test("a commit that the disk refuses is made once, said so, and the last one", async (t) => {
  const database = temporaryDatabase(t);
  const writer = await openWriter(t, {
    database,
    listen: "tcp://127.0.0.1:0",
  });
  const things = writer.attach(Things);
  t.equal(await things.countThings(), 0);
  const failures = refuseDisk(t);
  const ended: string[] = [];
  let runs = 0;
  const add = (id: number) =>
    writer.transaction("add", async (txn) => {
      runs += 1;
      txn.afterCommit(() => ended.push("commit"));
      await txn.db.insertInto("things").values({ id, name: "x" }).execute();
      await txn.append(`thing:${id}`, [{ type: "added" }]);
    });
  const before = writer.position;
  failures.begin();
  await t.rejects(add(1), {
    code: "COMMIT_UNKNOWN",
    message:
      /^Cannot press database .*: EIO.*; the transaction is committed, but may be lost in a power failure; .*open it again, and read what is there/,
  });
  failures.end();
  t.equal(runs, 1);
  await t.rejects(add(2), {
    code: "DATABASE_UNAVAILABLE",
    message: /^Cannot run "add" .*check the disk, close the store and open it/,
  });
  t.equal(runs, 1, "refused before it runs");
  t.same(ended, []);
  t.equal(writer.stats.retries, 0);
  t.same(writer.position, before, "nobody is told of it");
  t.equal(await things.countThings(), 1, "what is in the database is read");
  const { port } = new URL(writer.url as string);
  await t.rejects(
    once(connect(Number(port), "127.0.0.1"), "connect"),
    { code: "ECONNREFUSED" },
    "nobody vouches for what readers have",
  );
  await writer.close();
  const again = await openAgain(t, database);
  t.same(await idsOf(again), [1]);
  const types: string[] = [];
  for await (const { type } of again.readEvents()) types.push(type);
  t.same(types, ["added"]);
  t.ok([...again.position][0]?.[1] as number > ([...before][0]?.[1] as number));
});

t.test("what runs while the disk refuses is taken back", async (t) => {
  const database = temporaryDatabase(t);
  const writer = await openWriter(t, { database });
  const failures = refuseDisk(t);
  const add = (id: number, work = () => Promise.resolve()) =>
    writer.transaction(`add ${id}`, async ({ db }) => {
      await db.insertInto("things").values({ id, name: "x" }).execute();
      await work();
    });
  const second = Promise.withResolvers<void>();
  failures.begin(second.promise);
  const first = add(1);
  const outcomes = await Promise.allSettled([
    first,
    add(2, async () => {
      second.resolve();
      await first.catch(() => {});
    }),
  ]);
  t.match(outcomes, [
    { reason: { code: "COMMIT_UNKNOWN" } },
    { reason: { code: "DATABASE_UNAVAILABLE" } },
  ]);
  failures.end();
  await writer.close();
  t.same(await idsOf(await openAgain(t, database)), [1]);
});

/** The name is free, and what was acknowledged or said to be unknown is there. */
async function openAgain(
  t: Test,
  database: string,
): Promise<WriterStore<Database>> {
  const writer = await WriterStore.open<Database>({ database });
  t.teardown(() => writer.close());
  return writer;
}

/** A disk that answers with EIO for a while. */
function refuseDisk(
  t: Test,
): { begin(when?: Promise<void>): void; end(): void } {
  const { fdatasync } = fs;
  const { __promisify__ } = fdatasync;
  const end = () => void (fs.fdatasync = fdatasync);
  t.teardown(end);
  return {
    begin(when = Promise.resolve()) {
      const refuse = (_: number, done: fs.NoParamCallback) =>
        void when.then(() => done(new Error("EIO: i/o error, fdatasync")));
      fs.fdatasync = Object.assign(refuse, { __promisify__ });
    },
    end,
  };
}

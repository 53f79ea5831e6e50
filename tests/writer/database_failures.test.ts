// What the database refuses, and for whom another try would do.

import { sql } from "kysely";
import t, { type Test } from "tap";
import { WriterStore, type WriterStoreOptions } from "../../mod.ts";
import { onEachEngine } from "../support/databases.ts";
import { postgresDatabase, sharedPostgres } from "../support/postgres.ts";

interface Database {
  my_appends: { aggregate: string };
}

async function openWriter(
  t: Test,
  database: string,
  options: Partial<WriterStoreOptions> = {},
): Promise<WriterStore<Database>> {
  const writer = await WriterStore.open<Database>({ database, ...options });
  t.teardown(() => writer.close());
  return writer;
}

t.test("PostgreSQL: a statement that takes too long is ended", async (t) => {
  const database = await postgresDatabase(t);
  const writer = await openWriter(t, database, { statementTimeoutMs: 100 });
  let runs = 0;
  await t.rejects(
    writer.transaction("sleep", async ({ db }) => {
      runs += 1;
      await sql`SELECT pg_sleep(60)`.execute(db);
    }),
    {
      code: "DATABASE_BUSY",
      message:
        /^Cannot run "sleep" on "postgres:.*statement timeout; .*or raise statementTimeoutMs/,
    },
  );
  t.equal(runs, 1, "it would take as long again");
  const commit = await writer.transaction(
    "append",
    (txn) => txn.append("a:1", [{ type: "x" }]),
  );
  t.equal(commit.result, 1, "the store goes on");
});

onEachEngine(
  t,
  "a table of the user's that is called alike is the user's",
  async (t, database) => {
    const writer = await openWriter(t, database);
    let runs = 0;
    const insert = () =>
      writer.transaction("insert", async ({ db }) => {
        runs += 1;
        await db.insertInto("my_appends").values({ aggregate: "a" }).execute();
      });
    await writer.transaction(
      "create",
      ({ db }) =>
        db.schema.createTable("my_appends")
          .addColumn("aggregate", "text", (column) => column.primaryKey())
          .execute(),
    );
    await insert();
    await t.rejects(insert(), { message: /unique/i });
    t.equal(runs, 2, "no other try would do");
    t.equal(writer.stats.retries, 0);
  },
);

t.test("PostgreSQL: whatever the server refuses a connection for is told of", async (t) => {
  const database = await postgresDatabase(t);
  const { run, terminateBackends } = await sharedPostgres();
  const name = new URL(database).pathname.slice(1);
  const allow = (yes: boolean) =>
    run(`ALTER DATABASE ${name} WITH ALLOW_CONNECTIONS ${yes}`);
  await allow(false);
  await t.rejects(WriterStore.open({ database }), {
    code: "DATABASE_UNAVAILABLE",
    message:
      /not currently accepting connections; the server ended the connection; /,
    cause: { code: "55000", severity: "FATAL" },
  });
  await allow(true);
  const writer = await openWriter(t, database);
  await allow(false);
  await terminateBackends(database);
  const append = (maxAttempts: number) =>
    writer.transaction(
      "append",
      (txn) => txn.append("a:1", [{ type: "x" }]),
      { maxAttempts },
    );
  await t.rejects(append(2), { code: "DATABASE_UNAVAILABLE" });
  t.equal(writer.stats.retries, 1, "it may pass");
  await allow(true);
  t.equal((await append(2)).result, 1);
});

t.test("PostgreSQL: appends that meet are run again, whatever the tables are called", async (t) => {
  const database = await postgresDatabase(t);
  const writer = await openWriter(t, database, {
    tablePrefix: "My_",
    schema: "Ours",
  });
  const commits = await Promise.all(
    Array.from({ length: 8 }, () =>
      writer.transaction(
        "append",
        (txn) => txn.append("a:1", [{ type: "x" }]),
        { maxAttempts: 50 },
      )),
  );
  t.same(
    commits.map(({ result }) => result).toSorted((a, b) => a - b),
    [1, 2, 3, 4, 5, 6, 7, 8],
  );
  t.ok(writer.stats.retries > 0);
});

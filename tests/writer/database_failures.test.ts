// What the database refuses, and for whom another try would do.

import { sql } from "kysely";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import {
  SlavedStore,
  Store,
  WriterStore,
  type WriterStoreOptions,
} from "../../mod.ts";
import { openAdmin } from "../../src/admin/mod.ts";
import { until } from "../support/conditions.ts";
import { onEachEngine } from "../support/databases.ts";
import { mountDisk } from "../support/mounts.ts";
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

t.test("PostgreSQL: pools and statements are bounded as they are told", async (t) => {
  const database = await postgresDatabase(t);
  const { run } = await sharedPostgres();
  const count = async (is: string) =>
    (await run(
      `SELECT count(*)::int FROM pg_stat_activity
      WHERE datname = current_database() AND application_name ${is}`,
      database,
    ))[0]?.[0];
  const twenty = (work: (n: number) => Promise<unknown>) =>
    Promise.all(Array.from({ length: 20 }, (_, n) => work(n)));
  const writer = await openWriter(t, database, { maxWriteConnections: 3 });
  await twenty((n) =>
    writer.transaction("append", (txn) => txn.append(`${n}`, [{ type: "x" }]))
  );
  t.equal(await count("~ '^headwater (?!reads)'"), 3);
  await writer.close();
  await until(
    "its connections are gone",
    async () => await count("LIKE 'headwater %'") === 0,
  );
  const slaved = await SlavedStore.connect<Database>({
    database,
    replicate: [],
    maxReadConnections: 2,
    statementTimeoutMs: 100,
  });
  t.teardown(() => slaved.close());
  class Reads extends Store<Database> {
    async sleep(seconds: number): Promise<void> {
      await sql`SELECT pg_sleep(${sql.lit(seconds)})`.execute(this.db as never);
    }
    async inTransaction(): Promise<void> {
      await this.db.transaction().execute((trx) =>
        sql`SELECT 1`.execute(trx as never)
      );
    }
  }
  const reads = slaved.attach(Reads);
  await twenty(() => reads.sleep(0));
  t.equal(await count("= 'headwater reads'"), 2);
  await twenty(() => reads.inTransaction());
  t.equal(await count("= 'headwater reads'"), 4, "as many for transactions");
  await t.rejects(reads.sleep(60), { code: "DATABASE_BUSY" });
});

t.test("SQLite: a full disk fails what is written, and nothing else", async (t) => {
  const folder = mountDisk(t, "size=2m");
  if (folder === undefined) {
    t.comment("this process may not mount");
    return;
  }
  const database = `sqlite:${join(folder, "app.db")}`;
  const replicate = `memory:${folder}`;
  const writer = await openWriter(t, database, { listen: replicate });
  const slaved = await SlavedStore.connect({ database, replicate });
  t.teardown(() => slaved.close());
  const ballast = join(folder, "ballast");
  const written: number[] = [];
  const append = async (n: number) => {
    const data = `${n} `.padEnd(3_000, "x");
    const commit = await writer.transaction(
      "append",
      (txn) => txn.append("a:1", [{ type: "x", data }]),
    );
    written.push(n);
    return commit;
  };
  for (const bytes of [600_000, 200_000]) {
    writeFileSync(ballast, new Uint8Array(bytes));
    const lanes = await Promise.allSettled([1, 2, 3, 4].map(async (lane) => {
      while (true) await append(lane);
    }));
    for (const lane of lanes) {
      t.match(lane, {
        reason: { code: "DATABASE_FULL", message: /free some space/ },
      });
    }
    rmSync(ballast);
    await slaved.waitFor(await append(0));
    const read: number[] = [];
    for await (const { data } of slaved.readEvents()) {
      read.push(Number.parseInt(String(data)));
    }
    t.same(read.toSorted(), written.toSorted(), "what was acknowledged");
  }
  await using admin = await openAdmin(database);
  t.same((await admin.verify()).problems, []);
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
        async (txn) => {
          // They stay apart, then.
          await sql`SELECT 1`.execute(txn.db);
          return await txn.append("a:1", [{ type: "x" }]);
        },
        { maxAttempts: 50 },
      )),
  );
  t.same(
    commits.map(({ result }) => result).toSorted((a, b) => a - b),
    [1, 2, 3, 4, 5, 6, 7, 8],
  );
  t.ok(writer.stats.retries > 0);
});

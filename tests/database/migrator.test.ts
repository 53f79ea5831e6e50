// The library's own tables: made once, upgraded in order, never downgraded.

import { sql } from "kysely";
import t, { type Test } from "tap";
import type { Engine } from "../../src/database/engine.ts";
import {
  migrate,
  type Migration,
  readSchemaVersion,
} from "../../src/database/migrator.ts";
import { LOG_MIGRATIONS } from "../../src/log/log_schema.ts";
import { openEngine, type ThingDatabase } from "../support/engines.ts";

const FIRST: Migration = {
  version: 1,
  name: "first",
  statements: () => [
    "CREATE TABLE one (id INTEGER)",
    "INSERT INTO one VALUES (1)",
  ],
};
const SECOND: Migration = {
  version: 2,
  name: "second",
  statements: () => ["ALTER TABLE one ADD COLUMN name TEXT"],
};

function run(
  engine: Engine<ThingDatabase>,
  migrations: readonly Migration[],
): Promise<void> {
  return engine.transaction(
    "migrate",
    (session) => migrate(session, migrations, 7),
  );
}

function version(engine: Engine<ThingDatabase>): Promise<number> {
  return readSchemaVersion(engine.session);
}

async function withTable(t: Test, statement: string) {
  const engine = openEngine(t);
  await engine.transaction(
    "foreign",
    ({ db }) => sql.raw(statement).execute(db),
  );
  return engine;
}

t.test("migrate() makes the tables once", async (t) => {
  const engine = openEngine(t);
  t.equal(await version(engine), 0);
  for (let round = 0; round < 3; round += 1) {
    await run(engine, [FIRST]);
    t.equal(await version(engine), 1);
    t.same(await engine.session.rows("SELECT * FROM one", []), [[1]]);
  }
  t.same(
    await engine.session.rows("SELECT * FROM headwater_migrations", []),
    [[1, "first", 7]],
  );
});

t.test("migrate() brings older tables up to date", async (t) => {
  const engine = openEngine(t);
  await run(engine, [FIRST]);
  await run(engine, [FIRST, SECOND]);
  t.equal(await version(engine), 2);
  t.same(await engine.session.rows("SELECT * FROM one", []), [[1, null]]);
});

t.test("migrate() refuses tables that are newer than it knows", async (t) => {
  const engine = openEngine(t);
  await run(engine, [FIRST, SECOND]);
  await t.rejects(run(engine, [FIRST]), {
    code: "SCHEMA_TOO_NEW",
    message: "Cannot use this database: its tables have version 2, and this " +
      "release knows up to 1; upgrade headwater",
  });
  t.equal(await version(engine), 2);
});

t.test("migrate() leaves nothing of a migration that fails", async (t) => {
  const engine = openEngine(t);
  await run(engine, [FIRST]);
  const broken = {
    ...SECOND,
    statements: () => [...SECOND.statements("sqlite"), "NONSENSE"],
  };
  await t.rejects(run(engine, [FIRST, broken]), { message: /syntax error/ });
  t.equal(await version(engine), 1);
  t.same(await engine.session.rows("SELECT * FROM one", []), [[1]]);
});

t.test("migrate() refuses another's table of our name", async (t) => {
  for (const columns of ["id INTEGER, name TEXT", "version INTEGER"]) {
    const engine = await withTable(
      t,
      `CREATE TABLE headwater_migrations (${columns})`,
    );
    await t.rejects(run(engine, [FIRST]), {
      code: "DATABASE_INVALID",
      message:
        /^Cannot use this database: its table of migrations is not headwater's \(columns .*\); rename that table, give another tablePrefix, or give another database$/,
    });
    await t.rejects(version(engine), { code: "DATABASE_INVALID" });
  }
});

t.test("LOG_MIGRATIONS are numbered without a gap, and can be applied", async (t) => {
  t.same(
    LOG_MIGRATIONS.map(({ version }) => version),
    LOG_MIGRATIONS.map((_, index) => index + 1),
  );
  const engine = openEngine(t);
  await run(engine, LOG_MIGRATIONS);
  const tables = await engine.session.rows(
    "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name",
    [],
  );
  t.same(tables.flat(), [
    "headwater_appends",
    "headwater_calls",
    "headwater_event_ids",
    "headwater_holders",
    "headwater_instances",
    "headwater_log",
    "headwater_meta",
    "headwater_migrations",
    "headwater_parked",
    "headwater_projections",
    "headwater_retained",
    "headwater_snapshots",
    "headwater_time_ranges",
  ]);
});

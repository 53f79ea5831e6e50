/**
 * The library's own tables, version by version.
 *
 * @module
 */

import { HeadwaterError } from "../runtime/errors.ts";
import type { Session, SqlDialect } from "./engine.ts";

/** One step: the statements that lead from the version before to this one. */
export interface Migration {
  /** 1, 2, 3, … without a gap. */
  readonly version: number;
  /** What it does, for people. */
  readonly name: string;
  /** Its statements, in order. */
  readonly statements: (dialect: SqlDialect) => readonly string[];
}

const READ_COLUMNS: Readonly<Record<SqlDialect, string>> = {
  sqlite: "SELECT name FROM pragma_table_info('headwater_migrations')",
  postgres: "SELECT attname::text FROM pg_attribute WHERE NOT attisdropped " +
    "AND attnum > 0 AND attrelid = to_regclass('headwater_migrations')",
};

/** Any number will do, so long as nobody else takes it: "headwate" in ASCII. */
const MIGRATION_LOCK = "SELECT pg_advisory_xact_lock(7522525897052092517)";

/**
 * The version of the library's tables in a database; 0 where there are none.
 *
 * @param session Where to look.
 * @throws {HeadwaterError} `DATABASE_INVALID` if a table has our name and another shape.
 */
export async function readSchemaVersion(session: Session): Promise<number> {
  const columns = await session.rows(READ_COLUMNS[session.dialect], []);
  if (columns.length === 0) return 0;
  const names = columns.map(([name]) => name);
  if (!names.includes("version") || !names.includes("applied_ms")) {
    throw new HeadwaterError(
      "DATABASE_INVALID",
      "Cannot use this database: its table of migrations is not headwater's " +
        `(columns ${names.join(", ")}); rename that table, give another ` +
        "tablePrefix, or give another database",
    );
  }
  const [row] = await session.rows(
    "SELECT max(version) FROM headwater_migrations",
    [],
  );
  return Number(row?.[0] ?? 0);
}

/**
 * Brings the library's tables to the newest version, in the caller's transaction.
 *
 * @param session A session that may write.
 * @param migrations All there are, oldest first.
 * @param nowMs The wall-clock time to record.
 * @param schema PostgreSQL: the schema to make first.
 * @throws {HeadwaterError} `SCHEMA_TOO_NEW` if the database has a version this release doesn't know.
 */
export async function migrate(
  session: Session,
  migrations: readonly Migration[],
  nowMs: number,
  schema?: string,
): Promise<void> {
  const { dialect } = session;
  if (dialect === "postgres") {
    // Processes that start together would make the same tables.
    await session.rows(MIGRATION_LOCK, []);
    if (schema !== undefined) {
      await session.run(`CREATE SCHEMA IF NOT EXISTS "${schema}"`, []);
    }
  }
  const found = await readSchemaVersion(session);
  requireKnownVersion(found, migrations);
  if (found === 0) {
    await session.run(
      `CREATE TABLE IF NOT EXISTS headwater_migrations (
        version INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        applied_ms BIGINT NOT NULL
      )`,
      [],
    );
  }
  for (const { version, name, statements } of migrations) {
    if (version <= found) continue;
    for (const statement of statements(dialect)) {
      await session.run(statement, []);
    }
    await session.run(
      "INSERT INTO headwater_migrations (version, name, applied_ms) VALUES (?, ?, ?)",
      [version, name, nowMs],
    );
  }
}

/**
 * Refuses a database that a newer release has written.
 *
 * @param found The version of the tables there.
 * @param migrations All that this release knows.
 * @throws {HeadwaterError} `SCHEMA_TOO_NEW`.
 */
export function requireKnownVersion(
  found: number,
  migrations: readonly Migration[],
): void {
  const known = migrations.at(-1)?.version ?? 0;
  if (found <= known) return;
  throw new HeadwaterError(
    "SCHEMA_TOO_NEW",
    `Cannot use this database: its tables have version ${found}, and this ` +
      `release knows up to ${known}; upgrade headwater`,
  );
}

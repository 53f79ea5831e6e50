/**
 * The library's own tables, version by version.
 *
 * @module
 */

import { HeadwaterError } from "../runtime/errors.ts";
import type { Session } from "./engine.ts";

/** One step: the statements that lead from the version before to this one. */
export interface Migration {
  /** 1, 2, 3, … without a gap. */
  readonly version: number;
  /** What it does, for people. */
  readonly name: string;
  /** Its statements, in order. */
  readonly statements: readonly string[];
}

const TABLE = "headwater_migrations";

/**
 * The version of the library's tables in a database; 0 where there are none.
 *
 * @param session Where to look.
 * @throws {HeadwaterError} `DATABASE_INVALID` if a table has our name and another shape.
 */
export async function readSchemaVersion(session: Session): Promise<number> {
  const columns = await session.rows(
    "SELECT name FROM pragma_table_info(?)",
    [TABLE],
  );
  if (columns.length === 0) return 0;
  const names = columns.map(([name]) => name);
  if (!names.includes("version") || !names.includes("applied_ms")) {
    throw new HeadwaterError(
      "DATABASE_INVALID",
      `Cannot use this database: its table "${TABLE}" is not headwater's ` +
        `(columns ${
          names.join(", ")
        }); rename that table, or give another database`,
    );
  }
  const [row] = await session.rows(`SELECT max(version) FROM ${TABLE}`, []);
  return Number(row?.[0] ?? 0);
}

/**
 * Brings the library's tables to the newest version, in the caller's transaction.
 *
 * @param session A session that may write.
 * @param migrations All there are, oldest first.
 * @param nowMs The wall-clock time to record.
 * @throws {HeadwaterError} `SCHEMA_TOO_NEW` if the database has a version this release doesn't know.
 */
export async function migrate(
  session: Session,
  migrations: readonly Migration[],
  nowMs: number,
): Promise<void> {
  const found = await readSchemaVersion(session);
  requireKnownVersion(found, migrations);
  if (found === 0) {
    await session.run(
      `CREATE TABLE IF NOT EXISTS ${TABLE} (
        version INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        applied_ms INTEGER NOT NULL
      )`,
      [],
    );
  }
  for (const { version, name, statements } of migrations) {
    if (version <= found) continue;
    for (const statement of statements) await session.run(statement, []);
    await session.run(
      `INSERT INTO ${TABLE} (version, name, applied_ms) VALUES (?, ?, ?)`,
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

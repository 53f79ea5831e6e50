/**
 * Which log it is.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";
import { readSchemaVersion } from "../database/migrator.ts";

/** The first version of the tables that has it. */
const IDENTITY_VERSION = 4;

/**
 * The random id that a log was given when its tables were made, as 16
 * hexadecimal digits: the same in each of its replicas, and after a restore.
 *
 * @param session Where the log is.
 * @returns The id; `undefined` if an older release's tables have none.
 */
export async function readLogId(session: Session): Promise<string | undefined> {
  if (await readSchemaVersion(session) < IDENTITY_VERSION) return undefined;
  const [row] = await session.rows(
    "SELECT value FROM headwater_meta WHERE name = 'log_id'",
    [],
  );
  return row === undefined ? undefined : String(row[0]);
}

const READ_LIFE = `SELECT pg_postmaster_start_time()::text || ' ' ||
  pg_relation_filenode('headwater_log'::regclass)::text`;

/**
 * A text that changes when a PostgreSQL server has been started again, another
 * one has taken its place, or the log's table has been made anew: whatever else,
 * the database can't have been restored while it stays the same.
 *
 * @param session Where the log is.
 * @returns The text; `undefined` for SQLite, whose files tell.
 */
export async function readDatabaseLife(
  session: Session,
): Promise<string | undefined> {
  if (session.dialect === "sqlite") return undefined;
  const [row] = await session.rows(READ_LIFE, []);
  return String(row?.[0]);
}

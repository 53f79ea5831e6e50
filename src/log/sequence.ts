/**
 * PostgreSQL's sequence of tokens, kept ahead of the log.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";

/**
 * The last token that the database knows of, if the sequence would give it, or
 * one before it, again.
 */
const READ_BEHIND = `SELECT known.token FROM headwater_tokens, (SELECT greatest(
    (SELECT max(token) FROM headwater_log),
    (SELECT max(greatest(last_token, position)) FROM headwater_instances),
    (SELECT max(floor_token) FROM headwater_retained)) AS token) AS known
  WHERE last_value - CASE WHEN is_called THEN 0 ELSE 1 END < known.token`;

/** A token is taken with this table locked in a weaker mode: see `postgres_append.ts`. */
const LOCK = "LOCK TABLE headwater_log IN SHARE ROW EXCLUSIVE MODE";

/**
 * Sees to it that no token is given twice, where the sequence stands behind the
 * log: a backup was restored without it, logical replication does not copy it,
 * or somebody has set it. It is never lowered. SQLite has none.
 *
 * @param session A transaction of whoever begins to write.
 */
export async function raiseSequence(session: Session): Promise<void> {
  if (session.dialect === "sqlite") return;
  if ((await session.rows(READ_BEHIND, [])).length === 0) return;
  // Another may raise it, and take tokens, at this very moment.
  await session.run(LOCK, []);
  const [row] = await session.rows(READ_BEHIND, []);
  if (row === undefined) return;
  await session.rows("SELECT setval('headwater_tokens', ?::bigint)", [
    Number(row[0]),
  ]);
}

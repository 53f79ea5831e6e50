/**
 * How far a log can be read without stepping over a transaction that commits late.
 *
 * @module
 */

import type { Session, SqlValue } from "../database/engine.ts";
import type { Clock } from "../runtime/clock.ts";
import { pause } from "../runtime/waiting.ts";
import { parseToken, type Token } from "../tokens/token.ts";
import { LAST_TOKEN } from "./log_key.ts";

/**
 * SQLite: the last token there is, or was before retention deleted its record:
 * commits are in token order.
 */
const LAST_RECORDED = `SELECT max(
  coalesce((SELECT ${LAST_TOKEN.sqlite} FROM headwater_log), 0),
  coalesce((SELECT max(floor_token) FROM headwater_retained), 0))`;

/** The last token that was taken, committed or not. */
const LAST_TAKEN =
  "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM headwater_tokens";

/**
 * The transactions that hold the lock which inserting takes; no reader does.
 * Prepared ones are among them.
 */
const OPEN_WRITERS = `SELECT DISTINCT virtualtransaction FROM pg_locks
  WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted
  AND relation = 'headwater_log'::regclass
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;

const LOOK_INTERVAL_MS = 1;
const MAX_LOOK_INTERVAL_MS = 50;

/** What {@linkcode readHorizon} waits with. */
export interface HorizonOptions {
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

/**
 * A token up to which no row can appear in the log any more, whoever writes.
 *
 * - SQLite: the newest token, whether its record is still there or not. Commits
 *   are serial, and so in token order.
 * - PostgreSQL: the last token that was taken, once every transaction that
 *   might have taken one by then has ended. A token is taken by the statement
 *   that inserts into the log, which holds a lock on that table until its
 *   transaction ends; one that takes the lock later takes a later token. So:
 *   read the sequence, then who holds the lock, and wait until none of those
 *   does. Nobody is held up, other transactions of the server don't matter,
 *   and a process that was killed counts for as long as its backend lives: no
 *   clock is trusted.
 *
 * What is read afterwards sees everything up to the token.
 *
 * @param session Any session of the database the log is written in; not of a replica.
 * @throws The signal's reason, once it is aborted.
 */
export async function readHorizon(
  session: Session,
  { clock, signal }: HorizonOptions,
): Promise<Token> {
  if (session.dialect === "sqlite") {
    return await readToken(session, LAST_RECORDED);
  }
  const horizon = await readToken(session, LAST_TAKEN);
  await waitForWriters(session, { clock, signal });
  return horizon;
}

/**
 * Waits until every transaction that may be inserting into the log now has
 * ended. PostgreSQL only; SQLite has one writer, who holds its lock.
 */
async function waitForWriters(
  session: Session,
  { clock, signal }: HorizonOptions,
): Promise<void> {
  let open = await readWriters(session);
  let delayMs = LOOK_INTERVAL_MS;
  while (open.size > 0) {
    signal?.throwIfAborted();
    await pause(clock, delayMs, signal);
    delayMs = Math.min(delayMs * 2, MAX_LOOK_INTERVAL_MS);
    const now = await readWriters(session);
    open = new Set([...open].filter((writer) => now.has(writer)));
  }
}

async function readWriters(session: Session): Promise<Set<SqlValue>> {
  const rows = await session.rows(OPEN_WRITERS, []);
  return new Set(rows.map(([writer]) => writer as SqlValue));
}

async function readToken(session: Session, sql: string): Promise<Token> {
  const [row] = await session.rows(sql, []);
  return parseToken(Number(row?.[0] ?? 0));
}

/**
 * The log's key, where the engines differ.
 *
 * SQLite appends to and scans a table in the order of an `INTEGER PRIMARY KEY`
 * a fifth faster than one with any other key. So its `id` is the token and, in
 * the last nine bits, an ordinal of the record among the token's, by stream;
 * `token` is computed from it, and only conditions on `id` are sought.
 *
 * @module
 */

import type { SqlDialect } from "../database/engine.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import { EVENTS_STREAM, NO_STREAM } from "./log_schema.ts";

/** Streams of one transaction on SQLite: their ordinals fit on either side of that of `events`. */
const MAX_STREAMS = 255;

/** Of the record of the stream `events`, so that it is found by its token alone. */
const EVENTS_ORDINAL = 256;

/** The order of records: ascending tokens, those of a token by stream. */
export const LOG_ORDER: Readonly<Record<SqlDialect, string>> = {
  sqlite: "id",
  postgres: "token, stream",
};

/** The order of records, the newest first. */
export const NEWEST_FIRST: Readonly<Record<SqlDialect, string>> = {
  sqlite: "id DESC",
  postgres: "token DESC",
};

/** The last token there is; NULL if there is none. */
export const LAST_TOKEN: Readonly<Record<SqlDialect, string>> = {
  sqlite: "max(id) >> 9",
  postgres: "max(token)",
};

/**
 * The end of a statement that gives as many rows as its last parameter says.
 * SQLite plans a statement anew each time, which takes 10 µs, where the
 * parameter stands alone: how many rows are wanted may change its plan.
 */
export const UP_TO_SIZE = "LIMIT (? + 0)";

/** A statement for each engine. */
export function perDialect(
  statement: (dialect: SqlDialect) => string,
): Readonly<Record<SqlDialect, string>> {
  return { sqlite: statement("sqlite"), postgres: statement("postgres") };
}

/**
 * A condition on a record's token.
 *
 * @param bound What it is compared with: an SQL expression.
 */
export function tokenIs(
  dialect: SqlDialect,
  compare: ">" | ">=" | "<" | "<=",
  bound = "?",
): string {
  if (dialect === "postgres") return `token ${compare} ${bound}`;
  const isNext = compare === ">" || compare === "<=";
  return `id ${compare.startsWith(">") ? ">=" : "<"} ${
    isNext ? `(${bound} + 1)` : bound
  } << 9`;
}

/** The condition of the records of one token, and its parameters. */
export function tokenAt(
  dialect: SqlDialect,
  token: number,
): readonly [sql: string, parameters: readonly number[]] {
  return dialect === "postgres"
    ? ["token = ?", [token]]
    : [`${tokenIs(dialect, ">=")} AND ${tokenIs(dialect, "<=")}`, [
      token,
      token,
    ]];
}

/**
 * The condition of a token's record of the stream `events`. PostgreSQL is to
 * look by the log's key: while it knows nothing of a new log, it takes all events
 * for a few, would look through them for each token, and keep to that plan.
 *
 * @param record What the log's table is called in the statement.
 * @param token An SQL expression.
 */
export function isEventsOf(
  dialect: SqlDialect,
  record: string,
  token: string,
): string {
  return dialect === "postgres"
    ? `${record}.token = ${token} AND ` +
      `${record}.stream = (SELECT '${EVENTS_STREAM}')`
    : `${record}.id = (${token} << 9) + ${EVENTS_ORDINAL} AND ` +
      `${record}.stream = '${EVENTS_STREAM}'`;
}

/**
 * The streams of a transaction's records, in the order of their ordinals on
 * SQLite; one that stands for none if there is none.
 *
 * @throws {HeadwaterError} `TRANSACTION_TOO_LARGE` for too many.
 */
export function toRecordStreams(
  bodies: ReadonlyMap<string, unknown>,
): readonly string[] {
  if (bodies.size > MAX_STREAMS) {
    throw new HeadwaterError(
      "TRANSACTION_TOO_LARGE",
      `Cannot write to ${bodies.size} streams in one transaction: SQLite's log ` +
        `takes ${MAX_STREAMS}; use several transactions`,
    );
  }
  if (bodies.size === 0) return [NO_STREAM];
  const streams = [...bodies.keys()];
  return streams.length === 1 ? streams : streams.sort();
}

/** The ordinal of the record of one of {@linkcode toRecordStreams}. */
export function toOrdinal(stream: string, index: number): number {
  if (stream === EVENTS_STREAM) return EVENTS_ORDINAL;
  return stream < EVENTS_STREAM ? index : index + EVENTS_ORDINAL + 1;
}

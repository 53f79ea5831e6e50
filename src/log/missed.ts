/**
 * Reading what a reader has missed: joined by the database, as a million small
 * transactions are too many to hand over one by one.
 *
 * @module
 */

import type { Session, SqlDialect } from "../database/engine.ts";
import { parseToken, type Token } from "../tokens/token.ts";
import { ROW_SEPARATOR } from "./log_schema.ts";
import type { LogRange } from "./read.ts";
import type { LogRecord } from "./record.ts";

/** Some of a range's transactions, all that a reader needs of them at once. */
export interface MissedPage {
  /** The token before its first. */
  readonly after: Token;
  /** The token up to which the range is contained. */
  readonly upTo: Token;
  /** Whether the range goes on after {@linkcode upTo}. */
  readonly isLimited: boolean;
  readonly transactions: number;
  /** Rows in all streams. */
  readonly rows: number;
  /** Characters in all streams. */
  readonly chars: number;
  /** Rows of the stream that was asked for. */
  readonly joinedRows: number;
  /** Those rows, with {@linkcode ROW_SEPARATOR} between them. */
  readonly joined: string;
}

const JOIN: Readonly<Record<SqlDialect, string>> = {
  sqlite: "group_concat(body, char(10))",
  postgres: "string_agg(body, chr(10))",
};

/** Grouped in the order of the log's key, so that nothing is sorted. */
function readPage(dialect: SqlDialect): string {
  return `SELECT max(token), count(*), sum(row_count), sum(chars),
    sum(joined_count), ${JOIN[dialect]}
  FROM (
    SELECT token, sum(row_count) AS row_count, sum(length(body)) AS chars,
      sum(CASE WHEN stream = ? THEN row_count ELSE 0 END) AS joined_count,
      max(CASE WHEN stream = ? THEN body END) AS body
    FROM headwater_log WHERE token > ? AND token <= ? AND instance = ?
    GROUP BY token ORDER BY token LIMIT ?
  ) AS page`;
}

const READ_PAGE: Readonly<Record<SqlDialect, string>> = {
  sqlite: readPage("sqlite"),
  postgres: readPage("postgres"),
};

const MEASURE = `SELECT count(*), sum(bytes) FROM (
    SELECT sum(octet_length(body)) AS bytes
    FROM headwater_log WHERE token > ? AND token <= ? AND instance = ?
    GROUP BY token ORDER BY token LIMIT ?
  ) AS page`;

const RANGE = "token > ? AND token <= ? AND instance = ?";
const COUNT_ROWS = `SELECT stream, sum(row_count) FROM headwater_log
  WHERE ${RANGE} AND stream <> ? AND row_count > 0 GROUP BY stream`;

/**
 * Reads the beginning of a range.
 *
 * @param session Where to read.
 * @param range Which instance's, and which tokens.
 * @param stream The stream whose rows to give.
 * @param size How many transactions at most.
 */
export async function readMissedPage(
  session: Session,
  { instance, after, upTo }: LogRange,
  stream: string,
  size: number,
): Promise<MissedPage> {
  const [row = []] = await session.rows(
    READ_PAGE[session.dialect],
    [stream, stream, after, upTo, instance, size],
  );
  const [last, transactions, rows, chars, joinedRows, joined] = row;
  const isLimited = Number(transactions) === size && Number(last) < upTo;
  return {
    after,
    upTo: isLimited ? parseToken(Number(last)) : upTo,
    isLimited,
    transactions: Number(transactions),
    rows: Number(rows),
    chars: Number(chars),
    joinedRows: Number(joinedRows),
    joined: typeof joined === "string" ? joined : "",
  };
}

/**
 * How many of a range's first transactions are no longer together than a bound,
 * bodies unread; 1 at least. The next may be a thousand times as long as those
 * before.
 *
 * @param size How many at most.
 * @param maxBytes The bound.
 */
export async function measureMissed(
  session: Session,
  { instance, after, upTo }: LogRange,
  size: number,
  maxBytes: number,
): Promise<number> {
  let fitting = size;
  while (fitting > 1) {
    const [row = []] = await session.rows(
      MEASURE,
      [after, upTo, instance, fitting],
    );
    const bytes = Number(row[1] ?? 0);
    if (bytes <= maxBytes) return fitting;
    const found = Number(row[0]);
    fitting = Math.max(1, Math.floor(found * maxBytes / bytes / 2));
  }
  return fitting;
}

/** Rows of a page by stream, but for one. */
export async function countMissedRows(
  session: Session,
  { instance, after, upTo }: LogRange,
  exceptStream: string,
): Promise<[string, number][]> {
  const found = await session.rows(
    COUNT_ROWS,
    [after, upTo, instance, exceptStream],
  );
  return found.map(([stream, rows]) => [String(stream), Number(rows)]);
}

/** The records of some streams, by token. */
export async function readMissedRecords(
  session: Session,
  { instance, after, upTo }: LogRange,
  streams: readonly string[],
): Promise<LogRecord[]> {
  const found = await session.rows(
    `SELECT token, stream, body FROM headwater_log WHERE ${RANGE}
    AND stream IN (${streams.map(() => "?")}) ORDER BY token, stream`,
    [after, upTo, instance, ...streams],
  );
  return found.map(([token, stream, body]) => ({
    token: parseToken(Number(token)),
    stream: String(stream),
    rows: String(body).split(ROW_SEPARATOR),
  }));
}

/**
 * Reading the log between two tokens, in pages that never split a token.
 *
 * @module
 */

import type { Session, SqlValue } from "../database/engine.ts";
import { PAGE_RECORDS } from "../runtime/limits.ts";
import { parseToken, type Token, TOKEN_ZERO } from "../tokens/token.ts";
import { NO_STREAM, ROW_SEPARATOR } from "./log_schema.ts";
import type { LogRecord } from "./record.ts";

/** What to read: `after < token <= upTo`. */
export interface LogRange {
  /** The writing instance. */
  readonly instance: string;
  /** The token before the first to read. */
  readonly after: Token;
  /** The last token to read. */
  readonly upTo: Token;
  /** Only this stream; all by default. */
  readonly stream?: string | undefined;
}

/** Some of a range's records. */
export interface LogPage {
  /** Whole transactions, in token order; records of one token stand together. */
  readonly records: readonly LogRecord[];
  /** The token up to which the range is contained. */
  readonly upTo: Token;
  /** Whether the range goes on after {@linkcode upTo}. */
  readonly isLimited: boolean;
}

const COLUMNS = "SELECT token, stream, body FROM headwater_log";
const RANGE = "token > ? AND token <= ? AND instance = ?";
const READ_PAGE =
  `${COLUMNS} WHERE ${RANGE} ORDER BY token, stream LIMIT ${PAGE_RECORDS}`;
const READ_STREAM_PAGE =
  `${COLUMNS} WHERE ${RANGE} AND stream = ? ORDER BY token LIMIT ${PAGE_RECORDS}`;
const READ_TOKEN =
  `${COLUMNS} WHERE token = ? AND instance = ? ORDER BY stream`;

/**
 * Reads the beginning of a range; call again from `upTo` while it is limited.
 *
 * @param session Where to read.
 * @param range What to read.
 */
export async function readLogPage(
  session: Session,
  range: LogRange,
): Promise<LogPage> {
  const { instance, after, upTo, stream } = range;
  const found = stream === undefined
    ? await session.rows(READ_PAGE, [after, upTo, instance])
    : await session.rows(READ_STREAM_PAGE, [after, upTo, instance, stream]);
  if (found.length < PAGE_RECORDS) {
    return { records: toRecords(found), upTo, isLimited: false };
  }
  // The last token may go on beyond the page: leave it to the next one.
  const last = found.at(-1)?.[0];
  const whole = found.filter(([token]) => token !== last);
  if (whole.length === 0) {
    const all = await session.rows(READ_TOKEN, [last as SqlValue, instance]);
    const token = parseToken(Number(last));
    return { records: toRecords(all), upTo: token, isLimited: token < upTo };
  }
  const reached = parseToken(Number(whole.at(-1)?.[0]));
  return { records: toRecords(whole), upTo: reached, isLimited: true };
}

// Not from the log's beginning: the instance may have been silent for long.
const READ_LAST_TOKEN = `SELECT max(token) FROM (
  SELECT coalesce((SELECT position FROM headwater_instances WHERE name = ?), 0)
    AS token
  UNION ALL
  SELECT token FROM headwater_log WHERE instance = ? AND token <= ? AND token >
    coalesce((SELECT position FROM headwater_instances WHERE name = ?), 0)
) AS known`;

/**
 * An instance's last committed token; `TOKEN_ZERO` if it has none.
 *
 * @param session Where to look.
 * @param instance Who wrote.
 * @param upTo Beyond this one, none is looked for.
 */
export async function readLastToken(
  session: Session,
  instance: string,
  upTo: Token = Number.MAX_SAFE_INTEGER as Token,
): Promise<Token> {
  const parameters = [instance, instance, upTo, instance];
  const [row] = await session.rows(READ_LAST_TOKEN, parameters);
  return parseToken(Number(row?.[0] ?? TOKEN_ZERO));
}

/** Whether a token of an instance is in the log. */
export async function hasRecord(
  session: Session,
  instance: string,
  token: Token,
): Promise<boolean> {
  const found = await session.rows(
    "SELECT 1 FROM headwater_log WHERE token = ? AND instance = ? LIMIT 1",
    [token, instance],
  );
  return found.length > 0;
}

function toRecords(found: readonly SqlValue[][]): LogRecord[] {
  const records: LogRecord[] = [];
  for (const [token, stream, body] of found) {
    if (stream === NO_STREAM) continue;
    records.push({
      token: parseToken(Number(token)),
      stream: String(stream),
      rows: String(body).split(ROW_SEPARATOR),
    });
  }
  return records;
}

/**
 * Reading the log between two tokens, in pages that never split a token.
 *
 * @module
 */

import type { Session, SqlDialect, SqlValue } from "../database/engine.ts";
import {
  FIRST_PAGE_RECORDS,
  MAX_PAGE_RECORDS,
  PAGE_CHARS,
} from "../runtime/limits.ts";
import { parseToken, type Token } from "../tokens/token.ts";
import {
  LOG_ORDER,
  perDialect,
  tokenAt,
  tokenIs,
  UP_TO_SIZE,
} from "./log_key.ts";
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
  /** Characters of the records. */
  readonly chars: number;
}

const COLUMNS = "SELECT token, stream, body FROM headwater_log";
const READ_PAGE = readPageOf("");
const READ_STREAM_PAGE = readPageOf("AND stream = ?");

function readPageOf(only: string): Readonly<Record<SqlDialect, string>> {
  return perDialect((dialect) =>
    `${COLUMNS} WHERE ${tokenIs(dialect, ">")} AND ${tokenIs(dialect, "<=")}
    AND instance = ? ${only} ORDER BY ${LOG_ORDER[dialect]} ${UP_TO_SIZE}`
  );
}

/**
 * Reads a range page by page. No snapshot is held between pages.
 *
 * How many records a page has goes by the length of those before, so that
 * small ones don't come in many pages, nor long ones in one that doesn't fit.
 * While a page is being worked on, PostgreSQL fetches the next one.
 *
 * @param session Where to read.
 * @param range What to read.
 */
export async function* readLogPages(
  session: Session,
  range: LogRange,
): AsyncGenerator<LogPage> {
  if (range.after >= range.upTo) return;
  const read = (after: Token, size: number) =>
    readLogPage(session, { ...range, after }, size);
  const isAhead = session.dialect === "postgres";
  let page = await read(range.after, FIRST_PAGE_RECORDS);
  while (page.isLimited) {
    const { upTo } = page;
    const size = fittingSize(page.records.length, page.chars);
    const next = isAhead ? read(upTo, size) : undefined;
    // Whoever stops here does not ask for it any more.
    next?.catch(() => {});
    yield page;
    page = await (next ?? read(upTo, size));
  }
  yield page;
}

/**
 * Reads the beginning of a range; go on from `upTo` while it is limited.
 *
 * @param size How many records at most; more only if one token has more.
 */
export async function readLogPage(
  session: Session,
  range: LogRange,
  size: number,
): Promise<LogPage> {
  const { instance, after, upTo, stream } = range;
  const { dialect } = session;
  const found = stream === undefined
    ? await session.rows(READ_PAGE[dialect], [after, upTo, instance, size])
    : await session.rows(
      READ_STREAM_PAGE[dialect],
      [after, upTo, instance, stream, size],
    );
  if (found.length < size) {
    return { ...toRecords(found, found.length), upTo, isLimited: false };
  }
  const last = found.at(-1)?.[0];
  let end = found.length;
  if (stream === undefined) {
    // The last token may go on beyond the page: leave it to the next one.
    while (found[end - 1]?.[0] === last) end -= 1;
  }
  if (end === 0) {
    const token = parseToken(Number(last));
    const [isAt, at] = tokenAt(dialect, token);
    const all = await session.rows(
      `${COLUMNS} WHERE ${isAt} AND instance = ? ORDER BY stream`,
      [...at, instance],
    );
    const isLimited = token < upTo;
    return { ...toRecords(all, all.length), upTo: token, isLimited };
  }
  const reached = parseToken(Number(found[end - 1]?.[0]));
  return { ...toRecords(found, end), upTo: reached, isLimited: true };
}

/** How many records a page should have after one of so many, and of their characters. */
export function fittingSize(records: number, chars: number): number {
  // Tokens without rows: nothing is known of what comes.
  if (records === 0) return MAX_PAGE_RECORDS;
  const size = Math.floor(PAGE_CHARS * records / Math.max(1, chars));
  return Math.min(MAX_PAGE_RECORDS, Math.max(1, size));
}

/** Whether a token of an instance is in the log. */
export async function hasRecord(
  session: Session,
  instance: string,
  token: Token,
): Promise<boolean> {
  const [isAt, at] = tokenAt(session.dialect, token);
  const found = await session.rows(
    `SELECT 1 FROM headwater_log WHERE ${isAt} AND instance = ? LIMIT 1`,
    [...at, instance],
  );
  return found.length > 0;
}

function toRecords(
  found: readonly SqlValue[][],
  end: number,
): { records: LogRecord[]; chars: number } {
  const records: LogRecord[] = [];
  let chars = 0;
  for (let index = 0; index < end; index += 1) {
    const columns = found[index] as SqlValue[];
    const stream = columns[1] as string;
    if (stream === NO_STREAM) continue;
    const body = columns[2] as string;
    chars += body.length;
    records.push({
      token: parseToken(columns[0] as number),
      stream,
      lines: body.includes(ROW_SEPARATOR) ? body.split(ROW_SEPARATOR) : [body],
    });
  }
  return { records, chars };
}

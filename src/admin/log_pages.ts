/**
 * Reading the log of all instances, in pages that fit in memory.
 *
 * @module
 */

import type { Session, SqlDialect, SqlValue } from "../database/engine.ts";
import { LOG_ORDER, tokenIs } from "../log/log_key.ts";
import type { Clock } from "../runtime/clock.ts";
import { PAGE_RECORDS } from "../runtime/limits.ts";
import { exactly, textOf } from "./exact_text.ts";

/** A record as it stands in the log, sound or not. */
export interface RawRecord {
  readonly token: number;
  readonly stream: string;
  readonly instance: string;
  readonly commitId: string;
  readonly committedMs: number;
  readonly rowCount: number;
  readonly body: string;
}

/** Which records to read: `after < token <= upTo`. */
export interface PageRange {
  /**
   * The token before the first.
   *
   * @default {before any, sound or not}
   */
  readonly after?: number | undefined;
  readonly upTo: number;
  /** Only this stream; all by default. */
  readonly stream?: string | undefined;
  /** Only this instance; all by default. */
  readonly instance?: string | undefined;
}

/** Bytes of the bodies that a page holds, but for one that has more by itself. */
export const MAX_PAGE_BYTES: number = 8 * 1024 * 1024;

const COLUMNS =
  "token, stream, instance, commit_id, committed_ms, row_count, body";

/** How records are told apart: by their token and this. */
interface RecordKey {
  readonly column: string;
  /** Compares a record's key with a token and this. */
  readonly isBeyond: (compare: string) => string;
  readonly order: string;
  /** Before any. */
  readonly first: SqlValue;
}

const KEYS: Readonly<Record<SqlDialect, RecordKey>> = {
  sqlite: {
    column: "id & 511",
    isBeyond: (compare) => `id ${compare} (? << 9) + ?`,
    order: LOG_ORDER.sqlite,
    first: 0,
  },
  postgres: {
    column: exactly("postgres", "stream"),
    isBeyond: (compare) => `(token, stream) ${compare} (?, CAST(? AS TEXT))`,
    order: LOG_ORDER.postgres,
    first: "",
  },
};

/**
 * Reads records by token and stream, page by page; a token may go on in the
 * next one. Nothing is held open between pages, and between two the event loop
 * gets a turn, even where SQLite answers at once.
 *
 * @param session Where to read.
 * @param range What to read.
 * @param clock Gives turns.
 */
export async function* readPages(
  session: Session,
  { after = Number.MIN_SAFE_INTEGER, upTo, stream, instance }: PageRange,
  clock: Clock,
): AsyncGenerator<readonly RawRecord[]> {
  const wanted = [
    ...(stream === undefined ? [] : [["stream", stream] as const]),
    ...(instance === undefined ? [] : [["instance", instance] as const]),
  ];
  const filter = wanted.map(([column]) => ` AND ${column} = ?`).join("");
  const values = wanted.map(([, value]) => value);
  const { column, isBeyond, order, first } = KEYS[session.dialect];
  // A token above `after` follows this key, whatever its streams are called.
  let from: readonly SqlValue[] = after === Number.MIN_SAFE_INTEGER
    ? [after, first]
    : [after + 1, first];
  let compare = ">=";
  while (true) {
    const sizes = await session.rows(
      `SELECT token, ${column}, octet_length(body) FROM headwater_log
      WHERE ${isBeyond(compare)} AND ${tokenIs(session.dialect, "<=")}${filter}
      ORDER BY ${order} LIMIT ${PAGE_RECORDS}`,
      [...from, upTo, ...values],
    );
    const end = takeWhileFits(sizes);
    if (end === undefined) return;
    const found = await session.rows(
      `SELECT ${COLUMNS} FROM headwater_log
      WHERE ${isBeyond(compare)} AND ${isBeyond("<=")}${filter}
      ORDER BY ${order}`,
      [...from, ...end, ...values],
    );
    yield found.map(toRecord);
    from = end;
    compare = ">";
    await new Promise<void>((resolve) => clock.nextTurn(resolve));
  }
}

/** The key of the last record that fits in a page with those before it. */
function takeWhileFits(sizes: readonly SqlValue[][]): SqlValue[] | undefined {
  let bytes = 0;
  let end: SqlValue[] | undefined;
  for (const [token, stream, size] of sizes) {
    bytes += Number(size);
    if (end !== undefined && bytes > MAX_PAGE_BYTES) break;
    end = [token as SqlValue, stream as SqlValue];
  }
  return end;
}

function toRecord(row: readonly SqlValue[]): RawRecord {
  const [token, stream, instance, commitId, committedMs, rowCount, body] = row;
  return {
    token: Number(token),
    stream: textOf(stream),
    instance: textOf(instance),
    commitId: textOf(commitId),
    committedMs: Number(committedMs),
    rowCount: Number(rowCount),
    body: textOf(body),
  };
}

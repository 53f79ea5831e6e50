/**
 * Reading a stream backwards from a token.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";
import { parseToken } from "../tokens/token.ts";
import { NEWEST_FIRST, perDialect, tokenIs, UP_TO_SIZE } from "./log_key.ts";
import { ROW_SEPARATOR } from "./log_schema.ts";
import type { LogRange } from "./read.ts";
import type { LogRecord } from "./record.ts";

/** What one stream has under one token. */
export type StreamRecord = Omit<LogRecord, "stream">;

/** A range of one stream. */
export interface StreamRange extends LogRange {
  readonly stream: string;
}

const READ_NEWEST = perDialect((dialect) =>
  `SELECT token, body FROM headwater_log
  WHERE ${tokenIs(dialect, ">")} AND ${tokenIs(dialect, "<=")}
  AND instance = ? AND stream = ?
  ORDER BY ${NEWEST_FIRST[dialect]} ${UP_TO_SIZE}`
);

/**
 * The last records of a range, the newest first.
 *
 * @param session Where to read.
 * @param range The range: what is between its tokens is looked through.
 * @param size How many at most.
 */
export async function readNewestRecords(
  session: Session,
  { instance, stream, after, upTo }: StreamRange,
  size: number,
): Promise<{ records: readonly StreamRecord[]; chars: number }> {
  const found = await session.rows(
    READ_NEWEST[session.dialect],
    [after, upTo, instance, stream, size],
  );
  let chars = 0;
  const records = found.map(([token, column]) => {
    const body = String(column);
    chars += body.length;
    const lines = body.split(ROW_SEPARATOR);
    return { token: parseToken(Number(token)), lines };
  });
  return { records, chars };
}

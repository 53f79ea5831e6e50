/**
 * Reading a stream backwards from a token.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";
import { parseToken, type Token } from "../tokens/token.ts";
import { NEWEST_FIRST, perDialect, tokenIs } from "./log_key.ts";
import { ROW_SEPARATOR } from "./log_schema.ts";
import type { LogRange } from "./read.ts";

/** The rows of one stream under one token. */
export interface StreamRecord {
  readonly token: Token;
  /** The rows, each as JSON; at least one. */
  readonly rows: readonly string[];
}

/** A range of one stream. */
export interface StreamRange extends LogRange {
  readonly stream: string;
}

const READ_NEWEST = perDialect((dialect) =>
  `SELECT token, body FROM headwater_log
  WHERE ${tokenIs(dialect, ">")} AND ${tokenIs(dialect, "<=")}
  AND instance = ? AND stream = ?
  ORDER BY ${NEWEST_FIRST[dialect]} LIMIT ?`
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
    const rows = body.split(ROW_SEPARATOR);
    return { token: parseToken(Number(token)), rows };
  });
  return { records, chars };
}

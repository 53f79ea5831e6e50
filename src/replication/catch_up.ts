/**
 * Fetching what lies between two tokens from the log.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";
import { readFloor } from "../log/history.ts";
import { hasRecord, readLogPage } from "../log/read.ts";
import type { LogRecord } from "../log/record.ts";
import type { Token } from "../tokens/token.ts";
import type { LoggedTransaction } from "./transaction.ts";

/** What to fetch: the transactions of an instance after one token, up to another. */
export interface CatchUpRange {
  /** The writing instance. */
  readonly instance: string;
  /** The last token that has been applied. */
  readonly after: Token;
  /** The last token to fetch: one that the writer has announced. */
  readonly upTo: Token;
}

/**
 * Whether the log still holds everything of a range whose beginning is part of
 * its history: retention has not come beyond it, and the end, which was
 * announced and so has a record, stands.
 *
 * @param session Where to look.
 * @param range The range.
 */
export async function isContained(
  session: Session,
  { instance, after, upTo }: CatchUpRange,
): Promise<boolean> {
  const floor = await readFloor(session);
  return floor <= after && await hasRecord(session, instance, upTo);
}

/**
 * Fetches a range, page by page, whole transactions in token order.
 *
 * @param session Where to read. No snapshot is held between pages.
 * @param range The range.
 */
export async function* catchUp(
  session: Session,
  range: CatchUpRange,
): AsyncGenerator<readonly LoggedTransaction[]> {
  const { instance, upTo } = range;
  let after = range.after;
  while (after < upTo) {
    const page = await readLogPage(session, { instance, after, upTo });
    yield groupByToken(instance, page.records);
    after = page.upTo;
  }
}

function groupByToken(
  instance: string,
  records: readonly LogRecord[],
): LoggedTransaction[] {
  const transactions: (LoggedTransaction & { records: LogRecord[] })[] = [];
  for (const record of records) {
    const last = transactions.at(-1);
    if (last?.token === record.token) last.records.push(record);
    else {
      transactions.push({ instance, token: record.token, records: [record] });
    }
  }
  return transactions;
}

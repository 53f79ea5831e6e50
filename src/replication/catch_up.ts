/**
 * Fetching what lies between two tokens from the log.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";
import { readFloor } from "../log/history.ts";
import { hasRecord, readLogPages } from "../log/read.ts";
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
 * @param session Where to read.
 * @param range The range.
 */
export async function* catchUp(
  session: Session,
  range: CatchUpRange,
): AsyncGenerator<readonly LoggedTransaction[]> {
  for await (const { records } of readLogPages(session, range)) {
    yield groupByToken(range.instance, records);
  }
}

function groupByToken(
  instance: string,
  records: readonly LogRecord[],
): LoggedTransaction[] {
  const transactions: (LoggedTransaction & { records: LogRecord[] })[] = [];
  let token: Token | undefined;
  for (const record of records) {
    if (record.token === token) transactions.at(-1)?.records.push(record);
    else {
      token = record.token;
      transactions.push({ instance, token, records: [record] });
    }
  }
  return transactions;
}

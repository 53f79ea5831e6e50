/**
 * Fetching what lies between two tokens from the log.
 *
 * @module
 */

import type { CacheRegistry } from "../caches/cache_registry.ts";
import type { Session } from "../database/engine.ts";
import { readFloor } from "../log/history.ts";
import {
  countMissedRows,
  measureMissed,
  type MissedPage,
  readMissedPage,
  readMissedRecords,
} from "../log/missed.ts";
import { hasRecord, readLogPages } from "../log/read.ts";
import type { LogRecord } from "../log/record.ts";
import {
  CATCH_UP_PAGE_TOKENS,
  FIRST_PAGE_RECORDS,
  PAGE_CHARS,
} from "../runtime/limits.ts";
import type { Token } from "../tokens/token.ts";
import { Coalescer } from "./coalescer.ts";
import { CACHES_STREAM, type LoggedTransaction } from "./transaction.ts";
import type { LoggedStep } from "./transaction_applier.ts";

/** Beyond this, a page is made shorter before it is read. */
const MAX_PAGE_BYTES = 4 * PAGE_CHARS;

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
  return await reachesBackTo(session, after) &&
    await hasRecord(session, instance, upTo);
}

/**
 * Whether nothing after a token has been deleted. Asked after what follows it
 * was read, it says that the reading was complete.
 */
export async function reachesBackTo(
  session: Session,
  after: Token,
): Promise<boolean> {
  return await readFloor(session) <= after;
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

/** A part of a range, applied as one. */
export interface CatchUpStep extends LoggedStep {
  /** The token before its first. */
  readonly after: Token;
  /** Its rows in all streams. */
  readonly rows: number;
}

/**
 * Fetches a range in steps, each of many transactions. What `caches` says is
 * done once, in the whole range; of other streams only what somebody handles is
 * fetched.
 *
 * Only where reads come from the same database: what is loaded while this goes
 * on must contain the end of the range.
 *
 * @param session Where to read.
 * @param range The range.
 * @param caches What to invalidate.
 * @param maxKeys Keys of one cache beyond which it is cleared.
 */
export async function* catchUpSteps(
  session: Session,
  range: CatchUpRange,
  caches: CacheRegistry,
  maxKeys: number,
): AsyncGenerator<CatchUpStep> {
  const coalescer = new Coalescer(caches, maxKeys);
  const read = async (after: Token, size: number) => {
    const left = { ...range, after };
    const fitting = await measureMissed(session, left, size, MAX_PAGE_BYTES);
    return await readMissedPage(session, left, CACHES_STREAM, fitting);
  };
  const isAhead = session.dialect === "postgres";
  let page = await read(range.after, FIRST_PAGE_RECORDS);
  while (page.isLimited) {
    const { upTo } = page;
    const size = fittingSize(page);
    const next = isAhead ? read(upTo, size) : undefined;
    // Whoever stops here does not ask for it any more.
    next?.catch(() => {});
    yield await toStep(session, range.instance, page, coalescer);
    page = await (next ?? read(upTo, size));
  }
  yield await toStep(session, range.instance, page, coalescer);
}

async function toStep(
  session: Session,
  instance: string,
  page: MissedPage,
  coalescer: Coalescer,
): Promise<CatchUpStep> {
  const { after, upTo, transactions, rows, joined, joinedRows } = page;
  const place = { instance, after, upTo };
  const rowsByStream = new Map<string, number>();
  if (joinedRows > 0) rowsByStream.set(CACHES_STREAM, joinedRows);
  if (rows > joinedRows) {
    for (
      const [stream, count] of await countMissedRows(
        session,
        place,
        CACHES_STREAM,
      )
    ) rowsByStream.set(stream, count);
  }
  return {
    instance,
    after,
    upTo,
    transactions,
    rows,
    rowsByStream,
    invalidate: () => coalescer.apply(joined),
    read: async (streams) =>
      groupByToken(instance, await readMissedRecords(session, place, streams)),
  };
}

/** As many transactions of the length of these as a page should have. */
function fittingSize({ transactions, chars }: MissedPage): number {
  const size = Math.floor(PAGE_CHARS * transactions / Math.max(1, chars));
  return Math.min(CATCH_UP_PAGE_TOKENS, Math.max(1, size));
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

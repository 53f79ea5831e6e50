/**
 * Fetching what lies between two tokens from the log.
 *
 * @module
 */

import type { CacheRegistry } from "../caches/cache_registry.ts";
import type { Session } from "../database/engine.ts";
import { readFloor } from "../log/history.ts";
import {
  type MissedPage,
  MissedReader,
  readMissedRecords,
} from "../log/missed.ts";
import { hasRecord, readLogPages } from "../log/read.ts";
import type { LogRecord } from "../log/record.ts";
import type { InvalidationRun } from "../protocol/command.ts";
import { readRuns } from "../protocol/invalidations.ts";
import {
  CATCH_UP_PAGE_BYTES,
  CATCH_UP_PAGE_RECORDS,
} from "../runtime/limits.ts";
import type { Token } from "../tokens/token.ts";
import { Coalescer } from "./coalescer.ts";
import {
  CACHES_STREAM,
  type LoggedStep,
  type LoggedTransaction,
} from "./transaction.ts";

const PAGE = { records: CATCH_UP_PAGE_RECORDS, bytes: CATCH_UP_PAGE_BYTES };

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
 * Fetches a range in steps, each of many transactions. What `caches` says more
 * than once in a step is done once; of other streams only what somebody handles
 * is fetched.
 *
 * Only where reads come from the same database: what is loaded while this goes
 * on must contain the end of the range.
 *
 * @param session Where to read.
 * @param range The range.
 * @param caches What to invalidate.
 * @param maxKeys Keys of one cache in a step beyond which it is cleared.
 */
export async function* catchUpSteps(
  session: Session,
  range: CatchUpRange,
  caches: CacheRegistry,
  maxKeys: number,
): AsyncGenerator<CatchUpStep> {
  const coalescer = new Coalescer(caches, maxKeys);
  const reader = new MissedReader(session, range, CACHES_STREAM, PAGE);
  const isAhead = session.dialect === "postgres";
  let page = await reader.next();
  while (page !== undefined) {
    const next = isAhead ? reader.next() : undefined;
    // Whoever stops here does not ask for it any more.
    next?.catch(() => {});
    yield toStep(session, range.instance, page, coalescer);
    page = await (next ?? reader.next());
  }
}

function toStep(
  session: Session,
  instance: string,
  page: MissedPage,
  coalescer: Coalescer,
): CatchUpStep {
  const { joined, ...step } = page;
  let rows = 0;
  for (const count of page.rowsByStream.values()) rows += count;
  return {
    ...step,
    instance,
    rows,
    invalidate: () => {
      const cleared = coalescer.apply(joined);
      return { after: page.after, joined, cleared };
    },
    isWhole: () => reachesBackTo(session, page.after),
    read: async (streams) => {
      const place = { instance, after: page.after, upTo: page.upTo };
      return groupByToken(
        instance,
        await readMissedRecords(session, place, streams),
      );
    },
  };
}

interface OpenTransaction extends LoggedTransaction {
  readonly records: LogRecord[];
  invalidations?: readonly InvalidationRun[];
}

function groupByToken(
  instance: string,
  records: readonly LogRecord[],
): LoggedTransaction[] {
  const transactions: OpenTransaction[] = [];
  let token: Token | undefined;
  for (const record of records) {
    if (record.token !== token) {
      token = record.token;
      transactions.push({ instance, token, records: [] });
    }
    const transaction = transactions.at(-1) as OpenTransaction;
    const runs = record.stream === CACHES_STREAM && record.lines.length === 1
      ? readRuns(record.lines[0] as string)
      : undefined;
    if (runs === undefined) transaction.records.push(record);
    else transaction.invalidations = runs;
  }
  return transactions;
}

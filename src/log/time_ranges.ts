/**
 * Where in the log the events of a time stand.
 *
 * Tokens are not in the order of the clock: writers have clocks of their own,
 * which may jump, and a transaction may take its token before another and its time
 * after it. So no search for a time by halves is right. Instead, for every few
 * thousand records of `events` the log keeps the oldest and the newest time among
 * them, as a block range index does; what can't have an event of the time that is
 * asked for is passed over.
 *
 * @module
 */

import type { Engine, Session } from "../database/engine.ts";
import { readSchemaVersion } from "../database/migrator.ts";
import type { Clock } from "../runtime/clock.ts";
import { readHorizon } from "./horizon.ts";
import { EVENTS_STREAM } from "./log_schema.ts";

/** Records of each range: one more range, or less, takes a ms to read. */
export const TIME_RANGE_RECORDS: number = 4_096;

/** The first version of the tables that has them. */
const RANGES_VERSION = 8;

const READ_END = `SELECT coalesce(max(upto_token), 0)
  FROM headwater_time_ranges`;
const READ_NEXT = `SELECT count(*), max(token), min(committed_ms),
    max(committed_ms)
  FROM (SELECT token, committed_ms FROM headwater_log
    WHERE stream = '${EVENTS_STREAM}' AND token > ? AND token <= ?
    ORDER BY token LIMIT ?) AS records`;
// Another writer may have added it, too.
const INSERT = `INSERT INTO headwater_time_ranges
  (upto_token, after_token, oldest_ms, newest_ms) VALUES (?, ?, ?, ?)
  ON CONFLICT (upto_token) DO NOTHING`;
const DELETE = "DELETE FROM headwater_time_ranges WHERE upto_token <= ?";

const IS_WITHIN = "newest_ms >= ? AND oldest_ms < ?";
const FIND = `SELECT
  min(CASE WHEN ${IS_WITHIN} THEN after_token END),
  max(CASE WHEN ${IS_WITHIN} THEN upto_token END),
  coalesce(max(upto_token), 0)
  FROM headwater_time_ranges`;

/** Tokens after one, up to another. */
export interface TokenRange {
  readonly after: number;
  readonly upTo: number;
}

/** What {@linkcode addTimeRanges} works with. */
export interface AddTimeRangesOptions {
  readonly clock: Clock;
  /** Stops between two ranges. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Records of each range.
   *
   * @default {4096}
   */
  readonly records?: number | undefined;
}

/**
 * Adds the ranges that the log is long enough for; each in a transaction of its
 * own, so that writers get their turn between two. What follows the last one is
 * shorter than a range.
 *
 * @throws The signal's reason, once it is aborted.
 */
export async function addTimeRanges<Database>(
  engine: Pick<Engine<Database>, "session" | "transaction">,
  { clock, signal, records = TIME_RANGE_RECORDS }: AddTimeRangesOptions,
): Promise<void> {
  const { session } = engine;
  const horizon = await readHorizon(session, { clock, signal });
  const [end] = await session.rows(READ_END, []);
  let after = Number(end?.[0]);
  while (true) {
    signal?.throwIfAborted();
    const [next] = await session.rows(READ_NEXT, [after, horizon, records]);
    const [count, upTo, oldestMs, newestMs] = next ?? [];
    if (Number(count) < records) return;
    const range = [Number(upTo), after, Number(oldestMs), Number(newestMs)];
    await engine.transaction(
      "note when events were committed",
      async (session) => {
        await session.run(INSERT, range);
      },
    );
    after = Number(upTo);
  }
}

/** Forgets the ranges up to a token: their events are deleted. */
export async function deleteTimeRanges(
  session: Session,
  upTo: number,
): Promise<void> {
  await session.run(DELETE, [upTo]);
}

/**
 * Finds the tokens among which all events of some time are: one range or two, in
 * ascending order, of which each may be empty.
 *
 * @param session Where the log is.
 * @param sinceMs The events were committed then, or later.
 * @param untilMs And before that.
 * @param tokens Where to look.
 */
export async function findTokensOfTime(
  session: Session,
  sinceMs: number,
  untilMs: number,
  tokens: TokenRange,
): Promise<TokenRange[]> {
  if (await readSchemaVersion(session) < RANGES_VERSION) return [tokens];
  const time = [sinceMs, untilMs];
  const [row] = await session.rows(FIND, [...time, ...time]);
  const [after, upTo, end] = row ?? [];
  const rest = { after: Number(end ?? 0), upTo: tokens.upTo };
  const found: TokenRange[] = after === null || after === undefined
    ? [rest]
    : upTo === end
    ? [{ after: Number(after), upTo: rest.upTo }]
    : [{ after: Number(after), upTo: Number(upTo) }, rest];
  return found.map((range) => ({
    after: Math.max(range.after, tokens.after),
    upTo: Math.min(range.upTo, tokens.upTo),
  }));
}

/**
 * Deleting what a log need not keep.
 *
 * @module
 */

import type { Engine, Session, SqlValue } from "../database/engine.ts";
import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError, quote, show } from "../runtime/errors.ts";
import { RETENTION_CHUNK_RECORDS } from "../runtime/limits.ts";
import { type OptionNames, requireNames } from "../runtime/option_names.ts";
import { parseToken, type Token, TOKEN_ZERO } from "../tokens/token.ts";
import { readFloorOf } from "./history.ts";
import { readHorizon } from "./horizon.ts";
import { EVENTS_STREAM, NO_STREAM } from "./log_schema.ts";
import { readNow } from "./lease.ts";
import { deleteTimeRanges } from "./time_ranges.ts";
import { LOG_ORDER, NEWEST_FIRST, perDialect, tokenIs } from "./log_key.ts";

/** How long a stream's rows are kept. With both, rows that either keeps are kept. */
export interface RetentionPolicy {
  /** Rows that are older may go, in ms. */
  readonly maxAgeMs?: number | undefined;
  /** Of more rows than these, the oldest may go. */
  readonly maxRows?: number | undefined;
}

/** The names of {@linkcode RetentionPolicy}. */
export const POLICY_OPTIONS: OptionNames<RetentionPolicy> = {
  maxAgeMs: true,
  maxRows: true,
};

/** How long rows are kept, by stream; those of others for ever. */
export type RetentionPolicies = Readonly<
  Record<string, RetentionPolicy | "forever">
>;

const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * Invalidations are of use to a reader that was away, and soon it had better
 * clear its caches. Events are the data itself.
 */
export const DEFAULT_RETENTION: RetentionPolicies = {
  caches: { maxAgeMs: 7 * DAY_MS },
  [EVENTS_STREAM]: "forever",
};

/** What was done to a stream. */
export interface Retained {
  /** Records that were deleted: transactions' parts, of some rows each. */
  readonly deleted: number;
  /** Up to where rows of the stream may be missing. */
  readonly floor: Token;
}

/** How a stream is cut. */
export interface RetainOptions {
  readonly clock: Clock;
  /** Stops between two chunks. */
  readonly signal?: AbortSignal | undefined;
}

const READ_CHUNK = perDialect((dialect) =>
  `SELECT token, committed_ms FROM headwater_log
  WHERE stream = ? AND ${tokenIs(dialect, ">")} AND ${tokenIs(dialect, "<=")}
  ORDER BY ${LOG_ORDER[dialect]} LIMIT ${RETENTION_CHUNK_RECORDS}`
);
const READ_NEWEST = perDialect((dialect) =>
  `SELECT token, row_count FROM headwater_log
  WHERE stream = ? AND ${tokenIs(dialect, "<")}
  ORDER BY ${NEWEST_FIRST[dialect]} LIMIT ${RETENTION_CHUNK_RECORDS}`
);
const SET_FLOOR = `INSERT INTO headwater_retained AS kept (stream, floor_token)
  VALUES (?, ?) ON CONFLICT (stream) DO UPDATE
  SET floor_token = excluded.floor_token
  WHERE kept.floor_token < excluded.floor_token`;
const DELETE_CHUNK = perDialect((dialect) =>
  `DELETE FROM headwater_log
  WHERE stream = ? AND ${tokenIs(dialect, ">")} AND ${tokenIs(dialect, "<=")}`
);
// What an instance has not told of yet is told by whoever deletes it: else
// nobody could know any more that it was there.
const TELL_POSITIONS = perDialect((dialect) => {
  const newest = `(SELECT max(token) FROM headwater_log
    WHERE stream = ? AND ${tokenIs(dialect, ">")} AND ${
    tokenIs(dialect, "<=")
  } AND instance = name)`;
  return `UPDATE headwater_instances
    SET position = ${newest} WHERE position < ${newest}`;
});
// An event's projections are not to be left behind, nor is a rebuild: one that
// was asked for (-1) begins at 0.
const READ_LOWEST_CHECKPOINT = `SELECT min(CASE
    WHEN rebuild_position < 0 THEN 0
    WHEN rebuild_position < position THEN rebuild_position
    ELSE position END)
  FROM headwater_projections`;

/**
 * Deletes what a stream need not keep, a chunk of records at a time, each in a
 * transaction of its own: writers get their turn between two.
 *
 * What was deleted is noted in the same transaction, so that a reader that
 * comes back from before it is told, and clears its caches (promise 6). Rows of
 * `events` that a projection has yet to take are kept.
 *
 * @param engine The database.
 * @param stream The stream. With `caches`, records of transactions without rows go too.
 * @param policy What to keep.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for a policy that can't be.
 * @throws The signal's reason, once it is aborted.
 */
export async function retainStream<Database>(
  engine: Pick<Engine<Database>, "session" | "transaction">,
  stream: string,
  policy: RetentionPolicy,
  { clock, signal }: RetainOptions,
): Promise<Retained> {
  requirePolicy(stream, policy);
  const { session } = engine;
  const { maxAgeMs } = policy;
  const oldestMs = maxAgeMs === undefined
    ? Infinity
    : await readNow(session, clock) - maxAgeMs;
  let upTo = await readCut(session, stream, policy);
  let isComplete = false;
  let floor = await readFloorOf(session, stream);
  let deleted = 0;
  while (true) {
    signal?.throwIfAborted();
    const chunk = await session.rows(
      READ_CHUNK[session.dialect],
      [stream, floor, upTo],
    );
    const due = takeWhileDue(chunk, oldestMs);
    const last = due.at(-1)?.[0];
    if (last === undefined) break;
    if (!isComplete) {
      // What commits late must not find itself below the floor: nobody would
      // delete it any more, and a replica's readers would take it for gone.
      const horizon = await readHorizon(session, { clock, signal });
      const end = await isShared(session) ? horizon - 1 : horizon;
      if (end < upTo) upTo = parseToken(Math.max(TOKEN_ZERO, end));
      isComplete = true;
      continue;
    }
    const end = parseToken(Number(last));
    deleted += await deleteChunk(engine, stream, floor, end);
    floor = end;
    if (due.length < chunk.length) break;
  }
  if (stream === "caches") {
    const rest = await retainStream(engine, NO_STREAM, policy, {
      clock,
      signal,
    });
    deleted += rest.deleted;
  }
  return { deleted, floor };
}

/** Refuses policies that can't be. */
export function requirePolicies(policies: RetentionPolicies): void {
  for (const [stream, policy] of Object.entries(policies)) {
    if (policy !== "forever") requirePolicy(stream, policy);
  }
}

async function deleteChunk<Database>(
  engine: Pick<Engine<Database>, "session" | "transaction">,
  stream: string,
  after: Token,
  upTo: Token,
): Promise<number> {
  return await engine.transaction("retain", async (session) => {
    // First: whoever reads the log between two statements must not miss it.
    await session.run(SET_FLOOR, [stream, upTo]);
    const range = [stream, after, upTo];
    await session.run(TELL_POSITIONS[session.dialect], [...range, ...range]);
    if (stream === EVENTS_STREAM) await deleteTimeRanges(session, upTo);
    return await session.run(DELETE_CHUNK[session.dialect], range);
  });
}

/**
 * SQLite: whether several instances write. By the newest record each finds the
 * next token, so that one stays.
 */
async function isShared(session: Session): Promise<boolean> {
  if (session.dialect === "postgres") return false;
  const [row] = await session.rows(
    "SELECT count(*) FROM headwater_instances",
    [],
  );
  return Number(row?.[0]) > 1;
}

/** The last token that the policy's count, and projections, let go. */
async function readCut(
  session: Session,
  stream: string,
  { maxRows }: RetentionPolicy,
): Promise<Token> {
  let cut = Number.MAX_SAFE_INTEGER;
  if (stream === EVENTS_STREAM) {
    const [row] = await session.rows(READ_LOWEST_CHECKPOINT, []);
    const lowest = row?.[0] ?? null;
    if (lowest !== null) cut = Number(lowest);
  }
  if (maxRows === undefined) return parseToken(cut);
  return parseToken(Math.min(cut, await readBeyond(session, stream, maxRows)));
}

/** The newest token that `maxRows` newer rows follow. */
async function readBeyond(
  session: Session,
  stream: string,
  maxRows: number,
): Promise<number> {
  let edge = Number.MAX_SAFE_INTEGER;
  let rows = 0;
  while (true) {
    const page = await session.rows(
      READ_NEWEST[session.dialect],
      [stream, edge],
    );
    for (const [token, count] of page) {
      if (rows >= maxRows) return Number(token);
      // A transaction without rows takes its place as well.
      rows += Math.max(1, Number(count));
      edge = Number(token);
    }
    if (page.length < RETENTION_CHUNK_RECORDS) return TOKEN_ZERO;
  }
}

/** The oldest records, as far as they are old enough. */
function takeWhileDue(
  chunk: readonly SqlValue[][],
  oldestMs: number,
): readonly SqlValue[][] {
  const end = chunk.findIndex(([, committedMs]) =>
    Number(committedMs) >= oldestMs
  );
  return end < 0 ? chunk : chunk.slice(0, end);
}

function requirePolicy(stream: string, policy: RetentionPolicy): void {
  requireNames(`retain stream ${quote(stream)}`, POLICY_OPTIONS, policy);
  const { maxAgeMs, maxRows } = policy;
  const refuse = (problem: string) => {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot retain stream "${stream}": ${problem}`,
    );
  };
  if (maxAgeMs === undefined && maxRows === undefined) {
    refuse('give maxAgeMs, maxRows, or "forever"');
  }
  if (maxAgeMs !== undefined && !(Number.isFinite(maxAgeMs) && maxAgeMs >= 0)) {
    refuse(`maxAgeMs is ${show(maxAgeMs)}; give a number of ms`);
  }
  if (
    maxRows !== undefined && !(Number.isSafeInteger(maxRows) && maxRows >= 0)
  ) {
    refuse(`maxRows is ${show(maxRows)}; give a number of rows`);
  }
}

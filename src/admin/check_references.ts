/**
 * Checking what points at events in the log: appends, and ids that were given.
 *
 * @module
 */

import type { SqlValue } from "../database/engine.ts";
import { readFloorOf } from "../log/history.ts";
import { isEventsOf } from "../log/log_key.ts";
import { EVENTS_STREAM, ROW_SEPARATOR } from "../log/log_schema.ts";
import { quote } from "../runtime/errors.ts";
import { type CheckContext, scan, SCAN_ROWS } from "./check_context.ts";
import {
  type LoggedEvent,
  readEvents,
  toRuns,
  versionsOf,
} from "./check_events.ts";
import { exactly, textOf } from "./exact_text.ts";
import type { Tally } from "./tally.ts";

/** An append, and where its events should stand. */
interface Append {
  readonly aggregate: string;
  readonly first: number;
  readonly last: number;
  readonly token: number;
  readonly isLast: boolean;
  /** Whether there are any events under its token. */
  readonly hasRecord: boolean;
}

/**
 * Checks every aggregate's appends: their versions beside each other, and that
 * their events stand in the log, unless retention has deleted them.
 *
 * @param context What to check with.
 * @param found Those whose events were found, going by the log.
 * @returns How many aggregates there are.
 */
export async function checkAppends(
  context: CheckContext,
  found: Tally,
): Promise<number> {
  const { session, problems, lastToken, progress } = context;
  let aggregates = 0;
  let checked = 0;
  let previous: Append | undefined;
  for await (const page of readAppendPages(context)) {
    // After the page: whatever is missing there, this accounts for.
    const floor = await readFloorOf(session, EVENTS_STREAM);
    for (const append of page) {
      const { aggregate, token, hasRecord } = append;
      if (previous?.aggregate !== aggregate) {
        previous = undefined;
        aggregates += 1;
      }
      const problem = findVersionProblem(append, previous, floor);
      if (problem !== undefined) {
        problems.add("versions", token, `${quote(aggregate)}: ${problem}`);
      }
      previous = append;
      if (!hasRecord && token > floor) addMissing(context, append);
      // Others are newer than the log that they were counted in.
      if (hasRecord && token <= lastToken) found.count(token, -1);
    }
    checked += page.length;
    progress("aggregates", checked);
  }
  if (found.isUneven) await findAppends(context, found);
  return aggregates;
}

function findVersionProblem(
  { first, last, token }: Append,
  previous: Append | undefined,
  floor: number,
): string | undefined {
  const versions = versionsOf(first, last);
  if (first < 1 || last < first) return `an append has ${versions}`;
  if (previous === undefined) {
    // Retention may have deleted the ones before.
    const isMissing = first > 1 && floor === 0;
    return isMissing ? `its first append has ${versions}` : undefined;
  }
  const before = versionsOf(previous.first, previous.last);
  if (first !== previous.last + 1) return `${versions} come after ${before}`;
  if (token <= previous.token) {
    return `${versions} have token ${token}, and ${before} have ${previous.token}`;
  }
  return previous.isLast
    ? `${versions} come after ${before}, which closed it`
    : undefined;
}

/** Looks for each append that may be missing in the events under its token. */
async function findAppends(
  context: CheckContext,
  found: Tally,
): Promise<void> {
  const events = eventReader(context);
  for await (const page of readAppendPages(context)) {
    for (const append of page) {
      const { aggregate, first, token, hasRecord } = append;
      if (!hasRecord || !found.isSuspect(token)) continue;
      const known = await events(token);
      if (known === undefined) continue;
      const run = known.runs.get(aggregate);
      // One with other versions from there was told of, going by the log.
      const isThere = run !== undefined &&
        (run.first === first || !run.isOrdered);
      if (!isThere) addMissing(context, append);
    }
  }
}

function addMissing(
  { problems }: CheckContext,
  { aggregate, first, last, token }: Append,
): void {
  problems.add(
    "events",
    token,
    `token ${token}: ${versionsOf(first, last)} of ${quote(aggregate)} ` +
      "should stand there, and don't",
  );
}

async function* readAppendPages(
  context: CheckContext,
): AsyncGenerator<readonly Append[]> {
  const { dialect } = context.session;
  const aggregate = exactly(dialect, "a.aggregate");
  const sql = `SELECT ${aggregate}, a.first_version, a.last_version, a.token,
      a.is_last, l.token
    FROM headwater_appends a
    LEFT JOIN headwater_log l ON ${isEventsOf(dialect, "l", "a.token")}
    WHERE (a.aggregate, a.first_version) > (CAST(? AS TEXT), ?)
    ORDER BY a.aggregate, a.first_version LIMIT ${SCAN_ROWS}`;
  const first = ["", Number.MIN_SAFE_INTEGER];
  for await (const rows of scan(context, sql, first)) {
    yield rows.map(([aggregate, first, last, token, isLast, record]) => ({
      aggregate: textOf(aggregate),
      first: Number(first),
      last: Number(last),
      token: Number(token),
      isLast: Number(isLast) === 1,
      hasRecord: record !== null,
    }));
  }
}

/** An id that a user gave to an event. */
interface GivenId extends LoggedEvent {
  readonly token: number;
  /** Whether there are any events under its token. */
  readonly hasRecord: boolean;
}

/**
 * Checks that every id that was given is an event's, unless retention has
 * deleted it.
 *
 * @param context What to check with.
 * @param found Those whose events were found, going by the log.
 */
export async function checkEventIds(
  context: CheckContext,
  found: Tally,
): Promise<void> {
  const { session, lastToken, progress } = context;
  let checked = 0;
  for await (const page of readIdPages(context)) {
    const floor = await readFloorOf(session, EVENTS_STREAM);
    for (const given of page) {
      const { token, hasRecord } = given;
      if (!hasRecord && token > floor) addUnknown(context, given);
      if (hasRecord && token <= lastToken) found.count(token, -1);
    }
    checked += page.length;
    progress("event ids", checked);
  }
  if (!found.isUneven) return;
  const events = eventReader(context);
  for await (const page of readIdPages(context)) {
    for (const given of page) {
      const { aggregate, version, id, token, hasRecord } = given;
      if (!hasRecord || !found.isSuspect(token)) continue;
      const known = await events(token);
      if (known === undefined) continue;
      const isThere = known.events.some((event) =>
        event.id === id && event.aggregate === aggregate &&
        event.version === version
      );
      if (!isThere) addUnknown(context, given);
    }
  }
}

function addUnknown(
  { problems }: CheckContext,
  { id, aggregate, version, token }: GivenId,
): void {
  problems.add(
    "event ids",
    token,
    `id ${quote(id)} is given to version ${version} of ${quote(aggregate)} ` +
      `under token ${token}, and there is no such event`,
  );
}

async function* readIdPages(
  context: CheckContext,
): AsyncGenerator<readonly GivenId[]> {
  const { dialect } = context.session;
  const sql = `SELECT ${exactly(dialect, "i.event_id")},
      ${exactly(dialect, "i.aggregate")}, i.version, i.token, l.token
    FROM headwater_event_ids i
    LEFT JOIN headwater_log l ON ${isEventsOf(dialect, "l", "i.token")}
    WHERE i.event_id > CAST(? AS TEXT)
    ORDER BY i.event_id LIMIT ${SCAN_ROWS}`;
  for await (const rows of scan(context, sql, [""])) {
    yield rows.map(([id, aggregate, version, token, record]) => ({
      id: textOf(id),
      aggregate: textOf(aggregate),
      version: Number(version),
      token: Number(token),
      hasRecord: record !== null,
    }));
  }
}

/** The events under a token. */
interface KnownEvents {
  readonly events: readonly LoggedEvent[];
  readonly runs: ReturnType<typeof toRuns>;
}

/**
 * Reads the events under a token, and keeps the last answer: of a transaction
 * with many aggregates, all are asked for. `undefined` if its rows are not
 * sound, which was told of, or are not there any more.
 */
function eventReader(
  { session }: CheckContext,
): (token: number) => Promise<KnownEvents | undefined> {
  let lastToken: number | undefined;
  let last: KnownEvents | undefined;
  return async (token) => {
    if (token === lastToken) return last;
    const [row] = await session.rows(
      `SELECT body FROM headwater_log l
      WHERE ${isEventsOf(session.dialect, "l", "?")}`,
      [token],
    );
    lastToken = token;
    last = toKnown(row?.[0]);
    return last;
  };
}

function toKnown(body: SqlValue | undefined): KnownEvents | undefined {
  if (body === undefined) return undefined;
  try {
    const rows = textOf(body).split(ROW_SEPARATOR)
      .map((line): unknown => JSON.parse(line));
    const events = readEvents(rows);
    return { events, runs: toRuns(events) };
  } catch {
    return undefined;
  }
}

/**
 * Reading events back: of one aggregate, or of all.
 *
 * @module
 */

import type { Session, SqlValue } from "../database/engine.ts";
import { EVENTS_STREAM, ROW_SEPARATOR } from "../log/log_schema.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import type { JsonValue } from "../runtime/json.ts";
import { PAGE_RECORDS } from "../runtime/limits.ts";
import { parseToken, type Token } from "../tokens/token.ts";
import type { EventMetadata, StoredEvent } from "./event.ts";

/** Which way to read. */
export type Direction = "forwards" | "backwards";

/** Which events of an aggregate to read. */
export interface ReadAggregateOptions {
  /**
   * The lowest version.
   *
   * @default {1}
   */
  readonly from?: number | undefined;
  /**
   * The highest version.
   *
   * @default {the last}
   */
  readonly to?: number | undefined;
  /**
   * Which comes first: the oldest, or the newest.
   *
   * @default {"forwards"}
   */
  readonly direction?: Direction | undefined;
  /**
   * How many at most.
   *
   * @default {all}
   */
  readonly limit?: number | undefined;
}

/** Which events of the log to read. */
export interface ReadEventsOptions {
  /**
   * The token before the first; backwards, the token after the first.
   *
   * @default {the end that reading starts from}
   */
  readonly after?: number | undefined;
  /**
   * Only these types.
   *
   * @default {all}
   */
  readonly types?: readonly string[] | undefined;
  /**
   * Only aggregates whose id begins so.
   *
   * @default {all}
   */
  readonly aggregatePrefix?: string | undefined;
  /** Only those committed at that time or later. */
  readonly since?: Date | number | undefined;
  /** Only those committed before that time. */
  readonly until?: Date | number | undefined;
  /**
   * Which comes first: the oldest, or the newest.
   *
   * @default {"forwards"}
   */
  readonly direction?: Direction | undefined;
  /**
   * How many at most.
   *
   * @default {all}
   */
  readonly limit?: number | undefined;
}

const COLUMNS = "l.token, l.committed_ms, l.body";
const readAppends = (order: string, compare: string) =>
  `SELECT ${COLUMNS}, a.first_version FROM headwater_appends a
  JOIN headwater_log l ON l.token = a.token AND l.stream = '${EVENTS_STREAM}'
  WHERE a.aggregate = ? AND a.last_version >= ? AND a.first_version <= ?
    AND a.first_version ${compare} ?
  ORDER BY a.first_version ${order} LIMIT ${PAGE_RECORDS}`;
const APPENDS_FORWARDS = readAppends("ASC", ">");
const APPENDS_BACKWARDS = readAppends("DESC", "<");

const readRecords = (order: string, compare: string) =>
  `SELECT ${COLUMNS} FROM headwater_log l
  WHERE l.stream = '${EVENTS_STREAM}' AND l.token ${compare} ?
    AND l.token <= ? AND l.committed_ms >= ? AND l.committed_ms < ?
  ORDER BY l.token ${order} LIMIT ${PAGE_RECORDS}`;
const RECORDS_FORWARDS = readRecords("ASC", ">");
const RECORDS_BACKWARDS = readRecords("DESC", "<");

const END = Number.MAX_SAFE_INTEGER;

/**
 * Reads an aggregate's events, page by page. Nothing is held open between
 * pages; what is appended meanwhile is read too.
 *
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for options that can't be.
 */
export async function* readAggregateEvents(
  session: Session,
  aggregate: string,
  options: ReadAggregateOptions = {},
): AsyncGenerator<StoredEvent> {
  const { from = 1, to = END, direction, limit = END } = options;
  requireCount("from", from);
  requireCount("to", to);
  requireCount("limit", limit);
  const isBackwards = isBackwardsOf(direction);
  const sql = isBackwards ? APPENDS_BACKWARDS : APPENDS_FORWARDS;
  let edge = isBackwards ? END : 0;
  let left = limit;
  while (left > 0) {
    const page = await session.rows(sql, [aggregate, from, to, edge]);
    for (const [token, committedMs, body, first] of page) {
      const events = parseBody(token, committedMs, body, aggregate);
      if (isBackwards) events.reverse();
      for (const event of events) {
        if (event.version < from || event.version > to) continue;
        yield event;
        left -= 1;
        if (left === 0) return;
      }
      edge = Number(first);
    }
    if (page.length < PAGE_RECORDS) return;
  }
}

/**
 * Reads events of all aggregates in token order, page by page. Nothing is held
 * open between pages.
 *
 * @param session Where to read.
 * @param upTo The last token to read: one that nothing can appear below any more.
 * @param options Which.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for options that can't be.
 */
export async function* readLogEvents(
  session: Session,
  upTo: Token,
  options: ReadEventsOptions = {},
): AsyncGenerator<StoredEvent> {
  const { direction, limit = END, types, aggregatePrefix = "" } = options;
  const isBackwards = isBackwardsOf(direction);
  requireCount("limit", limit);
  const sinceMs = toMs("since", options.since, 0);
  const untilMs = toMs("until", options.until, END);
  const wanted = types === undefined ? undefined : new Set(types);
  const sql = isBackwards ? RECORDS_BACKWARDS : RECORDS_FORWARDS;
  let edge: number = options.after === undefined
    ? (isBackwards ? END : 0)
    : parseToken(options.after);
  let left = limit;
  while (left > 0) {
    const page = await session.rows(sql, [edge, upTo, sinceMs, untilMs]);
    for (const [token, committedMs, body] of page) {
      const events = parseBody(token, committedMs, body);
      if (isBackwards) events.reverse();
      for (const event of events) {
        if (wanted !== undefined && !wanted.has(event.type)) continue;
        if (!event.aggregate.startsWith(aggregatePrefix)) continue;
        yield event;
        left -= 1;
        if (left === 0) return;
      }
      edge = Number(token);
    }
    if (page.length < PAGE_RECORDS) return;
  }
}

/** The events of a record; only one aggregate's, if it is given. */
function parseBody(
  token: SqlValue | undefined,
  committedMs: SqlValue | undefined,
  body: SqlValue | undefined,
  aggregate?: string,
): StoredEvent[] {
  const events: StoredEvent[] = [];
  for (const row of String(body).split(ROW_SEPARATOR)) {
    const [id, version, type, eventId, data, metadata] = JSON.parse(row) as [
      string,
      number,
      string,
      string,
      JsonValue,
      EventMetadata | null,
    ];
    if (aggregate !== undefined && id !== aggregate) continue;
    events.push({
      token: Number(token) as Token,
      aggregate: id,
      version,
      type,
      id: eventId,
      data,
      metadata: metadata ?? {},
      committedMs: Number(committedMs),
    });
  }
  return events;
}

function isBackwardsOf(direction: unknown = "forwards"): boolean {
  if (direction === "forwards" || direction === "backwards") {
    return direction === "backwards";
  }
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot read events: direction is ${
      String(direction)
    }; give "forwards" or "backwards"`,
  );
}

function requireCount(option: string, value: unknown): void {
  if (Number.isSafeInteger(value) && (value as number) >= 1) return;
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot read events: ${option} is ${String(value)}; give an integer from 1`,
  );
}

function toMs(option: string, time: unknown, otherwise: number): number {
  if (time === undefined) return otherwise;
  const ms = time instanceof Date ? time.getTime() : time;
  if (typeof ms === "number" && Number.isFinite(ms)) return Math.round(ms);
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot read events: ${option} is ${
      String(time)
    }; give a Date or ms since 1970`,
  );
}

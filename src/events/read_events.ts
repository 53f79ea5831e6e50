/**
 * Reading events back: of one aggregate, or of all.
 *
 * @module
 */

import { eachOf } from "./each_of.ts";
import type { Session, SqlValue } from "../database/engine.ts";
import { readFloorOf } from "../log/history.ts";
import { isEventsOf, perDialect, UP_TO_SIZE } from "../log/log_key.ts";
import { EVENTS_STREAM, ROW_SEPARATOR } from "../log/log_schema.ts";
import { findTokensOfTime, type TokenRange } from "../log/time_ranges.ts";
import { HeadwaterError, show } from "../runtime/errors.ts";
import type { JsonValue } from "../runtime/json.ts";
import { requireNames } from "../runtime/option_names.ts";
import { parseToken, type Token } from "../tokens/token.ts";
import type { AggregateKind } from "./aggregate.ts";
import type { EventMetadata, StoredEvent } from "./event.ts";
import {
  READ_AGGREGATE_OPTIONS,
  READ_EVENTS_OPTIONS,
  type ReadAggregateOptions,
  type ReadEventsOptions,
} from "./read_options.ts";
import { readRecordPages, type RecordPage } from "./record_pages.ts";
import { upcasterOf } from "./typed_events.ts";

const COLUMNS = "l.token, l.committed_ms, l.body";
const readAppends = (order: string, compare: string) =>
  perDialect((dialect) =>
    `SELECT ${COLUMNS}, a.first_version FROM headwater_appends a
  LEFT JOIN headwater_log l ON ${isEventsOf(dialect, "l", "a.token")}
  WHERE a.aggregate = ? AND a.last_version >= ? AND a.first_version <= ?
    AND a.first_version ${compare} ?
  ORDER BY a.first_version ${order} ${UP_TO_SIZE}`
  );
const APPENDS_FORWARDS = readAppends("ASC", ">");
const APPENDS_BACKWARDS = readAppends("DESC", "<");

const READ_FIRST_LEFT = perDialect((dialect) =>
  `SELECT min(a.first_version) FROM headwater_appends a
  JOIN headwater_log l ON ${isEventsOf(dialect, "l", "a.token")}
  WHERE a.aggregate = ?`
);

const readRecords = (order: string) =>
  `SELECT ${COLUMNS}, (SELECT floor_token FROM headwater_retained
    WHERE stream = '${EVENTS_STREAM}')
  FROM headwater_log l
  WHERE l.stream = '${EVENTS_STREAM}' AND l.token > ? AND l.token <= ?
    AND l.committed_ms >= ? AND l.committed_ms < ?
  ORDER BY l.token ${order} ${UP_TO_SIZE}`;
const RECORDS_FORWARDS = readRecords("ASC");
const RECORDS_BACKWARDS = readRecords("DESC");

const END = Number.MAX_SAFE_INTEGER;

/** Events that are parsed at a time, but for a record that has more. */
const CHUNK_EVENTS = 256;

/**
 * Reads an aggregate's events, page by page. Nothing is held open between
 * pages; what is appended meanwhile is read too.
 *
 * @param convert Makes of each what is given out.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for options that can't be;
 *   `EVENTS_DELETED` if, forwards, one of them is not there any more.
 */
export function readAggregateEvents<Result>(
  session: Session,
  aggregate: string,
  options: ReadAggregateOptions | undefined,
  convert: (event: StoredEvent) => Result,
): AsyncIterableIterator<Result, void> {
  return eachOf(readAggregatePages(session, aggregate, options), convert);
}

async function* readAggregatePages(
  session: Session,
  aggregate: string,
  options: ReadAggregateOptions = {},
): AsyncGenerator<readonly StoredEvent[], void> {
  const { from = 1, to = END, direction, limit = END } = options;
  requireNames("read an aggregate", READ_AGGREGATE_OPTIONS, options);
  requireCount("from", from);
  requireCount("to", to);
  requireCount("limit", limit);
  const isBackwards = isBackwardsOf(direction);
  const statements = isBackwards ? APPENDS_BACKWARDS : APPENDS_FORWARDS;
  const sql = statements[session.dialect];
  let left = limit;
  const pages = readRecordPages({
    read: (edge, size) => session.rows(sql, [aggregate, from, to, edge, size]),
    edge: isBackwards ? END : 0,
    edgeOf: (columns) => Number(columns[3]),
    left: () => left,
  });
  const isWanted = (event: StoredEvent) =>
    event.aggregate === aggregate && event.version >= from &&
    event.version <= to;
  for await (const found of pages) {
    // Those of a token that retention has deleted have no record.
    const gone = found.findIndex((columns) => columns[2] === null);
    if (gone >= 0 && !isBackwards) {
      throw await versionsDeletedError(session, aggregate, from);
    }
    const page = gone < 0 ? found : found.slice(0, gone);
    for (const events of parsePage(page, isBackwards, isWanted)) {
      yield events.length <= left ? events : events.slice(0, left);
      left -= events.length;
      if (left <= 0) return;
    }
    if (gone >= 0) return;
  }
}

/** How the library itself reads events. */
interface ReadManner {
  /**
   * Whether what retention has deleted is passed over.
   *
   * @default {true}
   */
  readonly mayMiss?: boolean;
  /**
   * How many the caller means to take: pages need not have more.
   *
   * @default {all}
   */
  readonly most?: number;
}

/**
 * Reads events of all aggregates in token order, page by page. Nothing is held
 * open between pages.
 *
 * @param session Where to read.
 * @param upTo The last token to read: one that nothing can appear below any more.
 * @param options Which.
 * @param manner How.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for options that can't be;
 *   `EVENTS_DELETED` if, forwards, some are missing after the token that was
 *   given, or after those that it has read.
 */
export function readLogEvents(
  session: Session,
  upTo: Token | (() => Promise<Token>),
  options?: ReadEventsOptions,
  manner?: ReadManner,
): AsyncIterableIterator<StoredEvent, void> {
  const pages = readEventPages(session, upTo, options, manner);
  return eachOf(pages, (event) => event);
}

/**
 * As {@linkcode readLogEvents}, where some are brought to their newest version
 * and nothing is passed over.
 */
export function readNewestEvents(
  session: Session,
  upTo: () => Promise<Token>,
  options: ReadEventsOptions & {
    readonly aggregates: readonly AggregateKind[];
  },
): AsyncIterableIterator<StoredEvent<string, unknown>, void> {
  const upcast = upcasterOf(options.aggregates);
  return eachOf<StoredEvent, StoredEvent<string, unknown>>(
    readEventPages(session, upTo, options, { mayMiss: false }),
    (event) => ({ ...event, ...upcast(event) }),
  );
}

async function* readEventPages(
  session: Session,
  end: Token | (() => Promise<Token>),
  options: ReadEventsOptions = {},
  { mayMiss = true, most = END }: ReadManner = {},
): AsyncGenerator<readonly StoredEvent[], void> {
  const { direction, limit = END, types, aggregatePrefix = "" } = options;
  requireNames("read events", READ_EVENTS_OPTIONS, options);
  const isBackwards = isBackwardsOf(direction);
  requireCount("limit", limit);
  const sinceMs = toMs("since", options.since, 0);
  const untilMs = toMs("until", options.until, END);
  const wanted = types === undefined ? undefined : new Set(types);
  const after = options.after === undefined
    ? undefined
    : parseToken(options.after);
  const upTo = typeof end === "number" ? end : await end();
  const all = isBackwards
    ? { after: 0, upTo: Math.min(upTo, (after ?? END) - 1) }
    : { after: after ?? 0, upTo };
  const isOfAnyTime = sinceMs <= 0 && untilMs === END;
  const ranges = isOfAnyTime
    ? [all]
    : await findTokensOfTime(session, sinceMs, untilMs, all);
  const isWanted = ({ type, aggregate }: StoredEvent) =>
    (wanted === undefined || wanted.has(type)) &&
    aggregate.startsWith(aggregatePrefix);
  const isAny = wanted === undefined && aggregatePrefix === "";
  const sql = isBackwards ? RECORDS_BACKWARDS : RECORDS_FORWARDS;
  let left = limit;
  const readPages = (range: TokenRange) =>
    readRecordPages({
      read: (edge, size) => {
        const ends = isBackwards ? [range.after, edge] : [edge, range.upTo];
        return session.rows(sql, [...ends, sinceMs, untilMs, size]);
      },
      edge: isBackwards ? range.upTo : range.after,
      edgeOf: ([token]) => isBackwards ? Number(token) - 1 : Number(token),
      left: () => {
        if (!isAny) return END;
        // Whoever goes on beyond what he meant to take is given one at a time.
        const given = limit - left;
        return Math.min(left, Math.max(1, most - given));
      },
    });
  /** Nothing may be missing after it. */
  let reached: number | undefined = isBackwards || mayMiss ? undefined : after;
  for (const range of isBackwards ? ranges.toReversed() : ranges) {
    for await (const page of readPages(range)) {
      if (reached !== undefined) {
        const floor = Number(
          page[0]?.[3] ?? await readFloorOf(session, EVENTS_STREAM),
        );
        if (floor > reached) throw eventsDeletedError(reached, floor);
      }
      for (const events of parsePage(page, isBackwards, isWanted)) {
        yield events.length <= left ? events : events.slice(0, left);
        left -= events.length;
        if (left <= 0) return;
      }
      const last = page.at(-1);
      if (last !== undefined && !isBackwards && !mayMiss) {
        reached = Number(last[0]);
      }
    }
  }
}

type EventColumns = [
  aggregate: string,
  version: number,
  type: string,
  id: string,
  data: JsonValue,
  metadata: EventMetadata | null,
];

/** The events of a page's records, some at a time: one record may hold many. */
function* parsePage(
  page: RecordPage,
  isBackwards: boolean,
  isWanted: (event: StoredEvent) => boolean,
): Generator<readonly StoredEvent[], void> {
  let events: StoredEvent[] = [];
  for (let index = 0; index < page.length; index += 1) {
    const columns = page[index] as SqlValue[];
    const token = Number(columns[0]) as Token;
    const committedMs = Number(columns[1]);
    const body = columns[2] as string;
    const rows = body.includes(ROW_SEPARATOR)
      ? body.split(ROW_SEPARATOR)
      : [body];
    if (isBackwards) rows.reverse();
    for (const row of rows) {
      const event = parseEvent(row, token, committedMs);
      if (isWanted(event)) events.push(event);
    }
    if (events.length >= CHUNK_EVENTS) {
      yield events;
      events = [];
    }
  }
  if (events.length > 0) yield events;
}

function parseEvent(
  row: string,
  token: Token,
  committedMs: number,
): StoredEvent {
  const columns = JSON.parse(row) as EventColumns;
  return {
    token,
    aggregate: columns[0],
    version: columns[1],
    type: columns[2],
    id: columns[3],
    data: columns[4],
    metadata: columns[5] ?? {},
    committedMs,
  };
}

async function versionsDeletedError(
  session: Session,
  aggregate: string,
  from: number,
): Promise<HeadwaterError> {
  const sql = READ_FIRST_LEFT[session.dialect];
  const [row] = await session.rows(sql, [aggregate]);
  const first = Number(row?.[0] ?? 0);
  return new HeadwaterError(
    "EVENTS_DELETED",
    `Cannot read aggregate "${aggregate}" from version ${from}: retention has ` +
      (first === 0
        ? "deleted all of its events"
        : `deleted those before version ${first}; give from: ${first} to read ` +
          "what is left") +
      "; fold it from a snapshot that contains the rest, or keep events for ever",
  );
}

function eventsDeletedError(after: number, floor: number): HeadwaterError {
  return new HeadwaterError(
    "EVENTS_DELETED",
    `Cannot read events after token ${after}: retention has deleted some up to ` +
      `token ${floor}; start over with what is left, which leaving "after" out ` +
      "gives, or keep events for longer",
  );
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
    `Cannot read events: ${option} is ${show(value)}; give an integer from 1`,
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

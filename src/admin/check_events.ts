/**
 * Checking the events of the log against what is known of their aggregates.
 *
 * @module
 */

import type { Session, SqlValue } from "../database/engine.ts";
import { quote } from "../runtime/errors.ts";
import type { ProblemList } from "./problems.ts";
import type { Tally } from "./tally.ts";

/** An event's row, as far as it is checked. */
export interface LoggedEvent {
  readonly aggregate: string;
  readonly version: number;
  readonly id: string;
}

/** Versions of one aggregate that stand under one token. */
export interface Run {
  readonly aggregate: string;
  readonly first: number;
  last: number;
  /** Whether each follows the one before. */
  isOrdered: boolean;
}

/** Something, and the token that it stands under. */
type Placed<Thing> = Thing & { readonly token: number };

/** An append as the database knows it. */
interface KnownAppend {
  readonly last: number;
  readonly token: number;
}

/** Rows that one statement asks for. */
const ASKED = 1_000;

const READ_APPEND = `SELECT last_version, token FROM headwater_appends
  WHERE aggregate = ? AND first_version = ?`;
const READ_APPENDS = `SELECT a.last_version, a.token
  FROM unnest(?::text[], ?::bigint[]) WITH ORDINALITY
    AS wanted (aggregate, first_version, place)
  LEFT JOIN headwater_appends a ON a.aggregate = wanted.aggregate
    AND a.first_version = wanted.first_version
  ORDER BY wanted.place`;
const COUNT_ID = `SELECT count(*) FROM headwater_event_ids
  WHERE event_id = ? AND aggregate = ? AND version = ? AND token = ?`;
const READ_GIVEN = `SELECT i.token
  FROM unnest(?::text[], ?::text[], ?::bigint[], ?::bigint[])
    AS wanted (event_id, aggregate, version, token)
  JOIN headwater_event_ids i ON i.event_id = wanted.event_id
    AND i.aggregate = wanted.aggregate AND i.version = wanted.version
    AND i.token = wanted.token`;

/** What {@linkcode EventChecks} works with. */
export interface EventChecksOptions {
  readonly session: Session;
  readonly problems: ProblemList;
  /** Counts appends whose events were found. */
  readonly appends: Tally;
  /** Counts given ids whose events were found. */
  readonly eventIds: Tally;
}

/** Checks records of the `events` stream. */
export class EventChecks {
  readonly #options: EventChecksOptions;
  readonly #runs: Placed<Run>[] = [];
  readonly #given: Placed<LoggedEvent>[] = [];
  #events = 0;

  /** Constructs one that has seen none. */
  constructor(options: EventChecksOptions) {
    this.#options = options;
  }

  /** Events so far. */
  get events(): number {
    return this.#events;
  }

  /**
   * Takes the events under a token: each is to be part of an append with that
   * token. They are compared with the next {@linkcode settle}.
   */
  add(token: number, rows: readonly unknown[]): void {
    this.#events += rows.length;
    const { problems } = this.#options;
    const events = readEvents(rows, (index, what) => {
      problems.add("events", token, `token ${token}: event ${index} ${what}`);
    });
    const runs = toRuns(events, ({ aggregate, version }, expected) => {
      problems.add(
        "events",
        token,
        `token ${token}: version ${version} of ${quote(aggregate)} stands ` +
          `where ${expected} should`,
      );
    });
    for (const run of runs.values()) this.#runs.push({ ...run, token });
    for (const event of events) this.#given.push({ ...event, token });
  }

  /** Compares what was taken with what the database knows: all of it at once. */
  async settle(): Promise<void> {
    const { session, appends, eventIds } = this.#options;
    const [runs, given] = [this.#runs.splice(0), this.#given.splice(0)];
    for (let from = 0; from < runs.length; from += ASKED) {
      const asked = runs.slice(from, from + ASKED);
      const known = await readAppends(session, asked);
      for (const [index, run] of asked.entries()) {
        this.#compare(run, known[index]);
        if (known[index]?.token === run.token) appends.count(run.token, 1);
      }
    }
    for (let from = 0; from < given.length; from += ASKED) {
      const asked = given.slice(from, from + ASKED);
      for (const token of await readGiven(session, asked)) {
        eventIds.count(token, 1);
      }
    }
  }

  #compare(
    { token, aggregate, first, last, isOrdered }: Placed<Run>,
    known: KnownAppend | undefined,
  ): void {
    // What is out of order was told of.
    if (!isOrdered) return;
    const { problems } = this.#options;
    const what = `${versionsOf(first, last)} of ${quote(aggregate)}`;
    if (known === undefined) {
      problems.add("appends", token, `token ${token}: no append has ${what}`);
    } else if (known.token !== token) {
      problems.add(
        "appends",
        token,
        `token ${token}: the append of ${what} has token ${known.token}`,
      );
    } else if (known.last !== last) {
      problems.add(
        "events",
        token,
        `token ${token}: it has ${what}, and the append has ${
          versionsOf(first, known.last)
        }`,
      );
    }
  }
}

/** `version 3`, or `versions 3 to 5`. */
export function versionsOf(first: number, last: number): string {
  return first === last ? `version ${first}` : `versions ${first} to ${last}`;
}

/** The events of a record's rows; those that are none are told of, and left out. */
export function readEvents(
  rows: readonly unknown[],
  refuse: (index: number, what: string) => void = () => {},
): LoggedEvent[] {
  const events: LoggedEvent[] = [];
  for (const [index, row] of rows.entries()) {
    const [aggregate, version, type, id, , metadata]: unknown[] =
      Array.isArray(row) ? row : [];
    const isEvent = Array.isArray(row) && row.length === 6 &&
      typeof aggregate === "string" && typeof type === "string" &&
      typeof id === "string" && Number.isSafeInteger(version) &&
      typeof metadata === "object" && !Array.isArray(metadata);
    if (!isEvent) {
      refuse(
        index + 1,
        "is none: [aggregate, version, type, id, data, metadata]",
      );
      continue;
    }
    events.push({
      aggregate: stored(aggregate),
      version: version as number,
      id: stored(id),
    });
  }
  return events;
}

/** The events of each aggregate as one run; those out of order are told of. */
export function toRuns(
  events: readonly LoggedEvent[],
  refuse: (event: LoggedEvent, expected: number) => void = () => {},
): ReadonlyMap<string, Run> {
  const runs = new Map<string, Run>();
  for (const event of events) {
    const { aggregate, version } = event;
    const run = runs.get(aggregate);
    if (run === undefined) {
      runs.set(aggregate, {
        aggregate,
        first: version,
        last: version,
        isOrdered: true,
      });
    } else if (version === run.last + 1) run.last = version;
    else {
      run.isOrdered = false;
      refuse(event, run.last + 1);
    }
  }
  return runs;
}

/** A text as databases keep it: they have no lone surrogates, and PostgreSQL no NUL. */
function stored(text: string): string {
  return text.toWellFormed();
}

async function readAppends(
  session: Session,
  runs: readonly Run[],
): Promise<(KnownAppend | undefined)[]> {
  const toKnown = (row: readonly SqlValue[] | undefined) =>
    row === undefined || row[0] === null
      ? undefined
      : { last: Number(row[0]), token: Number(row[1]) };
  if (session.dialect === "postgres") {
    const rows = await session.rows(READ_APPENDS, [
      runs.map(({ aggregate }) => withoutNul(aggregate)),
      runs.map(({ first }) => first),
    ]);
    return rows.map(toKnown);
  }
  const known: (KnownAppend | undefined)[] = [];
  for (const { aggregate, first } of runs) {
    const [row] = await session.rows(READ_APPEND, [aggregate, first]);
    known.push(toKnown(row));
  }
  return known;
}

/** The tokens of those events whose ids were given, and are known as theirs. */
async function readGiven(
  session: Session,
  events: readonly Placed<LoggedEvent>[],
): Promise<number[]> {
  if (session.dialect === "postgres") {
    const rows = await session.rows(READ_GIVEN, [
      events.map(({ id }) => withoutNul(id)),
      events.map(({ aggregate }) => withoutNul(aggregate)),
      events.map(({ version }) => version),
      events.map(({ token }) => token),
    ]);
    return rows.map(([token]) => Number(token));
  }
  const tokens: number[] = [];
  for (const { id, aggregate, version, token } of events) {
    const values = [id, aggregate, version, token];
    const [row] = await session.rows(COUNT_ID, values);
    if (Number(row?.[0]) > 0) tokens.push(token);
  }
  return tokens;
}

/** PostgreSQL refuses to be asked for what it can't have. */
function withoutNul(text: string): string {
  return text.replaceAll("\0", "\ufffd");
}

/**
 * Appending events to aggregates, within one transaction.
 *
 * @module
 */

import {
  type AggregateLike,
  CLOSED_TYPE,
  type EventInput,
  idOf,
} from "../events/event.ts";
import {
  type AggregateState,
  type GivenEvent,
  readAggregateState,
  readGivenEvents,
} from "../events/aggregate_state.ts";
import {
  type ExpectedVersion,
  VersionConflictError,
} from "../events/version_conflict.ts";
import type { CommitSession, Session } from "../database/engine.ts";
import { readHolders } from "../log/history.ts";
import type { AppendedVersions, GivenEventId } from "../log/record.ts";
import { HeadwaterError, quote, show } from "../runtime/errors.ts";
import { encodeJson } from "../runtime/json.ts";
import type { ProjectedEvent } from "../projections/projection.ts";
import { type OptionNames, requireNames } from "../runtime/option_names.ts";
import type { Random } from "../runtime/random.ts";
import type { Token } from "../tokens/token.ts";
import type { AggregateMemory, RememberedState } from "./aggregate_memory.ts";
import {
  type AppendFate,
  follow,
  loseFate,
  loseFollowers,
  openFate,
} from "./append_fate.ts";
import { type CheckedEvent, checkEvents, checkText } from "./event_checks.ts";

/** Options of `txn.append`. */
export interface AppendOptions {
  /**
   * The version that the aggregate must have.
   *
   * @default {"any"}
   */
  readonly expectedVersion?: ExpectedVersion | undefined;
}

/** The names of {@linkcode AppendOptions}. */
export const APPEND_OPTIONS: OptionNames<AppendOptions> = {
  expectedVersion: true,
};

/** What an appender works with. */
export interface EventAppenderOptions {
  readonly session: CommitSession;
  /** Reads outside of any transaction. */
  readonly lookup: Session;
  /** Where aggregates stood when they were appended to last. */
  readonly memory: AggregateMemory;
  /** 1 for the transaction's first attempt. */
  readonly attempt: number;
  /** Whether it will be run again if what it went on from was wrong. */
  readonly mayRunAgain: boolean;
  readonly random: Random;
  /** Takes events as rows of the `events` stream: all, or, if it throws, none. */
  readonly addRows: (rows: readonly string[]) => void;
  /** Whether somebody wants the events themselves. */
  readonly keepEvents: boolean;
  /** The wall-clock time, in ms. */
  readonly nowMs: () => number;
}

/** When events were appended that are appended again, and who did it. */
export interface RepeatedAppend {
  readonly instance: string;
  readonly token: Token;
  /** Who holds that instance's name: the token is part of what this one goes on with. */
  readonly holder: string;
}

/** Appends, in one transaction; several times to an aggregate if need be. */
export class EventAppender {
  readonly #options: EventAppenderOptions;
  readonly #states = new Map<string, AggregateState>();
  readonly #appends = new Map<string, AppendedVersions>();
  readonly #eventIds = new Map<string, GivenEventId>();
  readonly #events: ProjectedEvent[] = [];
  #repeated: RepeatedAppend | undefined;
  #fate: AppendFate | undefined;
  #looks: Promise<unknown> | undefined;

  /** Constructs one that has appended nothing. */
  constructor(options: EventAppenderOptions) {
    this.#options = options;
  }

  /** Which versions were appended. */
  get appends(): readonly AppendedVersions[] {
    return [...this.#appends.values()];
  }

  /** The events among them whose ids were given. */
  get eventIds(): readonly GivenEventId[] {
    return [...this.#eventIds.values()];
  }

  /** The events themselves, for projections. */
  get events(): readonly ProjectedEvent[] {
    return this.#events;
  }

  /** What others know of it that append after it; `undefined` if nobody can. */
  get fate(): AppendFate | undefined {
    return this.#fate;
  }

  /** The first time of events that were there already; `undefined` if none were. */
  get repeated(): RepeatedAppend | undefined {
    return this.#repeated;
  }

  /**
   * Appends events.
   *
   * @returns The aggregate's version after it; where the events were there
   *   already, its version after them.
   */
  async append(
    aggregate: AggregateLike,
    events: readonly EventInput<string, unknown>[],
    options: AppendOptions,
    isLast = false,
  ): Promise<number> {
    const id = idOf(aggregate);
    checkText(id, "aggregate");
    requireNames(`append to "${id}"`, APPEND_OPTIONS, options);
    const { expectedVersion = "any" } = options;
    checkExpected(id, expectedVersion);
    const checked = checkEvents(aggregate, id, events, isLast);
    const repeated = await this.#findRepeated(id, checked);
    if (repeated !== undefined) return repeated;
    const recalled = this.#recall(id, expectedVersion);
    // The last attempt may have failed for what was committed.
    const isNew = this.#options.attempt === 1 || recalled?.fate !== undefined;
    const known = this.#states.get(id) ?? (isNew ? recalled : undefined) ??
      await this.#look(id);
    // Another may have come first meanwhile, of this transaction or beside it.
    const state = this.#states.get(id) ??
      this.#newest(id, expectedVersion, known);
    this.#requireUnused(id, checked);
    if (!isExpected(state.version, expectedVersion)) {
      throw new VersionConflictError(id, expectedVersion, state.version);
    }
    if (state.isClosed) throw closedError(id, state.version);
    return this.#add(id, state, checked, isLast);
  }

  /** Closes an aggregate with a last event. */
  close(
    aggregate: AggregateLike,
    reason: unknown,
    options: AppendOptions,
  ): Promise<number> {
    const id = idOf(aggregate);
    return this.append(
      id,
      [{ type: CLOSED_TYPE, data: reason }],
      options,
      true,
    );
  }

  /** What is remembered, if the append may go on with it. */
  #recall(id: string, expected: ExpectedVersion): RememberedState | undefined {
    const { session, memory, attempt, mayRunAgain } = this.#options;
    if (!mayRunAgain) return undefined;
    // One that is open is likely to be on its way first, if neither waits.
    const mayBeOpen = attempt <= 2 && session.isUntouched === true;
    const state = memory.recall(id, mayBeOpen);
    if (state === undefined || !isExpected(state.version, expected)) return;
    // Who closes it may yet fail.
    return state.isClosed && state.fate !== undefined ? undefined : state;
  }

  /** Asks where an aggregate stands. */
  async #look(id: string): Promise<AggregateState> {
    const { session, lookup, mayRunAgain } = this.#options;
    const isApart = mayRunAgain && session.isUntouched === true;
    const reading = readAggregateState(isApart ? lookup : session, id);
    // Those that run beside each other go on in their order.
    await (this.#looks = Promise.allSettled([this.#looks, reading]));
    return await reading;
  }

  #newest(
    id: string,
    expected: ExpectedVersion,
    known: RememberedState,
  ): RememberedState {
    const recalled = this.#recall(id, expected);
    // Whoever is on his way may be seen already, or not yet.
    return recalled !== undefined && recalled.version >= known.version
      ? recalled
      : known;
  }

  #add(
    aggregate: string,
    { version: before, fate: other }: RememberedState,
    events: readonly CheckedEvent[],
    isLast: boolean,
  ): number {
    const { addRows, random, keepEvents, nowMs } = this.#options;
    const prefix = `[${encodeJson(aggregate)},`;
    const rows: string[] = [];
    const projected: ProjectedEvent[] = [];
    let version = before;
    for (const { type, id, data, metadata } of events) {
      version += 1;
      const eventId = id ?? random.uuid();
      rows.push(
        `${prefix}${version},${encodeJson(type)},${
          id === undefined ? `"${eventId}"` : encodeJson(id)
        },${data},${metadata}]`,
      );
      if (!keepEvents) continue;
      projected.push({
        aggregate,
        version,
        type,
        id: eventId,
        data: JSON.parse(data),
        metadata: JSON.parse(metadata) ?? {},
        committedMs: nowMs(),
      });
    }
    addRows(rows);
    for (const event of projected) this.#events.push(event);
    for (const [index, { id }] of events.entries()) {
      if (id === undefined) continue;
      const version = before + index + 1;
      this.#eventIds.set(id, { eventId: id, aggregate, version });
    }
    const earlier = this.#appends.get(aggregate);
    const first = earlier?.first ?? before + 1;
    this.#appends.set(aggregate, { aggregate, first, last: version, isLast });
    const { session, memory } = this.#options;
    const fate = session.dialect === "postgres" ? this.#ownFate() : undefined;
    if (fate !== undefined && other !== undefined) follow(fate, other);
    // They have the versions that these are given.
    if (fate !== undefined && earlier !== undefined) loseFollowers(fate);
    const state = { version, isClosed: isLast };
    this.#states.set(aggregate, state);
    memory.appended(session, aggregate, { ...state, fate });
    return version;
  }

  #ownFate(): AppendFate {
    if (this.#fate !== undefined) return this.#fate;
    const fate = this.#fate = openFate();
    this.#options.session.onRollback(() => loseFate(fate));
    return fate;
  }

  #requireUnused(aggregate: string, events: readonly CheckedEvent[]): void {
    if (this.#eventIds.size === 0) return;
    for (const { id } of events) {
      if (id === undefined || !this.#eventIds.has(id)) continue;
      throw idUsedError(aggregate, id, "in this transaction");
    }
  }

  /** The version after events that stand there already; `undefined` if they don't. */
  async #findRepeated(
    aggregate: string,
    events: readonly CheckedEvent[],
  ): Promise<number | undefined> {
    const ids = events.flatMap(({ id }) => id === undefined ? [] : [id]);
    if (ids.length === 0) return undefined;
    const twice = ids.find((id, index) => ids.indexOf(id) !== index);
    if (twice !== undefined) {
      throw idUsedError(aggregate, twice, "in this transaction");
    }
    this.#requireUnused(aggregate, events);
    const stored = await readGivenEvents(this.#options.session, ids);
    if (stored.length === 0) return undefined;
    let version = 0;
    let last: GivenEvent | undefined;
    for (const [index, { type, id, data }] of events.entries()) {
      const found = stored.find((event) => event.id === id);
      const isSame = found?.aggregate === aggregate &&
        isSameContent(found, type, data) &&
        (index === 0 || found.version === version + 1);
      if (!isSame) {
        const used = found ?? stored[0] as typeof stored[0];
        throw idUsedError(
          aggregate,
          used.id,
          `for ${nameOf(used)} of "${used.aggregate}"`,
        );
      }
      version = found.version;
      last = found;
    }
    if (last !== undefined) await this.#noteRepeated(last);
    return version;
  }

  async #noteRepeated({ instance, token }: GivenEvent): Promise<void> {
    if (instance === undefined) return;
    const { text } = await readHolders(this.#options.session, instance);
    if (text !== undefined) this.#repeated = { instance, token, holder: text };
  }
}

function isExpected(version: number, expected: ExpectedVersion): boolean {
  switch (expected) {
    case "any":
      return true;
    case "none":
      return version === 0;
    case "exists":
      return version > 0;
    default:
      return version === expected;
  }
}

function checkExpected(aggregate: string, expected: unknown): void {
  const isVersion = typeof expected === "number"
    ? Number.isSafeInteger(expected) && expected >= 0
    : ["any", "none", "exists"].includes(expected as string);
  if (isVersion) return;
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot append to aggregate "${aggregate}": expectedVersion is ` +
      `${show(expected)}; give a version, "any", "none" or "exists"`,
  );
}

/**
 * Of one whose record is deleted, its aggregate and its version must do. What
 * goes with an event is no part of it: a retry may be another request.
 */
function isSameContent(
  { content }: GivenEvent,
  type: string,
  data: string,
): boolean {
  return content === undefined || (content.type === type &&
    canonical(content.data) === canonical(JSON.parse(data)));
}

function nameOf({ content, version }: GivenEvent): string {
  return content === undefined
    ? `version ${version}, deleted by now,`
    : `event "${content.type}", version ${version}`;
}

/** Equal for values that differ in nothing but the order of their names. */
function canonical(value: unknown): string {
  return JSON.stringify(
    value,
    (_, part) =>
      part !== null && typeof part === "object" && !Array.isArray(part)
        ? Object.fromEntries(Object.entries(part).sort(byName))
        : part,
  );
}

function byName([a]: [string, unknown], [b]: [string, unknown]): number {
  return a < b ? -1 : 1;
}

function idUsedError(
  aggregate: string,
  id: string,
  where: string,
): HeadwaterError {
  return new HeadwaterError(
    "EVENT_ID_USED",
    `Cannot append to aggregate "${aggregate}": event id ${
      quote(id)
    } was used ` +
      `${where}; give each event an id of its own, and repeat an append whole`,
  );
}

function closedError(aggregate: string, version: number): HeadwaterError {
  return new HeadwaterError(
    "AGGREGATE_CLOSED",
    `Cannot append to aggregate "${aggregate}": it was closed with version ` +
      `${version}; start another one`,
  );
}

/**
 * Events, as a store reads them.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";
import { HeadwaterError, quote } from "../runtime/errors.ts";
import { encodeJson, requireJson } from "../runtime/json.ts";
import { type OptionNames, requireNames } from "../runtime/option_names.ts";
import type { Token } from "../tokens/token.ts";
import type {
  AggregateKind,
  AggregateRef,
  EventDefinitions,
} from "./aggregate.ts";
import {
  type AggregateLike,
  idOf,
  type StoredEvent,
  type StoredEventOf,
} from "./event.ts";
import {
  readAggregateEvents,
  readLogEvents,
  readNewestEvents,
} from "./read_events.ts";
import type {
  ReadAggregateOptions,
  ReadEventsOptions,
} from "./read_options.ts";
import { readSnapshot, type Snapshot, type SnapshotKey } from "./snapshots.ts";
import { upcastEvent } from "./typed_events.ts";

/** Makes of a state and an event the next state. It must not change the state in place. */
export type Reducer<State, Event> = (state: State, event: Event) => State;

/** How an aggregate is folded. */
export interface FoldOptions {
  /**
   * After how many events a snapshot is stored; `name` goes with it. Only a
   * writer store stores any; a slaved store uses what is there.
   *
   * @default {never}
   */
  readonly snapshotEvery?: number | undefined;
  /** What the reducer is called: aggregates have one snapshot for each. */
  readonly name?: string | undefined;
  /**
   * The reducer's version. Raise it with each change of what it makes of events:
   * snapshots of older ones are passed over.
   *
   * @default {1}
   */
  readonly version?: number | undefined;
  /**
   * The last event to fold.
   *
   * @default {the last there is}
   */
  readonly to?: number | undefined;
}

/** The names of {@linkcode FoldOptions}. */
export const FOLD_OPTIONS: OptionNames<FoldOptions> = {
  snapshotEvery: true,
  name: true,
  version: true,
  to: true,
};

/** An aggregate, folded. */
export interface Folded<State> {
  /** What the reducer has made of its events. */
  readonly state: State;
  /** The aggregate's version that it contains: what to expect when appending. */
  readonly version: number;
}

/** One aggregate's events. */
export interface AggregateReads<Event> {
  /** Reads its events. */
  read(options?: ReadAggregateOptions): AsyncIterable<Event>;
  /**
   * Makes a state of its events.
   *
   * @param initial The state before the first.
   * @param reducer What each event makes of it.
   * @param options Whether snapshots are kept.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for options that can't be;
   *   `EVENTS_DELETED` if retention has deleted events that no snapshot contains;
   *   `ROW_INVALID` for a state that is to be stored and isn't JSON.
   */
  fold<State>(
    initial: State,
    reducer: Reducer<State, Event>,
    options?: FoldOptions,
  ): Promise<Folded<State>>;
}

/** What {@linkcode EventReads} works with. */
export interface EventReadsOptions {
  readonly session: Session;
  /** A token that nothing can appear below any more. */
  readonly horizon: () => Promise<Token>;
  /**
   * Stores a snapshot, now or later; it never fails. Left out where nothing can
   * be written.
   */
  readonly writeSnapshot?:
    | ((key: SnapshotKey, snapshot: Snapshot) => Promise<void> | undefined)
    | undefined;
}

/** The events of a store: what a `WriterStore` and a `SlavedStore` have in common. */
export class EventReads {
  readonly #options: EventReadsOptions;

  /** Constructs one for a store. */
  constructor(options: EventReadsOptions) {
    this.#options = options;
  }

  /**
   * Reads an aggregate's events, page by page; nothing is held open between
   * pages.
   *
   * @param aggregate One of a kind, whose events come checked and in their
   *   newest version; or any by its id.
   * @param options Which, and in which direction.
   * @throws {HeadwaterError} `INVALID_ARGUMENT`; `EVENT_INVALID` for an event
   *   that its kind does not know; `EVENTS_DELETED` if, forwards, retention has
   *   deleted the first of them.
   */
  readAggregate<Definitions extends EventDefinitions>(
    aggregate: AggregateRef<Definitions>,
    options?: ReadAggregateOptions,
  ): AsyncIterable<StoredEventOf<Definitions>>;
  /** Reads the events of any aggregate, by its id. */
  readAggregate(
    aggregate: string,
    options?: ReadAggregateOptions,
  ): AsyncIterable<StoredEvent>;
  readAggregate(
    aggregate: AggregateLike,
    options?: ReadAggregateOptions,
  ): AsyncIterable<StoredEvent<string, unknown>> {
    return this.#readAggregate(aggregate, options);
  }

  /**
   * Reads events of all aggregates in token order, up to what is complete as it
   * begins. No row is stepped over, whoever writes meanwhile.
   *
   * Without `after`, and backwards, it gives what retention has left.
   *
   * @param options Which, and in which direction.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for options that can't be;
   *   `EVENTS_DELETED` if, forwards, retention has deleted events after the
   *   token that `after` gives, or after those that were read; `EVENT_INVALID`
   *   for an event that one of `aggregates` does not know.
   */
  readEvents(
    options: ReadEventsOptions & {
      readonly aggregates: readonly AggregateKind[];
    },
  ): AsyncIterable<StoredEvent<string, unknown>>;
  /** Reads events as they stand in the log. */
  readEvents(
    options?: ReadEventsOptions & { readonly aggregates?: undefined },
  ): AsyncIterable<StoredEvent>;
  /** Reads events, of some kinds or as they stand in the log. */
  readEvents(
    options: ReadEventsOptions,
  ): AsyncIterable<StoredEvent<string, unknown>>;
  readEvents(
    options: ReadEventsOptions = {},
  ): AsyncIterable<StoredEvent<string, unknown>> {
    const { session, horizon } = this.#options;
    const { aggregates } = options;
    return aggregates === undefined
      ? readLogEvents(session, horizon, options, { mayMiss: false })
      : readNewestEvents(session, horizon, { ...options, aggregates });
  }

  /**
   * One aggregate, to be read or folded.
   *
   * @param aggregate One of a kind, or any by its id.
   */
  aggregate<Definitions extends EventDefinitions>(
    aggregate: string | AggregateRef<Definitions>,
  ): AggregateReads<StoredEventOf<Definitions>> {
    type Event = StoredEventOf<Definitions>;
    const like = aggregate as AggregateLike;
    return {
      read: (options) =>
        this.#readAggregate(like, options) as AsyncIterable<Event>,
      fold: (initial, reducer, options) =>
        this.#fold(like, initial, reducer as never, options),
    };
  }

  #readAggregate(
    aggregate: AggregateLike,
    options?: ReadAggregateOptions,
  ): AsyncIterableIterator<StoredEvent<string, unknown>, void> {
    const { session } = this.#options;
    return readAggregateEvents<StoredEvent<string, unknown>>(
      session,
      idOf(aggregate),
      options,
      typeof aggregate === "string"
        ? (event) => event
        : (event) => upcastEvent(aggregate, event),
    );
  }

  async #fold<State>(
    aggregate: AggregateLike,
    initial: State,
    reducer: Reducer<State, StoredEvent<string, unknown>>,
    options: FoldOptions = {},
  ): Promise<Folded<State>> {
    const { snapshotEvery, name, version: reducerVersion = 1, to } = options;
    requireNames("fold an aggregate", FOLD_OPTIONS, options);
    checkFold(options);
    const id = idOf(aggregate);
    const key = name === undefined
      ? undefined
      : { aggregate: id, reducer: name, reducerVersion };
    const found = key && await readSnapshot(this.#options.session, key);
    const isOfUse = found !== undefined &&
      (to === undefined || found.version <= to);
    let state = isOfUse ? JSON.parse(found.state) as State : initial;
    const from = isOfUse ? found.version : 0;
    let version = from;
    for await (
      const event of this.#readAggregate(aggregate, { from: from + 1, to })
    ) {
      state = reducer(state, event);
      version = event.version;
    }
    if (
      key !== undefined && snapshotEvery !== undefined &&
      version - from >= snapshotEvery
    ) {
      requireJson(state, `a snapshot of "${id}" by "${name}"`);
      await this.#options.writeSnapshot?.(key, {
        version,
        state: encodeJson(state),
      });
    }
    return { state, version };
  }
}

function checkFold({ snapshotEvery, name, version = 1 }: FoldOptions): void {
  const refuse = (problem: string) => {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot fold an aggregate: ${problem}`,
    );
  };
  if (name !== undefined && (typeof name !== "string" || name === "")) {
    refuse(`name is ${quote(String(name))}; give the reducer's name`);
  }
  if (!Number.isSafeInteger(version) || version < 1) {
    refuse(`version is ${version}; give 1, 2, 3, …`);
  }
  if (snapshotEvery === undefined) return;
  if (!Number.isSafeInteger(snapshotEvery) || snapshotEvery < 1) {
    refuse(`snapshotEvery is ${snapshotEvery}; give a number of events from 1`);
  }
  if (name === undefined) {
    refuse("snapshotEvery wants the reducer's name; give name, and version");
  }
}

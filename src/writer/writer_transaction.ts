/**
 * What a transaction of a writer store can do.
 *
 * @module
 */

import type { Transaction } from "kysely";
import type { CacheGroup } from "../caches/cache_groups.ts";
import { expandGroup } from "../caches/cache_groups.ts";
import {
  type CachedMethod,
  cacheNameOf,
  type KeyArguments,
  type KeyPrefix,
  type NamingArguments,
  wireKeyOf,
  wirePrefixOf,
} from "../caches/cached_method.ts";
import type { CacheRegistry } from "../caches/cache_registry.ts";
import { checkKey, type KeyArgument } from "../caches/key_parts.ts";
import type { Session, WriteSession } from "../database/engine.ts";
import type { AggregateRef, EventDefinitions } from "../events/aggregate.ts";
import type { EventInput, EventInputOf } from "../events/event.ts";
import type { AppendedVersions, GivenEventId } from "../log/record.ts";
import type { InvalidationRun } from "../protocol/command.ts";
import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import type { JsonValue } from "../runtime/json.ts";
import { takeIn } from "../projections/inline.ts";
import type { ProjectedEvent, Projection } from "../projections/projection.ts";
import type { Random } from "../runtime/random.ts";
import {
  cachesStream,
  eventsStream,
  type KeyPart,
} from "../streams/builtin_streams.ts";
import { encodeRow } from "../streams/rows.ts";
import type { Stream } from "../streams/stream.ts";
import type { StreamRegistry } from "../streams/stream_registry.ts";
import type { AppendFate } from "./append_fate.ts";
import type { AggregateMemory } from "./aggregate_memory.ts";
import {
  type AppendOptions,
  EventAppender,
  type RepeatedAppend,
} from "./event_appender.ts";
import { type TransactionLimits, TransactionRows } from "./transaction_rows.ts";

/** What all transactions of a store work with. */
export interface TransactionParts<Database> {
  readonly memory: AggregateMemory;
  /** Reads outside of any transaction. */
  readonly lookup: Session;
  /** Projections that are written in each. */
  readonly inline: readonly Projection<Database>[];
  readonly instance: string;
  readonly streams: StreamRegistry;
  readonly caches: CacheRegistry;
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: TransactionLimits;
}

/** What one has for itself. */
export interface TransactionRun<Database> {
  readonly session: WriteSession<Database>;
  /** 1 for the first attempt, 2 where that one failed for what went on beside it. */
  readonly attempt: number;
  /** Whether it will be run again if what it went on from was wrong. */
  readonly mayRunAgain: boolean;
}

/**
 * One transaction: the data through {@linkcode db}, the log through the
 * other methods. Both commit, or neither.
 */
export class WriterTransaction<Database> {
  /**
   * Which attempt it is: 1, or more where the database gave an earlier one up (a
   * deadlock, a serialization failure, a lost connection, a shared commit).
   * Nothing is left of those; their `afterRollback` callbacks were called, no
   * others are.
   */
  readonly attempt: number;
  readonly #parts: TransactionParts<Database>;
  readonly #run: TransactionRun<Database>;
  readonly #rows: TransactionRows;
  readonly #afterCommit: (() => void)[] = [];
  readonly #afterRollback: (() => void)[] = [];
  /** Made when it is needed: most transactions append nothing. */
  #events: EventAppender | undefined;
  /** The time of its invalidations, once there is one. */
  #nowMs: number | undefined;
  #hasEnded = false;
  #appendsRunning = 0;

  /** Made by `WriterStore.transaction`. */
  constructor(
    parts: TransactionParts<Database>,
    run: TransactionRun<Database>,
  ) {
    this.#parts = parts;
    this.#run = run;
    this.#rows = new TransactionRows(parts.instance, parts.limits);
    this.attempt = run.attempt;
  }

  /** The transaction, through Kysely. */
  get db(): Transaction<Database> {
    return this.#run.session.db;
  }

  /**
   * Writes a row of a stream.
   *
   * @param stream The stream, or its name.
   * @param row What the stream's schema describes.
   * @throws {HeadwaterError} `ROW_INVALID` with the path of what is wrong,
   *   `STREAM_UNKNOWN`, `ROW_TOO_LONG` or `TRANSACTION_TOO_LARGE`.
   */
  write<Row>(stream: Stream<Row> | string, row: Row): void {
    this.#requireOpen("write a row");
    const name = typeof stream === "string" ? stream : stream.name;
    const known = this.#parts.streams.get(name);
    if (name === cachesStream.name || name === eventsStream.name) {
      throw new HeadwaterError(
        "INVALID_ARGUMENT",
        `Cannot write rows of stream "${name}" directly; ` +
          "use txn.invalidate… or txn.append",
      );
    }
    if (!known.isDurable) {
      throw new HeadwaterError(
        "INVALID_ARGUMENT",
        `Cannot write rows of stream "${name}" in a transaction: it is declared ` +
          "with durable: false; use writer.publish",
      );
    }
    this.#rows.add(name, encodeRow(known, row));
  }

  /**
   * Appends events to an aggregate. Several may be appended to in one
   * transaction, and one several times.
   *
   * Events whose ids are given can be appended again: where all of them stand
   * there already with the same type and data, nothing changes, and the commit
   * has the instance and the token of the first time. Metadata may differ, as
   * that of a retry does.
   *
   * On PostgreSQL it may follow another's append that isn't committed yet; if
   * that one fails, this transaction is run again.
   *
   * Await it: a transaction whose function is done while an append still runs is
   * rolled back, as its data would be there without the events.
   *
   * @param aggregate The aggregate: one of a kind, `users.of("1")`, whose events
   *   are checked against its schemas; or any by its id, `user:1`.
   * @param events What happened, in order; at least one.
   * @param options The version that the aggregate must have.
   * @returns The aggregate's version after it: the number of its events.
   * @throws {VersionConflictError} `VERSION_CONFLICT` if it has another version.
   * @throws {HeadwaterError} `EVENT_INVALID` if an event isn't one of its kind's;
   *   `EVENT_ID_USED` if an id stands there with other content;
   *   `AGGREGATE_CLOSED`; `INVALID_ARGUMENT` or `ROW_INVALID` for what can't be an event.
   */
  async append<Definitions extends EventDefinitions>(
    aggregate: AggregateRef<Definitions>,
    events: readonly EventInputOf<Definitions>[],
    options?: AppendOptions,
  ): Promise<number>;
  /** Appends events to any aggregate, by its id. */
  async append(
    aggregate: string,
    events: readonly EventInput[],
    options?: AppendOptions,
  ): Promise<number>;
  async append(
    aggregate: string | AggregateRef,
    events: readonly EventInput<string, unknown>[],
    options: AppendOptions = {},
  ): Promise<number> {
    this.#requireOpen("append events");
    return await this.#appending((appender) =>
      appender.append(aggregate, events, options)
    );
  }

  /**
   * Closes an aggregate with a last event, `$closed`: later appends fail.
   *
   * @param aggregate The aggregate, or its id.
   * @param options Why, as the event's data; and the version that it must have.
   * @returns The aggregate's version after it.
   * @throws {HeadwaterError} `AGGREGATE_CLOSED` if it is closed already; else as {@linkcode append}.
   */
  async closeAggregate(
    aggregate: string | AggregateRef,
    options: AppendOptions & { readonly reason?: JsonValue | undefined } = {},
  ): Promise<number> {
    this.#requireOpen("close an aggregate");
    const { reason, ...expected } = options;
    return await this.#appending((appender) =>
      appender.close(aggregate, reason, expected)
    );
  }

  /**
   * Invalidates one entry of a cached method, in every process.
   *
   * @param method The method, of an attached store or of its class; or its cache's name.
   * @param key The arguments of the entry: those that belong to the key, or all
   *   of them where `keyOf` makes it.
   * @throws {HeadwaterError} `NOT_CACHED` if it has no cache, `KEY_INVALID` for what can't be a key.
   */
  invalidate<Args extends readonly unknown[]>(
    method: CachedMethod<Args>,
    key: Readonly<NamingArguments<Args>>,
  ): void;
  /** Invalidates one entry of the cache of that name, in every process. */
  invalidate(cache: string, key: readonly KeyArgument[]): void;
  invalidate(
    cache: CachedMethod | string,
    key: readonly KeyArgument[],
  ): void {
    this.#invalidate(cacheNameOf(cache), wireKeyOf(cache, key));
  }

  /**
   * Invalidates all entries of a cached method whose arguments begin so, in
   * every process.
   *
   * @param method A method decorated with `tree: true`; or its cache's name.
   * @param prefix The first of the arguments; at least one.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` if its cache is no tree,
   *   `NOT_CACHED` if it has none, `KEY_INVALID` for what can't be a prefix.
   */
  invalidatePrefix<Args extends readonly unknown[]>(
    method: CachedMethod<Args>,
    prefix: Readonly<KeyPrefix<KeyArguments<Args>>>,
  ): void;
  /** Invalidates the entries of the cache of that name whose arguments begin so. */
  invalidatePrefix(cache: string, prefix: readonly KeyArgument[]): void;
  invalidatePrefix(
    cache: CachedMethod | string,
    prefix: readonly KeyArgument[],
  ): void {
    this.#invalidate(cacheNameOf(cache), wirePrefixOf(cache, prefix));
  }

  /** Invalidates every entry of a cached method; `NOT_CACHED` if it has no cache. */
  invalidateAll(method: CachedMethod | string): void {
    this.#invalidate(cacheNameOf(method), null);
  }

  /**
   * Invalidates what a cache group stands for, in every process.
   *
   * @param group The group, or its name.
   * @param key The group's key.
   * @throws {HeadwaterError} `GROUP_UNKNOWN`, or `KEY_INVALID` if the key isn't the group's.
   */
  invalidateGroup<Key extends readonly KeyPart[]>(
    group: CacheGroup<Key> | string,
    key: Key,
  ): void {
    const name = typeof group === "string" ? group : group.name;
    checkKey(name, key);
    // Expanded once here, so that a key that can't be is refused at the border.
    expandGroup(this.#parts.caches.group(name), key);
    this.#invalidate(name, key);
  }

  /** Calls `callback` once the transaction is durable, and its caches are invalidated. */
  afterCommit(callback: () => void): void {
    this.#requireOpen("add a callback");
    this.#afterCommit.push(callback);
  }

  /** Calls `callback` if the transaction is rolled back. */
  afterRollback(callback: () => void): void {
    this.#requireOpen("add a callback");
    this.#afterRollback.push(callback);
  }

  /**
   * For the writer store: takes what was appended into inline projections.
   *
   * @throws {HeadwaterError} `TRANSACTION_ENDED` if an append still runs.
   */
  project(): Promise<void> | undefined {
    if (this.#appendsRunning > 0) {
      throw new HeadwaterError(
        "TRANSACTION_ENDED",
        "Cannot commit: the transaction's function is done, and an append still " +
          "runs; await everything within it",
      );
    }
    const { inline } = this.#parts;
    const events = this.#events?.events ?? [];
    return inline.length === 0 || events.length === 0
      ? undefined
      : this.#project(inline, events);
  }

  async #project(
    inline: readonly Projection<Database>[],
    events: readonly ProjectedEvent[],
  ): Promise<void> {
    for (const event of events) {
      for (const projection of inline) {
        await takeIn(projection, this.db, event);
      }
    }
  }

  /** What others know of it that append after it; `undefined` if nobody can. @internal */
  get fate(): AppendFate | undefined {
    return this.#events?.fate;
  }

  /**
   * For the writer store: what is to be recorded, once the function is done.
   *
   * @internal
   */
  end(): TransactionOutcome {
    this.#hasEnded = true;
    return {
      rows: this.#rows.byStream,
      appends: this.#events?.appends ?? [],
      eventIds: this.#events?.eventIds ?? [],
      repeated: this.#events?.repeated,
      invalidations: this.#rows.invalidations,
      fate: this.fate,
      afterCommit: this.#afterCommit,
      afterRollback: this.#afterRollback,
    };
  }

  async #appending(
    append: (appender: EventAppender) => Promise<number>,
  ): Promise<number> {
    this.#appendsRunning += 1;
    try {
      return await append(this.#appender());
    } finally {
      this.#appendsRunning -= 1;
    }
  }

  #appender(): EventAppender {
    const { random, inline, clock, memory, lookup } = this.#parts;
    return this.#events ??= new EventAppender({
      ...this.#run,
      lookup,
      memory,
      random,
      addRows: (rows) => {
        // It may have ended while the append looked for its aggregate.
        this.#requireOpen("append events");
        this.#rows.addAll(eventsStream.name, rows);
      },
      keepEvents: inline.length > 0,
      nowMs: () => Math.round(clock.wallMs()),
    });
  }

  #invalidate(name: string, key: readonly KeyPart[] | null): void {
    this.#requireOpen("invalidate a cache");
    // One time for all: they take effect together.
    const ms = this.#nowMs ??= Math.round(this.#parts.clock.wallMs());
    this.#rows.invalidate(name, key, ms);
  }

  #requireOpen(action: string): void {
    if (!this.#hasEnded) return;
    throw new HeadwaterError(
      "TRANSACTION_ENDED",
      `Cannot ${action}: the transaction has ended; await everything within it`,
    );
  }
}

/** What a transaction leaves to be recorded, and to be called. */
export interface TransactionOutcome {
  /** Rows as JSON, by stream; those of `caches` are not among them. */
  readonly rows: ReadonlyMap<string, readonly string[]>;
  readonly appends: readonly AppendedVersions[];
  readonly eventIds: readonly GivenEventId[];
  /** The first time of events that were appended once more; `undefined` if none were. */
  readonly repeated: RepeatedAppend | undefined;
  /** What the rows of the `caches` stream say. */
  readonly invalidations: readonly InvalidationRun[];
  /** What others know of it that append after it; `undefined` if nobody can. */
  readonly fate: AppendFate | undefined;
  readonly afterCommit: readonly (() => void)[];
  readonly afterRollback: readonly (() => void)[];
}

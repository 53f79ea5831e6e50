/**
 * The reading side: a worker's store.
 *
 * @module
 */

import type { CacheRegistry } from "../caches/cache_registry.ts";
import type { CacheStats } from "../caches/keyed_cache.ts";
import type { ReadEngine } from "../database/engine.ts";
import { EventReads } from "../events/event_reads.ts";
import { readHorizon } from "../log/horizon.ts";
import { ReplicationClient } from "../replication/client.ts";
import { Follower } from "../replication/follower.ts";
import { DatabaseWatcher } from "../replication/database_watcher.ts";
import { HistoryMarks } from "../replication/history_marks.ts";
import { ReaderPosition } from "../replication/reader_position.ts";
import {
  type StreamHandler,
  TransactionApplier,
} from "../replication/transaction_applier.ts";
import type { Clock } from "../runtime/clock.ts";
import { environmentOf } from "../runtime/environment.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import {
  CONNECT_TIMEOUT_MS,
  FIRST_LOOK_TIMEOUT_MS,
  MAX_LINE_BYTES,
  POLL_INTERVAL_MS,
} from "../runtime/limits.ts";
import { silentLogger } from "../runtime/logger.ts";
import { requireBounds } from "../runtime/bounds.ts";
import {
  type Deferred,
  deferred,
  soon,
  type WaitOptions,
} from "../runtime/waiting.ts";
import type { StreamRegistry } from "../streams/stream_registry.ts";
import type { Stream } from "../streams/stream.ts";
import { type Declarations, declare } from "../store/declarations.ts";
import type { Store, StoreClass } from "../store/store.ts";
import {
  type Position,
  toPosition,
  type WaitTarget,
} from "../tokens/position.ts";
import { type Token, TOKEN_ZERO } from "../tokens/token.ts";
import { openTransport } from "../transport/open_transport.ts";
import { connectTimeoutError, openWhenThere } from "./open_when_there.ts";
import { openReplica, type Replica, requireReplica } from "./replica.ts";
import type { SlavedStoreOptions } from "./slaved_options.ts";

/** One writer's connection. */
interface Link {
  readonly url: string;
  /** Resolves once its first position is adopted. */
  readonly live: Deferred<void>;
  readonly follower: Follower;
  readonly client: ReplicationClient;
}

/**
 * What a slaved store is doing: `"connecting"` has no writer to hear from and
 * answers from what it knows; `"live"` hears of every write as it happens;
 * `"closed"` answers no more.
 */
export type SlavedState = "connecting" | "live" | "closed";

/** What a slaved store has done so far. */
export interface SlavedStats {
  /** What it is doing. */
  readonly state: SlavedState;
  /** Transactions applied. */
  readonly transactions: number;
  /** Rows of them, in all streams. */
  readonly rows: number;
  /** Invalidation rows among them. */
  readonly invalidations: number;
  /** Invalidations of caches that this process doesn't have. */
  readonly unknownInvalidations: number;
  /** Times that every cache was cleared. */
  readonly flushes: number;
  /** Connections made. */
  readonly connections: number;
  /** Times that missed rows were fetched from the log. */
  readonly catchUps: number;
  /** Handlers that failed. */
  readonly handlerFailures: number;
}

/** Ends a subscription. */
export type Unsubscribe = () => void;

/**
 * Reads, through caches that follow the writer's log.
 *
 * Once it has reached token T, nothing that it returns is older than T. When
 * its writer can't be reached it goes on answering from what it has reached,
 * and connects again by itself.
 *
 * @example A worker
 * ```ts
 * import { SlavedStore } from "headwater";
 * import { Users } from "./stores.ts";
 *
 * const slaved = await SlavedStore.connect<Database>({
 *   database: "sqlite:app.db",
 *   replicate: "tcp://127.0.0.1:8823",
 * });
 * const users = slaved.attach(Users);
 * await slaved.waitFor(commit);
 * await users.getUserById("@bob:example.com");
 * ```
 */
export class SlavedStore<Database> extends EventReads {
  readonly #clock: Clock;
  readonly #engine: ReadEngine<Database>;
  readonly #streams: StreamRegistry;
  readonly #caches: CacheRegistry;
  readonly #position: ReaderPosition;
  readonly #history: HistoryMarks;
  readonly #applier: TransactionApplier;
  readonly #links: readonly Link[];
  readonly #watched: Follower;
  readonly #replica: Replica<Database> | undefined;
  #watcher: DatabaseWatcher | undefined;
  #closing: Promise<void> | undefined;

  private constructor(
    options: SlavedStoreOptions,
    engine: ReadEngine<Database>,
    parts: Declarations,
  ) {
    const { clock, random } = environmentOf(options);
    super({
      session: engine.session,
      horizon: () => readHorizon(engine.session, { clock }),
    });
    const { maxLineBytes = MAX_LINE_BYTES, logger = silentLogger } = options;
    const transport = { maxLineBytes };
    this.#clock = clock;
    this.#engine = engine;
    this.#streams = parts.streams;
    this.#caches = parts.caches;
    this.#position = new ReaderPosition(clock);
    this.#history = new HistoryMarks({
      session: engine.session,
      position: this.#position,
      clock,
    });
    this.#replica = openReplica<Database>(options, logger);
    this.#applier = new TransactionApplier(
      this.#caches,
      this.#position,
      logger,
      this.#replica && this.#replica.visible,
    );
    const following = {
      session: engine.session,
      refresh: () => engine.reopenIfReplaced(),
      applier: this.#applier,
      caches: this.#caches,
      position: this.#position,
      history: this.#history,
      clock,
      logger,
    };
    this.#watched = new Follower({ ...following, live: () => {} });
    this.#links = [options.replicate].flat().map((url) => {
      const live = deferred<void>();
      const follower = new Follower({ ...following, live: live.resolve });
      const client = new ReplicationClient({
        transport: openTransport(url, clock, transport),
        receiver: follower,
        name: options.name ?? "slaved",
        wireNames: parts.wireNames,
        serverName: options.serverName,
        minBackoffMs: options.minBackoffMs,
        maxBackoffMs: options.maxBackoffMs,
        pingIntervalMs: options.pingIntervalMs,
        silenceTimeoutMs: options.silenceTimeoutMs,
        clock,
        random,
        logger,
      });
      return { url, live, follower, client };
    });
  }

  /**
   * Opens the writer's database for reading, connects to the writer, and
   * resolves once it hears of every write. Neither needs to be there already:
   * it tries until `connectTimeoutMs`.
   *
   * @param options Which database and which writer.
   * @throws {HeadwaterError} `CONNECT_TIMEOUT`, saying what was missing;
   *   `INVALID_ARGUMENT` for an option that can't be; `SCHEMA_TOO_NEW` or
   *   `DATABASE_INVALID` for a database that can't be used.
   */
  static async connect<Database>(
    options: SlavedStoreOptions,
  ): Promise<SlavedStore<Database>> {
    const { connectTimeoutMs = CONNECT_TIMEOUT_MS, signal } = options;
    requireBounds("connect a slaved store", options);
    requireReplica(options);
    signal?.throwIfAborted();
    const parts = declare(options);
    const { clock } = environmentOf(options);
    const deadlineMs = clock.monotonicMs() + connectTimeoutMs;
    const engine = await openWhenThere<Database>(options, deadlineMs);
    let store: SlavedStore<Database>;
    try {
      store = new SlavedStore<Database>(options, engine, parts);
    } catch (error) {
      await engine.close();
      throw error;
    }
    try {
      await store.#open(options, deadlineMs);
      return store;
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  /** How far it has got: everything up to there is contained in what it returns. */
  get position(): Position {
    return this.#position.current;
  }

  /**
   * The token up to which everything of every instance is contained, as far as
   * is known. It never moves back, but for a log that was rewound.
   */
  get linearPosition(): Token {
    return this.#watcher?.linear ?? TOKEN_ZERO;
  }

  /** What it has done so far. */
  get stats(): SlavedStats {
    const { transactions, rows, handlerFailures } = this.#applier.stats;
    const { applied, unknown, flushes } = this.#caches.stats;
    const isLive = this.#links.every(({ follower }) => follower.isLive);
    const following = isLive ? "live" : "connecting";
    const sum = (count: (link: Link) => number) =>
      this.#links.reduce((total, link) => total + count(link), 0);
    return {
      state: this.#closing === undefined ? following : "closed",
      transactions,
      rows,
      invalidations: applied,
      unknownInvalidations: unknown,
      flushes,
      connections: sum(({ client }) => client.connections),
      catchUps: sum(({ follower }) => follower.stats.catchUps) +
        this.#watched.stats.catchUps,
      handlerFailures,
    };
  }

  /** What the caches of the attached stores have done so far. */
  caches(): CacheStats[] {
    return this.#caches.cacheStats();
  }

  /**
   * Makes a store of reads on this database.
   *
   * @param storeClass A subclass of `Store`.
   */
  attach<S extends Store<Database>>(storeClass: StoreClass<Database, S>): S {
    const { db } = this.#replica?.engine ?? this.#engine;
    return new storeClass({ db, caches: this.#caches });
  }

  /**
   * Waits until this process has applied a write: from then on nothing that it
   * returns is older.
   *
   * @param target A commit, or a position.
   * @param options How long; 10,000 ms by default. The signal ends this wait
   *   only; what is waited for goes on.
   * @throws {WaitTimeoutError} `WAIT_TIMEOUT` at the deadline. It never resolves by running out of time.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` if it is neither; `CLOSED` if the store is, or is being closed.
   * @throws The signal's reason, once it is aborted.
   */
  async waitFor(target: WaitTarget, options: WaitOptions = {}): Promise<void> {
    await this.#position.waitFor(toPosition(target), options);
  }

  /**
   * Calls a handler with every later batch of a stream: in token order, once a
   * token, after this process's caches are right. A handler that fails is
   * reported to the logger and counted; the next batch comes all the same.
   *
   * @param stream The stream, or its name.
   * @param handler Is given each batch. The position waits for it: keep it short.
   * @returns Ends the subscription.
   * @throws {HeadwaterError} `STREAM_UNKNOWN`.
   */
  subscribe<Row>(
    stream: Stream<Row> | string,
    handler: StreamHandler<Row>,
  ): Unsubscribe {
    const name = typeof stream === "string" ? stream : stream.name;
    this.#streams.get(name);
    return this.#applier.addHandler(name, handler as StreamHandler);
  }

  /** Disconnects, ends every wait with an error, and closes the database. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Closes it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #open(
    options: SlavedStoreOptions,
    deadlineMs: number,
  ): Promise<void> {
    const { pollIntervalMs = POLL_INTERVAL_MS, logger } = options;
    const { session } = this.#engine;
    const clock = this.#clock;
    for (const { client } of this.#links) client.open();
    for (const link of this.#links) {
      await this.#waitUntilLive(link, options, deadlineMs);
    }
    if (pollIntervalMs === 0) return;
    this.#watcher = new DatabaseWatcher({
      session,
      isConnected: (instance) =>
        this.#links.some(({ follower }) => follower.isConnected(instance)),
      isReached: (end) => this.#history.isReached(end),
      isApplied: (instance, token) => this.#position.contains(instance, token),
      follow: (instance, base, upTo) =>
        this.#watched.follow(instance, base, upTo),
      intervalMs: pollIntervalMs,
      clock,
      logger: logger ?? silentLogger,
    });
    // From its first look on, it hears of instances that it isn't connected to.
    // A commit that hangs on the server must not hold it up for long.
    await soon(this.#watcher.look(), clock, FIRST_LOOK_TIMEOUT_MS);
  }

  async #waitUntilLive(
    { url, live }: Link,
    { connectTimeoutMs, signal }: SlavedStoreOptions,
    deadlineMs: number,
  ): Promise<void> {
    const { promise, reject } = live;
    const abort = () => reject(signal?.reason);
    signal?.addEventListener("abort", abort);
    const cancel = this.#clock.schedule(
      () =>
        reject(
          connectTimeoutError(`nobody answers at ${url}`, connectTimeoutMs),
        ),
      Math.max(0, deadlineMs - this.#clock.monotonicMs()),
    );
    try {
      await promise;
    } finally {
      cancel();
      signal?.removeEventListener("abort", abort);
    }
  }

  async #close(): Promise<void> {
    this.#position.close(
      new HeadwaterError(
        "CLOSED",
        "Cannot wait: the slaved store is closed; connect another",
      ),
    );
    this.#history.close();
    this.#replica?.gate.close();
    for (const { follower } of this.#links) follower.close();
    this.#watched.close();
    await this.#watcher?.close();
    await Promise.all(this.#links.map(({ client }) => client.close()));
    await this.#replica?.engine.close();
    await this.#engine.close();
  }
}

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
import { ReaderPosition } from "../replication/reader_position.ts";
import {
  type StreamHandler,
  TransactionApplier,
} from "../replication/transaction_applier.ts";
import { systemClock } from "../runtime/clock.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import { CONNECT_TIMEOUT_MS, MAX_LINE_BYTES } from "../runtime/limits.ts";
import { silentLogger } from "../runtime/logger.ts";
import { requireBounds } from "../runtime/bounds.ts";
import { systemRandom } from "../runtime/random.ts";
import {
  type Deferred,
  deferred,
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
import { connector } from "../transport/open_transport.ts";
import { connectTimeoutError, openWhenThere } from "./open_when_there.ts";
import type { SlavedStoreOptions } from "./slaved_options.ts";

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
  readonly #engine: ReadEngine<Database>;
  readonly #streams: StreamRegistry;
  readonly #caches: CacheRegistry;
  readonly #position: ReaderPosition;
  readonly #applier: TransactionApplier;
  readonly #follower: Follower;
  readonly #client: ReplicationClient;
  readonly #live: Deferred<void> = deferred();
  #closing: Promise<void> | undefined;

  private constructor(
    options: SlavedStoreOptions,
    engine: ReadEngine<Database>,
    parts: Declarations,
  ) {
    super({
      session: engine.session,
      horizon: () => readHorizon(engine.session, { clock: systemClock }),
    });
    const { maxLineBytes = MAX_LINE_BYTES, logger = silentLogger } = options;
    const transport = { maxLineBytes };
    const clock = systemClock;
    this.#engine = engine;
    this.#streams = parts.streams;
    this.#caches = parts.caches;
    this.#position = new ReaderPosition(clock);
    this.#applier = new TransactionApplier(
      this.#caches,
      this.#position,
      logger,
    );
    this.#follower = new Follower({
      session: engine.session,
      applier: this.#applier,
      caches: this.#caches,
      position: this.#position,
      clock,
      logger,
      live: this.#live.resolve,
    });
    this.#client = new ReplicationClient({
      connect: connector(options.replicate, clock, transport),
      receiver: this.#follower,
      name: options.name ?? "slaved",
      serverName: options.serverName,
      minBackoffMs: options.minBackoffMs,
      maxBackoffMs: options.maxBackoffMs,
      pingIntervalMs: options.pingIntervalMs,
      silenceTimeoutMs: options.silenceTimeoutMs,
      clock,
      random: systemRandom,
      logger,
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
    signal?.throwIfAborted();
    const parts = declare(options);
    const deadlineMs = systemClock.monotonicMs() + connectTimeoutMs;
    const engine = await openWhenThere<Database>(options, deadlineMs);
    let store: SlavedStore<Database>;
    try {
      store = new SlavedStore<Database>(options, engine, parts);
    } catch (error) {
      await engine.close();
      throw error;
    }
    try {
      store.#client.open();
      await store.#waitUntilLive(options, deadlineMs);
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

  /** What it has done so far. */
  get stats(): SlavedStats {
    const { transactions, rows, handlerFailures } = this.#applier.stats;
    const { applied, unknown, flushes } = this.#caches.stats;
    const following = this.#follower.isLive ? "live" : "connecting";
    return {
      state: this.#closing === undefined ? following : "closed",
      transactions,
      rows,
      invalidations: applied,
      unknownInvalidations: unknown,
      flushes,
      connections: this.#client.connections,
      catchUps: this.#follower.stats.catchUps,
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
    return new storeClass({ db: this.#engine.db, caches: this.#caches });
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

  async #waitUntilLive(
    { replicate, connectTimeoutMs, signal }: SlavedStoreOptions,
    deadlineMs: number,
  ): Promise<void> {
    const { promise, reject } = this.#live;
    const abort = () => reject(signal?.reason);
    signal?.addEventListener("abort", abort);
    const cancel = systemClock.schedule(
      () =>
        reject(
          connectTimeoutError(
            `nobody answers at ${replicate}`,
            connectTimeoutMs,
          ),
        ),
      Math.max(0, deadlineMs - systemClock.monotonicMs()),
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
    this.#follower.close();
    await this.#client.close();
    await this.#engine.close();
  }
}

/**
 * The writing side: the main process's store.
 *
 * @module
 */

import type { CacheRegistry } from "../caches/cache_registry.ts";
import type { CacheStats } from "../caches/keyed_cache.ts";
import type { Engine, WriteSession } from "../database/engine.ts";
import { openDatabase } from "../database/open_database.ts";
import { writeSnapshot } from "../events/snapshots.ts";
import { readHorizon } from "../log/horizon.ts";
import type { Lease } from "../log/lease.ts";
import { LogIdentity } from "../replication/log_identity.ts";
import type { WaitReached } from "../replication/reader_position.ts";
import type { Streamer } from "../replication/streamer.ts";
import type { WaitForOptions } from "../replication/wait_for.ts";
import { systemClock } from "../runtime/clock.ts";
import { prepareInline } from "../projections/inline.ts";
import type { Projection } from "../projections/projection.ts";
import {
  LEASE_MS,
  MAX_ATTEMPTS,
  MAX_ROWS_PER_TRANSACTION,
  MAX_TRANSACTION_BYTES,
} from "../runtime/limits.ts";
import { silentLogger } from "../runtime/logger.ts";
import { systemRandom } from "../runtime/random.ts";
import type { StreamRegistry } from "../streams/stream_registry.ts";
import type { Stream } from "../streams/stream.ts";
import { type Declarations, declare } from "../store/declarations.ts";
import type { Store, StoreClass } from "../store/store.ts";
import type { Commit, Position, WaitTarget } from "../tokens/position.ts";
import type { ThreadPort } from "../transport/transport.ts";
import {
  type ReadRowsOptions,
  readStreamRows,
  type RowPage,
} from "./read_rows.ts";
import { AggregateMemory } from "./aggregate_memory.ts";
import { LeaseKeeper } from "./lease_keeper.ts";
import { closedError, Listeners } from "./listeners.ts";
import { requireOptions, takeName } from "./open_writer.ts";
import { requireReached } from "./own_wait.ts";
import { keepRetained, type RetentionKeeper } from "./retention_keeper.ts";
import { createRecorder, type Recorder } from "./recorder.ts";
import {
  TransactionRunner,
  type TransactionRunOptions,
  type Work,
} from "./transaction_runner.ts";
import { WriterTransaction } from "./writer_transaction.ts";
import { createVoice, WriterCommands } from "./writer_commands.ts";
import { lineLimit, type WriterStoreOptions } from "./writer_options.ts";
import type { WriterStats } from "./writer_stats.ts";

/**
 * Writes, and tells every reader of it.
 *
 * Promise 1, recorded together: data and log rows are written in one database
 * transaction; readers are told after its commit. Should the process die
 * between the two, the rows are in the log, and readers fetch them when they
 * come back. Test: `tests/promises/01_recorded_together.test.ts`.
 *
 * @example Usage
 * ```ts
 * import { equal } from "node:assert/strict";
 * import { WriterStore } from "headwater";
 *
 * interface Database {
 *   users: { id: string; name: string };
 * }
 *
 * await using writer = await WriterStore.open<Database>({ database: "sqlite::memory:" });
 * const commit = await writer.transaction("create_users", async (txn) => {
 *   await txn.db.schema.createTable("users").addColumn("id", "text")
 *     .addColumn("name", "text").execute();
 * });
 * equal(commit.token, 1);
 * ```
 */
export class WriterStore<Database> extends WriterCommands {
  readonly #engine: Engine<Database>;
  readonly #lease: Lease;
  readonly #inline: Projection<Database>[] = [];
  readonly #recorder: Recorder;
  readonly #runner: TransactionRunner<Database>;
  readonly #streams: StreamRegistry;
  readonly #caches: CacheRegistry;
  readonly #memory = new AggregateMemory();
  readonly #streamer: Streamer;
  readonly #identity: LogIdentity;
  readonly #options: WriterStoreOptions;
  readonly #leaseKeeper: LeaseKeeper;
  readonly #retentionKeeper: RetentionKeeper<Database> | undefined;
  readonly #listeners: Listeners;
  #closing: Promise<void> | undefined;

  private constructor(
    options: WriterStoreOptions,
    engine: Engine<Database>,
    lease: Lease,
    parts: Declarations,
  ) {
    const { leaseMs = LEASE_MS, logger = silentLogger } = options;
    const voice = createVoice(options, lease, parts);
    super({
      session: engine.session,
      horizon: () => readHorizon(engine.session, { clock: systemClock }),
      writeSnapshot: (key, snapshot) =>
        engine.transaction(
          "snapshot",
          (session) => writeSnapshot(session, key, snapshot),
        ),
    }, voice);
    this.#options = options;
    this.#engine = engine;
    this.#lease = lease;
    this.#identity = new LogIdentity(engine.session);
    this.#streams = parts.streams;
    this.#caches = parts.caches;
    this.#streamer = voice.streamer;
    this.#listeners = new Listeners(options, {
      accept: (connection) => this.#streamer.accept(connection),
      clock: systemClock,
      logger,
    });
    this.#recorder = createRecorder({
      lease,
      session: engine.session,
      clock: systemClock,
      publish: (transaction) => this.#streamer.publish(transaction),
    });
    this.#runner = new TransactionRunner<Database>({
      engine,
      instance: lease.instance,
      recorder: this.#recorder,
      begin: (...attempt) => this.#begin(...attempt),
      committed: ({ invalidations, appends }) => {
        this.#memory.committed(engine.dialect, appends);
        for (const { name, key } of invalidations) {
          this.#caches.apply(name, key);
        }
      },
      maxAttempts: options.maxAttempts ?? MAX_ATTEMPTS,
      clock: systemClock,
      random: systemRandom,
      logger,
    });
    this.#retentionKeeper = keepRetained(engine, options);
    this.#leaseKeeper = new LeaseKeeper({
      transact: (name, work) => engine.transaction(name, work),
      lease,
      leaseMs,
      lastTaken: () => this.#recorder.lastTaken,
      position: () => this.#recorder.position,
      clock: systemClock,
      logger,
    });
  }

  /**
   * Opens a database for writing, creates or upgrades the library's tables,
   * takes the instance's name, and listens for readers.
   *
   * @param options Which database, and where readers connect.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for an option that can't be;
   *   `DATABASE_UNAVAILABLE`, `DATABASE_READ_ONLY`, `DATABASE_INVALID`,
   *   `DATABASE_BUSY` or `SCHEMA_TOO_NEW` for a database that can't be used;
   *   `INSTANCE_HELD` if another process writes under that name;
   *   `LISTEN_FAILED` if the address is in use.
   */
  static async open<Database>(
    options: WriterStoreOptions,
  ): Promise<WriterStore<Database>> {
    requireOptions(options);
    const parts = declare(options);
    const holder = `headwater ${systemRandom.id()}`;
    const engine = openDatabase<Database>(
      options.database,
      systemClock,
      options,
      holder,
    );
    let store: WriterStore<Database> | undefined;
    try {
      const lease = await takeName(engine, options, holder);
      store = new WriterStore<Database>(options, engine, lease, parts);
      await store.#identity.read();
      await store.#listeners.open();
      return store;
    } catch (error) {
      await store?.close();
      await engine.close();
      throw error;
    }
  }

  /** The name that this process writes under. */
  get instance(): string {
    return this.#lease.instance;
  }

  /** Where readers connect, with the port that was chosen; `undefined` if nowhere. */
  get url(): string | undefined {
    return this.urls[0];
  }

  /** Everywhere that readers connect, in the order of `listen`. */
  get urls(): readonly string[] {
    return this.#listeners.urls;
  }

  /** How far this instance has written. */
  get position(): Position {
    return new Map([[this.#lease.instance, this.#recorder.position]]);
  }

  /** What it has done so far. */
  get stats(): WriterStats {
    return {
      ...this.#streamer.stats,
      ...this.#runner.stats,
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
   * Runs a function in a transaction; commits if it resolves, rolls back if it
   * rejects. On SQLite transactions run one at a time, in the order of the
   * calls; on PostgreSQL beside each other, as many as there are connections.
   *
   * By the time it returns, the transaction is durable, this process's caches
   * are right, and readers are being told.
   *
   * @param name What it does, for errors and logs: `rename_user`.
   * @param work Writes through `txn`, and does nothing else: it may be run
   *   again, if the database gave the first run up. It must not open another
   *   transaction.
   * @param options How it is run.
   * @returns The commit. One that changed nothing gets no token of its own:
   *   its token is the last one.
   * @throws Whatever `work` rejects with; then data and log are as before.
   * @throws {HeadwaterError} `DATABASE_BUSY` after too long a wait, `DATABASE_FULL`,
   *   `DATABASE_UNAVAILABLE`, `LEASE_LOST`, `LOG_REWOUND`, `CLOSED`;
   *   `COMMIT_UNKNOWN` if the server could not be asked what became of it.
   */
  async transaction<Result>(
    name: string,
    work: Work<Database, Result>,
    options: TransactionRunOptions = {},
  ): Promise<Commit<Result>> {
    if (this.#closing !== undefined) throw closedError(`run "${name}"`);
    return await this.#runner.run(name, work, options);
  }

  /**
   * Writes a projection inline from now on: its tables change in the
   * transaction that appends, and if it fails, the append fails. Every process
   * that appends must ask for it. The first to do so has its tables made of the
   * events that are there.
   *
   * @param projection What `defineProjection` gave.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` if a projection of that name
   *   catches up, or has another version; `EVENTS_DELETED`.
   */
  async project(projection: Projection<Database>): Promise<void> {
    await prepareInline(this.#engine, projection, systemClock);
    this.#inline.push(projection);
  }

  /**
   * How far this instance has written, as text that fits in a header, a cookie
   * or a URL; `waitFor` takes it in any process.
   */
  currentToken(): string {
    return this.#identity.format(this.position);
  }

  /**
   * Says that this process's reads contain a write: at once for its own.
   *
   * @param target A commit, a position, or the text that `currentToken()` gave.
   * @param options As of a slaved store; there is no handler to wait for.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for another instance's, which
   *   this process is not told of; `LOG_REWOUND` for a token that was never
   *   given; `POSITION_INVALID`, `POSITION_FOREIGN`, `STREAM_UNKNOWN`, `CLOSED`.
   */
  async waitFor(
    target: WaitTarget,
    options: WaitForOptions = {},
  ): Promise<WaitReached> {
    if (this.#closing !== undefined) throw closedError("wait");
    const reached = requireReached(
      {
        instance: this.instance,
        position: this.position,
        lastTaken: this.#recorder.lastTaken,
        streams: this.#streams,
      },
      this.#identity.parse(target),
      options,
    );
    return await Promise.resolve(reached);
  }

  /**
   * Reads rows of a stream back from the log, ascending; a token is never
   * split over two answers.
   *
   * @param stream The stream, or its name.
   * @param options Which, and how many.
   * @throws {HeadwaterError} `STREAM_UNKNOWN`.
   */
  async readRows<Row>(
    stream: Stream<Row> | string,
    options: ReadRowsOptions = {},
  ): Promise<RowPage<Row>> {
    const name = typeof stream === "string" ? stream : stream.name;
    this.#streams.get(name);
    return await readStreamRows<Row>(this.#engine.session, {
      ...options,
      instance: this.#lease.instance,
      stream: name,
      last: this.#recorder.position,
    });
  }

  /**
   * Serves a thread that was started later: its end of the channel is what its
   * `SlavedStore` replicates over.
   *
   * @param port This end of a `MessageChannel`.
   * @throws {HeadwaterError} `LISTEN_FAILED` if it is served already; `CLOSED`.
   */
  async serve(port: ThreadPort): Promise<void> {
    await this.#listeners.listen(port);
  }

  /** Says good-bye to readers, gives the instance's name free, and closes the database. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Closes it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #begin(
    session: WriteSession<Database>,
    attempt: number,
    mayRecall: boolean,
  ): WriterTransaction<Database> {
    const { maxRowsPerTransaction } = this.#options;
    return new WriterTransaction<Database>({
      session,
      attempt,
      memory: this.#memory,
      mayRecall,
      inline: this.#inline,
      instance: this.#lease.instance,
      streams: this.#streams,
      caches: this.#caches,
      clock: systemClock,
      random: systemRandom,
      limits: {
        maxRows: maxRowsPerTransaction ?? MAX_ROWS_PER_TRANSACTION,
        maxBytes: MAX_TRANSACTION_BYTES,
        maxLineBytes: lineLimit(this.#options),
      },
    });
  }

  async #close(): Promise<void> {
    await this.#listeners.close();
    await this.#retentionKeeper?.close();
    await this.#runner.drain();
    await this.#leaseKeeper.release();
    this.#streamer.close("server closing");
    await this.#engine.close();
  }
}

/**
 * The writing side: the main process's store.
 *
 * @module
 */

import type { CacheRegistry } from "../caches/cache_registry.ts";
import type { CacheStats } from "../caches/keyed_cache.ts";
import type { Engine, WriteSession } from "../database/engine.ts";
import { migrate } from "../database/migrator.ts";
import { openDatabase } from "../database/open_database.ts";
import { EventReads } from "../events/event_reads.ts";
import { writeSnapshot } from "../events/snapshots.ts";
import { readHorizon } from "../log/horizon.ts";
import { requirePolicies } from "../log/retention.ts";
import { type Lease, takeLease } from "../log/lease.ts";
import { LOG_MIGRATIONS } from "../log/log_schema.ts";
import { Streamer } from "../replication/streamer.ts";
import { environmentOf } from "../runtime/environment.ts";
import { prepareInline } from "../projections/inline.ts";
import type { Projection } from "../projections/projection.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import {
  LEASE_MS,
  MAX_ATTEMPTS,
  MAX_CONNECTIONS,
  MAX_LINE_BYTES,
  MAX_OUTBOX_BYTES,
  MAX_ROWS_PER_TRANSACTION,
  MAX_TRANSACTION_BYTES,
  RETENTION_INTERVAL_MS,
} from "../runtime/limits.ts";
import { silentLogger } from "../runtime/logger.ts";
import { requireBounds } from "../runtime/bounds.ts";
import type { StreamRegistry } from "../streams/stream_registry.ts";
import type { Stream } from "../streams/stream.ts";
import { type Declarations, declare } from "../store/declarations.ts";
import type { Store, StoreClass } from "../store/store.ts";
import type { Commit, Position } from "../tokens/position.ts";
import { openTransport } from "../transport/open_transport.ts";
import type { Listener } from "../transport/transport.ts";
import {
  type ReadRowsOptions,
  readStreamRows,
  type RowPage,
} from "./read_rows.ts";
import { AggregateMemory } from "./aggregate_memory.ts";
import { LeaseKeeper } from "./lease_keeper.ts";
import { RetentionKeeper } from "./retention_keeper.ts";
import { createRecorder, type Recorder } from "./recorder.ts";
import {
  TransactionRunner,
  type TransactionRunOptions,
  type Work,
} from "./transaction_runner.ts";
import { WriterTransaction } from "./writer_transaction.ts";
import { requireName, type WriterStoreOptions } from "./writer_options.ts";
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
export class WriterStore<Database> extends EventReads {
  readonly #engine: Engine<Database>;
  readonly #lease: Lease;
  readonly #inline: Projection<Database>[] = [];
  readonly #recorder: Recorder;
  readonly #runner: TransactionRunner<Database>;
  readonly #streams: StreamRegistry;
  readonly #caches: CacheRegistry;
  readonly #memory = new AggregateMemory();
  readonly #streamer: Streamer;
  readonly #options: WriterStoreOptions;
  readonly #leaseKeeper: LeaseKeeper;
  readonly #retentionKeeper: RetentionKeeper<Database> | undefined;
  #listener: Listener | undefined;
  #closing: Promise<void> | undefined;

  private constructor(
    options: WriterStoreOptions,
    engine: Engine<Database>,
    lease: Lease,
    parts: Declarations,
  ) {
    const { clock, random } = environmentOf(options);
    super({
      session: engine.session,
      horizon: () => readHorizon(engine.session, { clock }),
      writeSnapshot: (key, snapshot) =>
        engine.transaction(
          "snapshot",
          (session) => writeSnapshot(session, key, snapshot),
        ),
    });
    const { leaseMs = LEASE_MS, logger = silentLogger } = options;
    this.#options = options;
    this.#engine = engine;
    this.#lease = lease;
    this.#streams = parts.streams;
    this.#caches = parts.caches;
    this.#streamer = new Streamer({
      instance: lease.instance,
      serverName: options.serverName ?? "headwater",
      streams: parts.streams.names,
      wireNames: parts.wireNames,
      lastToken: lease.lastToken,
      maxOutboxBytes: options.maxOutboxBytes ?? MAX_OUTBOX_BYTES,
      maxConnections: options.maxConnections ?? MAX_CONNECTIONS,
      pingIntervalMs: options.pingIntervalMs,
      silenceTimeoutMs: options.silenceTimeoutMs,
      clock,
      logger,
    });
    this.#recorder = createRecorder({
      lease,
      session: engine.session,
      clock,
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
      clock,
      random,
      logger,
    });
    const { retention = {}, retentionIntervalMs = RETENTION_INTERVAL_MS } =
      options;
    this.#retentionKeeper = retentionIntervalMs === 0
      ? undefined
      : new RetentionKeeper({
        engine,
        policies: retention,
        intervalMs: retentionIntervalMs,
        clock,
        logger,
      });
    this.#leaseKeeper = new LeaseKeeper({
      transact: (name, work) => engine.transaction(name, work),
      lease,
      leaseMs,
      lastTaken: () => this.#recorder.lastTaken,
      position: () => this.#recorder.position,
      clock,
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
    const { instance = "master", leaseMs = LEASE_MS } = options;
    const { clock, random } = environmentOf(options);
    requireBounds("open a writer store", options);
    requireName(instance, "instance");
    requirePolicies(options.retention ?? {});
    requireName(options.serverName ?? "headwater", "serverName");
    const parts = declare(options);
    const holder = `headwater ${random.id()}`;
    const engine = openDatabase<Database>(
      options.database,
      clock,
      options,
      holder,
    );
    let store: WriterStore<Database> | undefined;
    try {
      const lease = await takeLease(
        engine,
        { instance, leaseMs, holder, clock },
        (session) =>
          migrate(
            session,
            LOG_MIGRATIONS,
            Math.round(clock.wallMs()),
            options.schema,
          ),
      );
      store = new WriterStore<Database>(options, engine, lease, parts);
      await store.#listen();
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
    return this.#listener?.url;
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
    if (this.#closing !== undefined) throw closedError(name);
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
    const { clock } = environmentOf(this.#options);
    await prepareInline(this.#engine, projection, clock);
    this.#inline.push(projection);
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

  /** Says good-bye to readers, gives the instance's name free, and closes the database. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Closes it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #listen(): Promise<void> {
    const { listen: url, maxLineBytes = MAX_LINE_BYTES } = this.#options;
    if (url === undefined) return;
    const { clock } = environmentOf(this.#options);
    this.#listener = await openTransport(url, clock, { maxLineBytes })
      .listen((connection) => this.#streamer.accept(connection));
  }

  #begin(
    session: WriteSession<Database>,
    attempt: number,
    mayRecall: boolean,
  ): WriterTransaction<Database> {
    const { maxRowsPerTransaction, maxLineBytes } = this.#options;
    return new WriterTransaction<Database>({
      session,
      attempt,
      memory: this.#memory,
      mayRecall,
      inline: this.#inline,
      instance: this.#lease.instance,
      streams: this.#streams,
      caches: this.#caches,
      ...environmentOf(this.#options),
      limits: {
        maxRows: maxRowsPerTransaction ?? MAX_ROWS_PER_TRANSACTION,
        maxBytes: MAX_TRANSACTION_BYTES,
        maxLineBytes: maxLineBytes ?? MAX_LINE_BYTES,
      },
    });
  }

  async #close(): Promise<void> {
    await this.#listener?.close();
    await this.#retentionKeeper?.close();
    await this.#runner.drain();
    await this.#leaseKeeper.release();
    this.#streamer.close("server closing");
    await this.#engine.close();
  }
}

function closedError(name: string): HeadwaterError {
  return new HeadwaterError(
    "CLOSED",
    `Cannot run "${name}": the writer store is closed; open another`,
  );
}

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
import { insertEvents, LogAppender } from "../log/append.ts";
import { type Lease, takeLease } from "../log/lease.ts";
import { LOG_MIGRATIONS } from "../log/log_schema.ts";
import type { LoggedTransaction } from "../replication/transaction.ts";
import { Streamer, type StreamerStats } from "../replication/streamer.ts";
import { systemClock } from "../runtime/clock.ts";
import { HeadwaterError, messageOf } from "../runtime/errors.ts";
import {
  LEASE_MS,
  MAX_CONNECTIONS,
  MAX_LINE_BYTES,
  MAX_OUTBOX_BYTES,
  MAX_ROWS_PER_TRANSACTION,
  MAX_TRANSACTION_BYTES,
} from "../runtime/limits.ts";
import { type Logger, silentLogger } from "../runtime/logger.ts";
import { requireBounds } from "../runtime/bounds.ts";
import { systemRandom } from "../runtime/random.ts";
import type { StreamRegistry } from "../streams/stream_registry.ts";
import type { Stream } from "../streams/stream.ts";
import { type Declarations, declare } from "../store/declarations.ts";
import type { Store, StoreClass } from "../store/store.ts";
import type { Commit, Position } from "../tokens/position.ts";
import type { Token } from "../tokens/token.ts";
import { listen } from "../transport/open_transport.ts";
import type { Listener } from "../transport/transport.ts";
import {
  type ReadRowsOptions,
  readStreamRows,
  type RowPage,
} from "./read_rows.ts";
import {
  type TransactionOutcome,
  WriterTransaction,
} from "./writer_transaction.ts";
import { LeaseKeeper } from "./lease_keeper.ts";
import { requireName, type WriterStoreOptions } from "./writer_options.ts";

/** What a writer store has done so far. */
export interface WriterStats extends StreamerStats {
  /** Transactions committed. */
  readonly commits: number;
  /** Transactions rolled back. */
  readonly rollbacks: number;
}

/** What one transaction has left, once its rows are in the log. */
interface Recorded<Result> {
  readonly result: Result;
  /** `undefined` if it changed nothing. */
  readonly transaction: LoggedTransaction | undefined;
  readonly outcome: TransactionOutcome;
}

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
export class WriterStore<Database> {
  readonly #engine: Engine<Database>;
  readonly #lease: Lease;
  readonly #appender: LogAppender;
  readonly #streams: StreamRegistry;
  readonly #caches: CacheRegistry;
  readonly #streamer: Streamer;
  readonly #logger: Logger;
  readonly #options: WriterStoreOptions;
  readonly #leaseKeeper: LeaseKeeper;
  #listener: Listener | undefined;
  #position: Token;
  #commits = 0;
  #rollbacks = 0;
  #closing: Promise<void> | undefined;

  private constructor(
    options: WriterStoreOptions,
    engine: Engine<Database>,
    lease: Lease,
    parts: Declarations,
  ) {
    const { leaseMs = LEASE_MS, logger = silentLogger } = options;
    this.#options = options;
    this.#engine = engine;
    this.#lease = lease;
    this.#logger = logger;
    this.#streams = parts.streams;
    this.#caches = parts.caches;
    this.#position = lease.lastToken;
    this.#appender = new LogAppender(lease);
    this.#streamer = new Streamer({
      instance: lease.instance,
      serverName: options.serverName ?? "headwater",
      streams: parts.streams.names,
      lastToken: lease.lastToken,
      maxOutboxBytes: options.maxOutboxBytes ?? MAX_OUTBOX_BYTES,
      maxConnections: options.maxConnections ?? MAX_CONNECTIONS,
      pingIntervalMs: options.pingIntervalMs,
      silenceTimeoutMs: options.silenceTimeoutMs,
      clock: systemClock,
      logger,
    });
    this.#leaseKeeper = new LeaseKeeper({
      transact: (name, work) => engine.transaction(name, work),
      lease,
      leaseMs,
      lastTaken: () => this.#appender.lastTaken,
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
    const { instance = "master", leaseMs = LEASE_MS } = options;
    requireBounds("open a writer store", options);
    requireName(instance, "instance");
    requireName(options.serverName ?? "headwater", "serverName");
    const parts = declare(options);
    const engine = openDatabase<Database>(
      options.database,
      systemClock,
      options,
    );
    let store: WriterStore<Database> | undefined;
    try {
      const lease = await engine.transaction("open", async (session) => {
        const now = Math.round(systemClock.wallMs());
        await migrate(session, LOG_MIGRATIONS, now);
        return await takeLease(session, instance, systemClock, leaseMs);
      });
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
    return new Map([[this.#lease.instance, this.#position]]);
  }

  /** What it has done so far. */
  get stats(): WriterStats {
    return {
      ...this.#streamer.stats,
      commits: this.#commits,
      rollbacks: this.#rollbacks,
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
   * rejects. Transactions run one at a time, in the order of the calls.
   *
   * By the time it returns, the transaction is durable, this process's caches
   * are right, and readers are being told.
   *
   * @param name What it does, for errors and logs: `rename_user`.
   * @param work Writes through `txn`. It must not open another transaction.
   * @returns The commit. One that changed nothing gets no token of its own:
   *   its token is the last one.
   * @throws Whatever `work` rejects with; then data and log are as before.
   * @throws {HeadwaterError} `DATABASE_BUSY` after too long a wait, `DATABASE_FULL`,
   *   `LEASE_LOST`, `CLOSED`.
   */
  async transaction<Result>(
    name: string,
    work: (txn: WriterTransaction<Database>) => Promise<Result>,
  ): Promise<Commit<Result>> {
    if (this.#closing !== undefined) throw closedError(name);
    let txn: WriterTransaction<Database> | undefined;
    try {
      const recorded = await this.#engine.transaction<Recorded<Result>>(
        name,
        (session) => this.#record(txn = this.#begin(session), session, work),
        { committed: (done) => this.#committed(name, done) },
      );
      const { transaction, result } = recorded;
      const token = transaction?.token ?? this.#position;
      return { instance: this.#lease.instance, token, result };
    } catch (error) {
      this.#rollbacks += 1;
      this.#call(name, txn?.end().afterRollback ?? []);
      throw error;
    }
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
      last: this.#position,
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
    this.#listener = await listen(
      url,
      (connection) => this.#streamer.accept(connection),
      systemClock,
      { maxLineBytes },
    );
  }

  /** Runs the user's function and writes what it left into the log. */
  async #record<Result>(
    txn: WriterTransaction<Database>,
    session: WriteSession<Database>,
    work: (txn: WriterTransaction<Database>) => Promise<Result>,
  ): Promise<Recorded<Result>> {
    const result = await work(txn);
    const outcome = txn.end();
    const transaction = await this.#append(session, outcome);
    return { result, transaction, outcome };
  }

  #begin(session: WriteSession<Database>): WriterTransaction<Database> {
    const { maxRowsPerTransaction, maxLineBytes } = this.#options;
    return new WriterTransaction<Database>({
      session,
      instance: this.#lease.instance,
      streams: this.#streams,
      caches: this.#caches,
      clock: systemClock,
      random: systemRandom,
      limits: {
        maxRows: maxRowsPerTransaction ?? MAX_ROWS_PER_TRANSACTION,
        maxBytes: MAX_TRANSACTION_BYTES,
        maxLineBytes: maxLineBytes ?? MAX_LINE_BYTES,
      },
    });
  }

  async #append(
    session: WriteSession<Database>,
    { rows, events }: TransactionOutcome,
  ): Promise<LoggedTransaction | undefined> {
    if (rows.size === 0 && !session.hasWritten) return undefined;
    const token = await this.#appender.append(session, {
      rows,
      commitId: systemRandom.id(),
      committedMs: Math.round(systemClock.wallMs()),
    });
    if (events.length > 0) await insertEvents(session, token, events);
    const records = Array.from(
      rows,
      ([stream, lines]) => ({ token, stream, rows: lines }),
    );
    return { instance: this.#lease.instance, token, records };
  }

  /** In the commit's own turn: own caches first, then readers, then callbacks. */
  #committed<Result>(
    name: string,
    { transaction, outcome }: Recorded<Result>,
  ): void {
    this.#commits += 1;
    if (transaction !== undefined) {
      this.#position = transaction.token;
      this.#appender.committed();
      for (const { name, key } of outcome.invalidations) {
        this.#caches.apply(name, key);
      }
      this.#streamer.publish(transaction);
    }
    this.#call(name, outcome.afterCommit);
  }

  /** A callback that fails can't undo what is committed: it is reported. */
  #call(name: string, callbacks: readonly (() => void)[]): void {
    for (const callback of callbacks) {
      try {
        callback();
      } catch (error) {
        this.#logger("error", "transaction callback failed", {
          transaction: name,
          error: messageOf(error),
        });
      }
    }
  }

  async #close(): Promise<void> {
    await this.#listener?.close();
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

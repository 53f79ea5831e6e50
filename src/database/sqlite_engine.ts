/**
 * SQLite as a database with one write connection.
 *
 * @module
 */

import {
  type DatabaseConnection,
  type Driver,
  Kysely,
  type KyselyProps,
  type QueryExecutor,
  Transaction,
} from "kysely";
import type { ReadonlyKysely } from "kysely/readonly";
import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import { Gate } from "../runtime/gate.ts";
import {
  BUSY_TIMEOUT_MS,
  MAX_QUEUED_TRANSACTIONS,
  MAX_READ_CONNECTIONS,
  MAX_TURN_MS,
  QUEUE_TIMEOUT_MS,
} from "../runtime/limits.ts";
import type {
  Engine,
  Session,
  SqlValue,
  TransactionHooks,
  WriteSession,
} from "./engine.ts";
import { SqliteConnection } from "./sqlite_connection.ts";
import { sqliteDialect, writeConnection } from "./sqlite_dialect.ts";
import { describeSqliteError } from "./sqlite_errors.ts";
import { SqliteReads } from "./sqlite_reads.ts";

/**
 * How hard a commit is pressed on the disk. `"full"`: an acknowledged write
 * survives power loss, at the price of one fsync each. `"normal"`: it survives
 * the death of the process, not of the machine.
 */
export type Synchronous = "full" | "normal";

/** Options of an SQLite database. */
export interface SqliteOptions {
  /**
   * How hard a commit is pressed on the disk.
   *
   * @default {"full"}
   */
  readonly synchronous?: Synchronous | undefined;
  /**
   * How long to wait for another process's lock, in ms.
   *
   * @default {5000}
   */
  readonly busyTimeoutMs?: number | undefined;
  /**
   * Read-only connections for transactions and streamed queries of stores.
   *
   * @default {8}
   */
  readonly maxReadConnections?: number | undefined;
  /**
   * Transactions that may wait for the write connection.
   *
   * @default {10000}
   */
  readonly maxQueuedTransactions?: number | undefined;
  /**
   * How long a transaction may wait for the write connection, in ms.
   *
   * @default {30000}
   */
  readonly queueTimeoutMs?: number | undefined;
}

/** What {@linkcode SqliteEngine} takes. */
export interface SqliteEngineOptions extends SqliteOptions {
  /** The file; created if it isn't there. */
  readonly path: string;
  /** The clock that measures waits and turns. */
  readonly clock: Clock;
  /** Called once every connection is closed. */
  readonly closed?: (() => void) | undefined;
}

/**
 * One write connection, and read-only ones beside it.
 *
 * - WAL: readers see the last commit and never wait for a writer, nor it for them.
 * - `BEGIN IMMEDIATE`: the lock is taken first, so that no transaction fails
 *   halfway because another process wrote meanwhile.
 */
export class SqliteEngine<Database> implements Engine<Database> {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #connection: SqliteConnection;
  readonly #reads: SqliteReads<Database>;
  readonly #gate: Gate;
  readonly #writes: WriteKysely<Database>;
  readonly #closed: (() => void) | undefined;
  #turnBeganMs = 0;
  #isClosed = false;

  /**
   * Opens or creates the file.
   *
   * @param options Which file, and how.
   * @throws {HeadwaterError} `DATABASE_UNAVAILABLE`, `DATABASE_READ_ONLY` or `DATABASE_INVALID`.
   */
  constructor(options: SqliteEngineOptions) {
    const { path, clock, busyTimeoutMs = BUSY_TIMEOUT_MS } = options;
    const { maxReadConnections = MAX_READ_CONNECTIONS } = options;
    this.#path = path;
    this.#clock = clock;
    this.#closed = options.closed;
    this.#connection = openForWriting(path, busyTimeoutMs, options.synchronous);
    this.#writes = new WriteKysely(this.#connection);
    try {
      this.#reads = new SqliteReads({
        path,
        busyTimeoutMs,
        maxReadConnections,
      });
    } catch (error) {
      this.#connection.close();
      throw error;
    }
    this.#gate = new Gate({
      subject: "the write connection",
      permits: 1,
      maxQueued: options.maxQueuedTransactions ?? MAX_QUEUED_TRANSACTIONS,
      timeoutMs: options.queueTimeoutMs ?? QUEUE_TIMEOUT_MS,
      clock,
    });
  }

  get db(): ReadonlyKysely<Database> {
    return this.#reads.db;
  }

  get session(): Session {
    return this.#reads.session;
  }

  async transaction<Value>(
    name: string,
    work: (session: WriteSession<Database>) => Promise<Value>,
    hooks?: TransactionHooks<Value>,
  ): Promise<Value> {
    await this.#gate.enter(name);
    try {
      if (this.#isClosed) throw this.#closedError(name);
      const value = await this.#run(name, work);
      hooks?.committed?.(value);
      await this.#yieldTurn();
      return value;
    } finally {
      this.#gate.leave();
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    // After the transactions that came first; those behind are refused.
    await this.#gate.enterLast("close");
    try {
      if (this.#isClosed) return;
      this.#isClosed = true;
      await this.#reads.close();
      this.#connection.close();
      this.#closed?.();
    } finally {
      this.#gate.leave();
    }
  }

  async #run<Value>(
    name: string,
    work: (session: WriteSession<Database>) => Promise<Value>,
  ): Promise<Value> {
    const connection = this.#connection;
    const transaction = this.#writes.begin(name);
    try {
      connection.begin();
      const value = await work(
        new SqliteWriteSession(connection, transaction.db),
      );
      transaction.end();
      connection.endIterations();
      connection.commit();
      return value;
    } catch (error) {
      transaction.end();
      connection.endIterations();
      this.#rollBack();
      throw describeSqliteError(`run "${name}" on "${this.#path}"`, error);
    }
  }

  #rollBack(): void {
    try {
      this.#connection.rollBack();
    } catch {
      // SQLite has rolled back by itself: a COMMIT that failed.
    }
  }

  /** See {@linkcode MAX_TURN_MS}. */
  #yieldTurn(): Promise<void> | undefined {
    const now = this.#clock.monotonicMs();
    if (now - this.#turnBeganMs < MAX_TURN_MS) return undefined;
    return new Promise((resolve) =>
      this.#clock.nextTurn(() => {
        this.#turnBeganMs = this.#clock.monotonicMs();
        resolve();
      })
    );
  }

  #closedError(name: string): HeadwaterError {
    return new HeadwaterError(
      "CLOSED",
      `Cannot run "${name}": database "${this.#path}" is closed; open it again`,
    );
  }
}

function openForWriting(
  path: string,
  busyTimeoutMs: number,
  synchronous: Synchronous = "full",
): SqliteConnection {
  if (synchronous !== "full" && synchronous !== "normal") {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot open database "${path}": synchronous is ${
        JSON.stringify(synchronous)
      }; give "full" or "normal"`,
    );
  }
  const connection = new SqliteConnection({
    path,
    readOnly: false,
    busyTimeoutMs,
  });
  try {
    connection.script(
      `PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}; ` +
        // A checkpoint each 1,000 pages costs small transactions a quarter of
        // their rate; 10,000 pages bound the file beside the database to 40 MiB.
        "PRAGMA wal_autocheckpoint = 10000",
    );
    return connection;
  } catch (error) {
    connection.close();
    throw describeSqliteError(`open database "${path}" for writing`, error);
  }
}

class SqliteWriteSession<Database> implements WriteSession<Database> {
  readonly db: Transaction<Database>;
  readonly #connection: SqliteConnection;

  constructor(connection: SqliteConnection, db: Transaction<Database>) {
    this.#connection = connection;
    this.db = db;
  }

  get hasWritten(): boolean {
    return this.#connection.hasWritten;
  }

  run(sql: string, parameters: readonly SqlValue[]): number {
    return this.#connection.run(sql, parameters);
  }

  rows(sql: string, parameters: readonly SqlValue[]): SqlValue[][] {
    return this.#connection.rows(sql, parameters);
  }
}

/** Makes a Kysely transaction of each of the engine's own, and cuts it off at its end. */
class WriteKysely<Database> {
  readonly #connection: DatabaseConnection;
  readonly #props: KyselyProps;
  readonly #executor: QueryExecutor;

  constructor(connection: SqliteConnection) {
    this.#connection = writeConnection(connection);
    const dialect = sqliteDialect(writeDriver(this.#connection));
    const kysely = new Kysely<Database>({ dialect });
    this.#executor = kysely.getExecutor();
    this.#props = {
      config: { dialect },
      driver: dialect.createDriver(),
      dialect,
      executor: this.#executor,
    };
  }

  begin(name: string): { db: Transaction<Database>; end(): void } {
    const connection = this.#connection;
    let hasEnded = false;
    const executor = this.#executor.withConnectionProvider({
      provideConnection(consumer) {
        if (hasEnded) return Promise.reject(endedError(name));
        return consumer(connection);
      },
    });
    return {
      db: new Transaction<Database>({ ...this.#props, executor }),
      end: () => void (hasEnded = true),
    };
  }
}

function endedError(name: string): HeadwaterError {
  return new HeadwaterError(
    "TRANSACTION_ENDED",
    `Cannot use txn.db: transaction "${name}" has ended; await every query within it`,
  );
}

/** The engine begins and ends transactions itself; Kysely only runs statements. */
function writeDriver(connection: DatabaseConnection): Driver {
  const nothing = () => Promise.resolve();
  return {
    init: nothing,
    acquireConnection: () => Promise.resolve(connection),
    beginTransaction: nothing,
    commitTransaction: nothing,
    rollbackTransaction: nothing,
    releaseConnection: nothing,
    destroy: nothing,
  };
}

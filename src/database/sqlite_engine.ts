/**
 * SQLite as a database with one write connection.
 *
 * @module
 */

import type { DatabaseConnection, Transaction } from "kysely";
import type { ReadonlyKysely } from "kysely/readonly";
import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import { Gate } from "../runtime/gate.ts";
import { pause } from "../runtime/waiting.ts";
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
  SqlParameter,
  SqlValue,
  TransactionOptions,
  WriteSession,
} from "./engine.ts";
import { SqliteCheckpointer } from "./sqlite_checkpointer.ts";
import { SqliteConnection } from "./sqlite_connection.ts";
import { sqliteDialect, writeConnection } from "./sqlite_dialect.ts";
import { describeSqliteError, isBusy } from "./sqlite_errors.ts";
import { SqliteDurability } from "./sqlite_durability.ts";
import { SqliteReads } from "./sqlite_reads.ts";
import { type Rename, renamer, type TableNameOptions } from "./table_names.ts";
import { inertDriver, WriteKysely } from "./write_kysely.ts";

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
export interface SqliteEngineOptions extends SqliteOptions, TableNameOptions {
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
 * - Nothing here waits for the disk, or for another process, in the caller's
 *   thread: see {@linkcode SqliteDurability} and {@linkcode SqliteCheckpointer}.
 */
export class SqliteEngine<Database> implements Engine<Database> {
  readonly dialect = "sqlite";
  readonly disconnections = 0;
  readonly #path: string;
  readonly #clock: Clock;
  readonly #busyTimeoutMs: number;
  readonly #connection: SqliteConnection;
  readonly #kyselyConnection: DatabaseConnection;
  readonly #durability: SqliteDurability | undefined;
  readonly #checkpointer: SqliteCheckpointer;
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
    const rename = renamer(options);
    this.#busyTimeoutMs = busyTimeoutMs;
    this.#closed = options.closed;
    this.#connection = openForWriting(options, busyTimeoutMs, rename);
    this.#kyselyConnection = writeConnection(this.#connection);
    this.#writes = new WriteKysely(sqliteDialect(inertDriver()));
    this.#durability = options.synchronous === "normal"
      ? undefined
      : new SqliteDurability(path);
    this.#checkpointer = new SqliteCheckpointer(
      path,
      clock,
      // Without the thread SQLite does it itself, in this one.
      () => this.#connection.script("PRAGMA wal_autocheckpoint = 10000"),
    );
    try {
      this.#reads = new SqliteReads({
        path,
        busyTimeoutMs,
        maxReadConnections,
        rename,
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
    options: TransactionOptions<Value> = {},
  ): Promise<Value> {
    await this.#gate.enter(name);
    let value: Value;
    let durable: Promise<void> | undefined;
    try {
      if (this.#isClosed) throw this.#closedError(name);
      value = await this.#run(name, work);
      // Noted in the commit's own turn: what follows comes in commit order.
      durable = this.#durability?.press(() => options.committed?.(value));
      if (durable === undefined) options.committed?.(value);
      await this.#checkpointer.committed();
      await this.#yieldTurn();
    } finally {
      this.#gate.leave();
    }
    await durable;
    return value;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    // After the transactions that came first; those behind are refused.
    await this.#gate.enterLast("close");
    try {
      if (this.#isClosed) return;
      this.#isClosed = true;
      await this.#durability?.close();
      await this.#checkpointer.close();
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
    const { db, end } = this.#writes.begin(name, this.#kyselyConnection);
    const session = new SqliteWriteSession(connection, db);
    try {
      await this.#begin();
      const value = await work(session);
      end();
      if (!session.isCommitted) connection.commit();
      return value;
    } catch (error) {
      end();
      connection.endIterations();
      this.#rollBack();
      throw describeSqliteError(`run "${name}" on "${this.#path}"`, error);
    }
  }

  /** Takes the write lock; waits for another process's without blocking this one. */
  async #begin(): Promise<void> {
    const deadlineMs = this.#clock.monotonicMs() + this.#busyTimeoutMs;
    for (let delayMs = 1;; delayMs = Math.min(delayMs * 2, MAX_BUSY_PAUSE_MS)) {
      try {
        return this.#connection.begin();
      } catch (error) {
        const isOver = this.#clock.monotonicMs() >= deadlineMs;
        if (isOver || !isBusy(error)) throw error;
      }
      await pause(this.#clock, delayMs);
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

/** The longest pause, in ms, between two looks at another process's lock. */
const MAX_BUSY_PAUSE_MS = 10;

function openForWriting(
  { path, synchronous = "full" }: SqliteEngineOptions,
  busyTimeoutMs: number,
  rename: Rename,
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
    rename,
  });
  try {
    connection.script(
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = normal; " +
        // The checkpointer does it, on a thread of its own.
        "PRAGMA wal_autocheckpoint = 0; PRAGMA busy_timeout = 0",
    );
    return connection;
  } catch (error) {
    connection.close();
    throw describeSqliteError(`open database "${path}" for writing`, error);
  }
}

class SqliteWriteSession<Database> implements WriteSession<Database> {
  readonly dialect = "sqlite";
  readonly db: Transaction<Database>;
  readonly #connection: SqliteConnection;
  #isCommitted = false;

  constructor(connection: SqliteConnection, db: Transaction<Database>) {
    this.#connection = connection;
    this.db = db;
  }

  get isCommitted(): boolean {
    return this.#isCommitted;
  }

  hasWritten(): boolean {
    return this.#connection.hasWritten;
  }

  run(sql: string, parameters: readonly SqlParameter[]): number {
    return this.#connection.run(sql, parameters);
  }

  rows(sql: string, parameters: readonly SqlParameter[]): SqlValue[][] {
    return this.#connection.rows(sql, parameters);
  }

  commit(
    sql: string,
    parameters: readonly SqlParameter[],
  ): Promise<SqlValue[][]> {
    const rows = this.#connection.rows(sql, parameters);
    this.#connection.commit();
    this.#isCommitted = true;
    return Promise.resolve(rows);
  }
}

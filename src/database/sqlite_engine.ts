/**
 * SQLite as a database with one write connection.
 *
 * @module
 */

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
  TransactionOptions,
  WriteSession,
} from "./engine.ts";
import { FileIdentity } from "./file_identity.ts";
import { SqliteCheckpointer } from "./sqlite_checkpointer.ts";
import type { SqliteConnection } from "./sqlite_connection.ts";
import { SqliteDurability } from "./sqlite_durability.ts";
import { SqliteReads } from "./sqlite_reads.ts";
import { type Ran, SqliteTransactions } from "./sqlite_transactions.ts";
import { openForWriting } from "./sqlite_write.ts";
import { renamer, type TableNameOptions } from "./table_names.ts";

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
   * Read-only connections for transactions and streamed queries of stores; on
   * PostgreSQL as many more for all other reads.
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
   * How long a transaction may wait for a write connection, in ms: above 0. On
   * PostgreSQL one that only records waits as long for those before it.
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
  readonly #path: string;
  readonly #clock: Clock;
  readonly #connection: SqliteConnection;
  readonly #durability: SqliteDurability | undefined;
  readonly #checkpointer: SqliteCheckpointer;
  readonly #reads: SqliteReads<Database>;
  readonly #file: FileIdentity;
  readonly #gate: Gate;
  readonly #transactions: SqliteTransactions<Database>;
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
    this.#closed = options.closed;
    this.#connection = openForWriting({
      path,
      synchronous: options.synchronous ?? "full",
      busyTimeoutMs,
      rename,
    });
    this.#file = new FileIdentity(path, clock);
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
    this.#transactions = new SqliteTransactions({
      path,
      connection: this.#connection,
      durability: this.#durability,
      busyTimeoutMs,
      clock,
      queued: () => this.#gate.queued,
    });
  }

  get disconnections(): number {
    return this.#file.isReplaced ? 1 : 0;
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
    const turn = this.#gate.enter(name);
    if (turn !== undefined) await turn;
    let ran: Ran<Value>;
    try {
      if (this.#isClosed) throw this.#closedError(name);
      ran = await this.#transactions.run(name, work, options);
      const held = this.#checkpointer.committed();
      if (held !== undefined) await held;
      const turn = this.#yieldTurn();
      if (turn !== undefined) await turn;
    } finally {
      this.#gate.leave();
    }
    await ran.settled;
    return ran.value as Value;
  }

  reopenIfReplaced(): boolean {
    return this.#reads.reopenIfReplaced();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    // After the transactions that came first; those behind are refused.
    await this.#gate.enterLast("close");
    try {
      if (this.#isClosed) return;
      this.#transactions.commit();
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

/**
 * Read-only access to an SQLite file that never waits for a writer.
 *
 * @module
 */

import {
  type CompiledQuery,
  type DatabaseConnection,
  type Driver,
  Kysely,
  type QueryResult,
} from "kysely";
import type { ReadonlyKysely } from "kysely/readonly";
import { systemClock } from "../runtime/clock.ts";
import { assert, HeadwaterError } from "../runtime/errors.ts";
import { Gate } from "../runtime/gate.ts";
import {
  BUSY_TIMEOUT_MS,
  MAX_QUEUED_TRANSACTIONS,
  MAX_READ_CONNECTIONS,
  QUEUE_TIMEOUT_MS,
} from "../runtime/limits.ts";
import type { ReadEngine, Session } from "./engine.ts";
import { identifyFile } from "./file_identity.ts";
import { SqliteConnection } from "./sqlite_connection.ts";
import {
  executeCompiled,
  sqliteDialect,
  streamCompiled,
} from "./sqlite_dialect.ts";
import { describeSqliteError } from "./sqlite_errors.ts";
import type { Rename } from "./table_names.ts";

/** Options of {@linkcode SqliteReads}. */
export interface SqliteReadsOptions {
  /** The file. */
  readonly path: string;
  /** @default {5000} */
  readonly busyTimeoutMs?: number | undefined;
  /** @default {8} */
  readonly maxReadConnections?: number | undefined;
  /** Gives the library's tables the names that they have there. */
  readonly rename?: Rename | undefined;
}

/**
 * The reads of a store.
 *
 * Plain queries share one connection and end in the turn they begin, so each
 * sees all that was committed before it. What stays open over turns, a
 * transaction or a streamed query, would hold its snapshot for every other
 * read too and let a cache load an old value after its invalidation: it gets
 * a connection of its own.
 */
export class SqliteReads<Database> implements ReadEngine<Database> {
  readonly dialect = "sqlite";
  readonly db: ReadonlyKysely<Database>;
  readonly session: Session;
  readonly #path: string;
  readonly #open: () => SqliteConnection;
  readonly #pool: ConnectionPool;
  #shared: SqliteConnection;
  #files: string;
  #isClosed = false;

  /**
   * Opens the file for reading.
   *
   * @param options Which file, and the bounds.
   * @throws {HeadwaterError} `DATABASE_UNAVAILABLE` or `DATABASE_INVALID`.
   */
  constructor(options: SqliteReadsOptions) {
    const {
      path,
      busyTimeoutMs = BUSY_TIMEOUT_MS,
      maxReadConnections = MAX_READ_CONNECTIONS,
      rename,
    } = options;
    this.#path = path;
    this.#open = () =>
      new SqliteConnection({ path, readOnly: true, busyTimeoutMs, rename });
    this.#shared = this.#open();
    this.#files = identify(path);
    this.#pool = new ConnectionPool(this.#open, maxReadConnections);
    this.session = {
      dialect: "sqlite",
      run: (sql, parameters) => this.#shared.run(sql, parameters),
      rows: (sql, parameters) => this.#shared.rows(sql, parameters),
    };
    const driver = readDriver(path, () => this.#shared, this.#pool);
    const kysely = new Kysely<Database>({ dialect: sqliteDialect(driver) });
    this.db = kysely as unknown as ReadonlyKysely<Database>;
  }

  /**
   * An open connection goes on reading the files that it was opened with, be
   * they deleted. Transactions and streams that are open then fail.
   */
  reopenIfReplaced(): boolean {
    if (this.#isClosed) return false;
    // Not open: there was no file when it was to be opened again.
    const isOpen = this.#shared.isOpen;
    if (isOpen && identify(this.#path) === this.#files) return false;
    // All first: connections of a process share what they know of a file.
    this.#pool.discardAll();
    if (isOpen) this.#shared.close();
    this.#shared = this.#open();
    this.#files = identify(this.#path);
    return true;
  }

  close(): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true;
      // Kysely has nothing of its own to end, and its error would hide ours.
      this.#pool.close();
      this.#shared.close();
    }
    return Promise.resolve();
  }
}

/** Connections that one caller holds at a time. */
class ConnectionPool {
  readonly #open: () => SqliteConnection;
  readonly #gate: Gate;
  readonly #idle: SqliteConnection[] = [];
  readonly #busy = new Set<SqliteConnection>();
  #isClosed = false;

  constructor(open: () => SqliteConnection, maxConnections: number) {
    this.#open = open;
    this.#gate = new Gate({
      subject: "a read connection",
      permits: maxConnections,
      maxQueued: MAX_QUEUED_TRANSACTIONS,
      timeoutMs: QUEUE_TIMEOUT_MS,
      clock: systemClock,
    });
  }

  async take(): Promise<SqliteConnection> {
    await this.#gate.enter("read transaction");
    try {
      if (this.#isClosed) throw closedError();
      const connection = this.#idle.pop() ?? this.#open();
      this.#busy.add(connection);
      return connection;
    } catch (error) {
      this.#gate.leave();
      throw error;
    }
  }

  give(connection: SqliteConnection): void {
    this.#busy.delete(connection);
    if (!this.#isClosed && connection.isOpen) this.#idle.push(connection);
    this.#gate.leave();
  }

  discard(connection: SqliteConnection): void {
    this.#busy.delete(connection);
    connection.close();
    this.#gate.leave();
  }

  /** Closes every connection; others are opened when they are needed. */
  discardAll(): void {
    for (const connection of [...this.#idle, ...this.#busy]) connection.close();
    this.#idle.length = 0;
  }

  close(): void {
    this.#isClosed = true;
    for (const connection of [...this.#idle, ...this.#busy]) connection.close();
    this.#idle.length = 0;
    this.#busy.clear();
  }
}

/** One holder's connection: the shared one, or its own while it needs one. */
class ReadConnection implements DatabaseConnection {
  readonly #path: string;
  readonly #shared: () => SqliteConnection;
  readonly #pool: ConnectionPool;
  #own: SqliteConnection | undefined;

  constructor(
    path: string,
    shared: () => SqliteConnection,
    pool: ConnectionPool,
  ) {
    this.#path = path;
    this.#shared = shared;
    this.#pool = pool;
  }

  executeQuery<Row>(query: CompiledQuery): Promise<QueryResult<Row>> {
    try {
      const connection = this.#own ?? this.#shared();
      return Promise.resolve(executeCompiled<Row>(connection, query));
    } catch (error) {
      return Promise.reject(describeSqliteError(`read "${this.#path}"`, error));
    }
  }

  async *streamQuery<Row>(
    query: CompiledQuery,
  ): AsyncGenerator<QueryResult<Row>> {
    const own = this.#own;
    const connection = own ?? await this.#pool.take();
    try {
      yield* streamCompiled<Row>(connection, query);
    } catch (error) {
      throw describeSqliteError(`read "${this.#path}"`, error);
    } finally {
      if (own === undefined) this.#pool.give(connection);
    }
  }

  async begin(): Promise<void> {
    this.#own = await this.#pool.take();
    this.#own.script("BEGIN");
  }

  end(): void {
    const connection = this.#own;
    assert(connection !== undefined, "a read transaction to end");
    this.#own = undefined;
    try {
      connection.endIterations();
      connection.script("COMMIT");
      this.#pool.give(connection);
    } catch {
      // Nothing was to be kept. But whoever came next would have its snapshot.
      this.#pool.discard(connection);
    }
  }
}

function readDriver(
  path: string,
  shared: () => SqliteConnection,
  pool: ConnectionPool,
): Driver {
  return {
    init: () => Promise.resolve(),
    // A transaction needs state of its own; until one begins, all are alike.
    acquireConnection: () =>
      Promise.resolve(new ReadConnection(path, shared, pool)),
    beginTransaction: (connection) => (connection as ReadConnection).begin(),
    commitTransaction: (connection) =>
      Promise.resolve((connection as ReadConnection).end()),
    rollbackTransaction: (connection) =>
      Promise.resolve((connection as ReadConnection).end()),
    releaseConnection: () => Promise.resolve(),
    destroy: () => Promise.resolve(),
  };
}

/** Which files a database consists of: its own, and the index of its log. */
function identify(path: string): string {
  return [path, `${path}-shm`].map(identifyFile).join(" ");
}

function closedError(): HeadwaterError {
  return new HeadwaterError(
    "CLOSED",
    "Cannot read: the store is closed; open another",
  );
}

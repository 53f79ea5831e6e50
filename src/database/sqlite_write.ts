/**
 * The connection that writes, and a transaction on it.
 *
 * @module
 */

import type { Transaction } from "kysely";
import { HeadwaterError } from "../runtime/errors.ts";
import { SharedRollbackError } from "./commit_group.ts";
import type { SqlParameter, SqlValue, WriteSession } from "./engine.ts";
import { SqliteConnection } from "./sqlite_connection.ts";
import { describeSqliteError } from "./sqlite_errors.ts";
import type { Rename } from "./table_names.ts";
import type { KyselyTransaction } from "./write_kysely.ts";

/** How the file is opened. */
export interface OpenForWritingOptions {
  readonly path: string;
  readonly synchronous: unknown;
  readonly busyTimeoutMs: number;
  readonly rename: Rename;
}

/**
 * Opens or creates the file.
 *
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for an unknown `synchronous`; else as SQLite says.
 */
export function openForWriting({
  path,
  synchronous,
  busyTimeoutMs,
  rename,
}: OpenForWritingOptions): SqliteConnection {
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

/** One transaction, for the library and through Kysely. */
export class SqliteWriteSession<Database> implements WriteSession<Database> {
  readonly dialect = "sqlite";
  readonly #view: KyselyTransaction<Database>;
  readonly #connection: SqliteConnection;
  readonly #onRollback: (() => void)[] = [];
  #isEvicted = false;
  #isRolledBack = false;

  /** Constructs a view of the connection, which has begun. */
  constructor(
    connection: SqliteConnection,
    view: KyselyTransaction<Database>,
  ) {
    this.#connection = connection;
    this.#view = view;
  }

  get db(): Transaction<Database> {
    return this.#view.db;
  }

  /** Cuts {@linkcode db} off. */
  end(): void {
    this.#view.end();
  }

  /** Whether it has been taken back while it ran. */
  get isEvicted(): boolean {
    return this.#isEvicted;
  }

  /** Cuts it off, for it has been taken back: it is to be run again. */
  evict(): void {
    this.#isEvicted = true;
    this.end();
    this.rolledBack();
  }

  onRollback(callback: () => void): void {
    if (this.#isRolledBack) callback();
    else this.#onRollback.push(callback);
  }

  /** Tells those who asked that nothing of it is left. */
  rolledBack(): void {
    this.#isRolledBack = true;
    for (const callback of this.#onRollback.splice(0)) callback();
  }

  hasWritten(): boolean {
    return this.#connection.hasWritten;
  }

  run(sql: string, parameters: readonly SqlParameter[]): number {
    this.#requireIn();
    return this.#connection.run(sql, parameters);
  }

  rows(sql: string, parameters: readonly SqlParameter[]): SqlValue[][] {
    this.#requireIn();
    return this.#connection.rows(sql, parameters);
  }

  /** The engine commits: there is no way to save. */
  commit(
    sql: string,
    parameters: readonly SqlParameter[],
  ): Promise<SqlValue[][]> {
    return Promise.resolve(this.rows(sql, parameters));
  }

  #requireIn(): void {
    if (this.#isEvicted) {
      throw new SharedRollbackError("it has been taken back");
    }
  }
}

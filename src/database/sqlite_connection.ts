/**
 * One connection of node:sqlite, and the transactions on it.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import { HeadwaterError, quote } from "../runtime/errors.ts";
import type { Session, SqlParameter, SqlValue } from "./engine.ts";
import {
  type Prepared,
  PreparedStatements,
  READ_SCHEMA,
} from "./prepared_statements.ts";
import { describeSqliteError } from "./sqlite_errors.ts";
import { bindable, type SqliteOutcome } from "./sqlite_statement.ts";
import type { Rename } from "./table_names.ts";

/** How a connection is opened. */
export interface SqliteConnectionOptions {
  /** The file. */
  readonly path: string;
  /** Whether it may not write, or create the file. */
  readonly readOnly: boolean;
  /** How long SQLite waits for another process's lock, in ms. */
  readonly busyTimeoutMs: number;
  /** Gives the library's tables the names that they have there. */
  readonly rename?: Rename | undefined;
}

const RELEASE_SAVEPOINT = "RELEASE headwater_member";
const WRITES = /\b(?:insert|update|delete|replace|returning)\b/i;
/**
 * A connection that prepares each text once.
 *
 * Statements run to their end at once, so that no read of one caller holds a
 * snapshot for another's; only {@linkcode iterate} does, and wants a
 * connection of its own.
 */
export class SqliteConnection implements Session {
  readonly dialect = "sqlite";
  readonly #database: DatabaseSync;
  readonly #statements: PreparedStatements;
  readonly #iterations = new Set<object>();
  #hasWritten = false;
  /** Whether the library's own statements changed something. */
  #hasOwnWrites = false;
  #isShared = false;
  #isUsed = false;
  /** Late: the library had written before it. */
  #savepoint: "none" | "set" | "late" = "none";
  #isInTransaction = false;
  /** The error after which SQLite ended the transaction by itself. */
  #fatal: unknown;

  /**
   * Opens the file.
   *
   * @param options Which, and how.
   * @throws {HeadwaterError} `DATABASE_UNAVAILABLE` or `DATABASE_INVALID`.
   */
  constructor(options: SqliteConnectionOptions) {
    const { path, readOnly, busyTimeoutMs } = options;
    const { rename = (sql) => sql } = options;
    let database: DatabaseSync | undefined;
    try {
      database = new DatabaseSync(path, { readOnly });
      // The schema is read so that a file that is no database is found now.
      database.exec(`PRAGMA busy_timeout = ${busyTimeoutMs}; ${READ_SCHEMA}`);
    } catch (error) {
      database?.close();
      throw describeSqliteError(`open database "${path}"`, error);
    }
    this.#database = database;
    this.#statements = new PreparedStatements({ database, path, rename });
  }

  /** Whether it has not been closed. */
  get isOpen(): boolean {
    return this.#statements.isOpen;
  }

  /** Whether anything was changed since {@linkcode forgetWrites}. */
  get hasWritten(): boolean {
    return this.#hasWritten;
  }

  /** Begins a transaction that writes; sets {@linkcode hasWritten} back. */
  begin(): void {
    this.#hasWritten = false;
    this.run("BEGIN IMMEDIATE", []);
    this.#isInTransaction = true;
    this.#isShared = false;
    this.#savepoint = "none";
  }

  /**
   * Begins another transaction within the one that is open, to be committed
   * with it: a savepoint, set before the user's first statement.
   */
  beginShared(): void {
    this.#hasWritten = false;
    this.#hasOwnWrites = false;
    this.#isUsed = false;
    this.#isShared = true;
    this.#savepoint = "none";
  }

  /** Whether anything was run since {@linkcode beginShared}. */
  get isUsed(): boolean {
    return this.#isUsed;
  }

  /** Ends what {@linkcode beginShared} began. */
  releaseShared(): void {
    this.endIterations();
    if (this.#savepoint !== "none") this.run(RELEASE_SAVEPOINT, []);
    this.#savepoint = "none";
  }

  /**
   * Takes back what {@linkcode beginShared} began.
   *
   * @returns Whether that could be done, and the others' part stands.
   */
  rollBackShared(): boolean {
    if (this.#fatal !== undefined || !this.#isShared) return false;
    if (this.#savepoint === "none") return !this.#hasOwnWrites;
    if (this.#savepoint === "late") return false;
    this.run("ROLLBACK TO headwater_member", []);
    this.run(RELEASE_SAVEPOINT, []);
    this.#savepoint = "none";
    return true;
  }

  /**
   * Commits what was begun.
   *
   * @throws What SQLite has ended the transaction for, if it has.
   */
  commit(): void {
    this.endIterations();
    this.run("COMMIT", []);
    this.#isInTransaction = false;
  }

  /** Takes back what was begun; nothing happens if nothing was. */
  rollBack(): void {
    const isOver = !this.#isInTransaction || this.#fatal !== undefined;
    this.#isInTransaction = false;
    this.#fatal = undefined;
    if (!isOver) this.run("ROLLBACK", []);
  }

  /** Runs statements without parameters, for set-up. */
  script(sql: string): void {
    this.#statements.requireOpen();
    this.#database.exec(sql);
  }

  /** Runs the library's own statement. */
  run(sql: string, parameters: readonly SqlParameter[]): number {
    this.#requireTransaction();
    this.#isUsed = true;
    try {
      const changes = this.#statements.run(sql, parameters);
      if (changes > 0) this.#hasOwnWrites = true;
      return Number(changes);
    } catch (error) {
      this.#noticeEnd(error);
      throw error;
    }
  }

  /** Runs the library's own query; rows come as arrays, the cheapest form. */
  rows(sql: string, parameters: readonly SqlParameter[]): SqlValue[][] {
    this.#isUsed = true;
    return this.#statements.rows(sql, parameters);
  }

  /**
   * Runs a user's statement.
   *
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for one that begins or ends a
   *   transaction, and for a parameter that SQLite doesn't know.
   */
  execute(sql: string, parameters: readonly unknown[]): SqliteOutcome {
    this.#requireTransaction();
    this.#setSavepoint();
    try {
      return this.#execute(this.#statements.get(sql), sql, parameters);
    } catch (error) {
      this.#noticeEnd(error);
      throw error;
    }
  }

  #execute(
    { statement, isReader, definesSchema, endsTransaction }: Prepared,
    sql: string,
    parameters: readonly unknown[],
  ): SqliteOutcome {
    if (endsTransaction) throw controlError(sql);
    const bound = parameters.map(bindable);
    if (isReader) {
      const rows = statement.all(...bound);
      if (WRITES.test(sql)) this.#hasWritten = true;
      return { rows, changes: BigInt(rows.length), insertId: undefined };
    }
    const { changes, lastInsertRowid } = statement.run(...bound);
    if (changes > 0 || definesSchema) this.#hasWritten = true;
    return {
      rows: [],
      changes: BigInt(changes),
      insertId: BigInt(lastInsertRowid),
    };
  }

  /** Runs a user's query row by row; the connection's snapshot stands until the end. */
  *iterate(
    sql: string,
    parameters: readonly unknown[],
  ): Generator<unknown, void, undefined> {
    this.#requireTransaction();
    this.#setSavepoint();
    // Not from the kept ones: a second use would reset the first's place.
    const rows = this.#statements.once(sql).iterate(
      ...parameters.map(bindable),
    );
    this.#iterations.add(rows);
    if (WRITES.test(sql)) this.#hasWritten = true;
    try {
      for (const row of rows) {
        yield row;
        if (!this.#iterations.has(rows)) throw iterationEndedError();
      }
    } finally {
      this.#iterations.delete(rows);
    }
  }

  /**
   * Ends what {@linkcode iterate} has open. One that is left where it stands
   * would hold the connection's snapshot over the end of its transaction, for
   * every transaction that comes after.
   */
  endIterations(): void {
    if (this.#iterations.size === 0) return;
    for (const rows of this.#iterations) {
      (rows as Iterator<unknown>).return?.();
    }
    this.#iterations.clear();
  }

  /** Closes the connection; may be called again. */
  close(): void {
    if (!this.isOpen) return;
    this.endIterations();
    this.#statements.close();
    this.#database.close();
  }

  #setSavepoint(): void {
    this.#isUsed = true;
    if (!this.#isShared || this.#savepoint !== "none") return;
    const savepoint = this.#hasOwnWrites ? "late" : "set";
    this.run("SAVEPOINT headwater_member", []);
    this.#savepoint = savepoint;
  }

  #requireTransaction(): void {
    if (this.#fatal !== undefined) throw this.#fatal;
  }

  /**
   * After some errors (a full disk, `ON CONFLICT ROLLBACK`) SQLite rolls the
   * transaction back by itself. Whoever caught the error would write on
   * outside of any transaction, each statement kept for itself.
   */
  #noticeEnd(error: unknown): void {
    if (!this.#isInTransaction || this.#hasTransaction()) return;
    this.#fatal = error;
  }

  #hasTransaction(): boolean {
    const database: { isTransaction?: boolean } = this.#database;
    if (database.isTransaction !== undefined) return database.isTransaction;
    try {
      // `isTransaction` came with Node 22.16. A transaction refuses another.
      this.#database.exec("BEGIN");
    } catch {
      return true;
    }
    this.#database.exec("ROLLBACK");
    return false;
  }
}

function controlError(sql: string): HeadwaterError {
  return new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot run ${
      quote(sql)
    }: the store begins and ends transactions itself; ` +
      "give transaction() a function, and throw to roll back",
  );
}

function iterationEndedError(): HeadwaterError {
  return new HeadwaterError(
    "TRANSACTION_ENDED",
    "Cannot read on in a streamed query: its transaction has ended, or its " +
      "store is closed; read it to its end before",
  );
}

/**
 * One connection of node:sqlite, with its statements kept prepared.
 *
 * @module
 */

import { DatabaseSync, type StatementSync } from "node:sqlite";
import { HeadwaterError, quote } from "../runtime/errors.ts";
import type { Session, SqlParameter, SqlValue } from "./engine.ts";
import { describeSqliteError } from "./sqlite_errors.ts";
import {
  bindable,
  givesRows,
  remember,
  returnArrays,
  type SqliteOutcome,
  toArray,
} from "./sqlite_statement.ts";
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

interface Prepared {
  readonly statement: StatementSync;
  readonly isReader: boolean;
  readonly definesSchema: boolean;
  readonly hasStar: boolean;
  readonly endsTransaction: boolean;
}

const RELEASE_SAVEPOINT = "RELEASE headwater_member";
const READ_SCHEMA = "SELECT name FROM sqlite_schema LIMIT 1";
const WRITES = /\b(?:insert|update|delete|replace|returning)\b/i;
const ENDS_TRANSACTION =
  /^\s*(?:begin|commit|end|rollback(?!\s+(?:transaction\s+)?to\b))\b/i;
const DEFINES_SCHEMA = /^\s*(?:create|drop|alter|reindex)\b/i;

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
  readonly #path: string;
  readonly #rename: Rename;
  readonly #prepared: Map<string, Prepared> = new Map();
  readonly #own: Map<string, StatementSync> = new Map();
  readonly #arrays: Map<string, StatementSync> = new Map();
  readonly #iterations = new Set<object>();
  #schemaVersion: SqlValue | undefined;
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
  #isOpen = true;

  /**
   * Opens the file.
   *
   * @param options Which, and how.
   * @throws {HeadwaterError} `DATABASE_UNAVAILABLE` or `DATABASE_INVALID`.
   */
  constructor(options: SqliteConnectionOptions) {
    const { path, readOnly, busyTimeoutMs } = options;
    this.#path = path;
    this.#rename = options.rename ?? ((sql) => sql);
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
  }

  /** Whether it has not been closed. */
  get isOpen(): boolean {
    return this.#isOpen;
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
    if (!this.#isOpen) throw closedError();
    this.#database.exec(sql);
  }

  /** Runs the library's own statement. */
  run(sql: string, parameters: readonly SqlParameter[]): number {
    this.#requireTransaction();
    this.#isUsed = true;
    try {
      let statement = this.#own.get(sql);
      if (statement === undefined) {
        statement = this.#prepareAnew(this.#rename(sql));
        remember(this.#own, sql, statement);
      }
      const { changes } = statement.run(...parameters as SqlValue[]);
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
    try {
      let statement = this.#arrays.get(sql);
      if (statement === undefined) {
        statement = this.#prepareAnew(this.#rename(sql));
        returnArrays(statement);
        remember(this.#arrays, sql, statement);
      }
      const rows: unknown[] = statement.all(...parameters as SqlValue[]);
      return Array.isArray(rows[0]) ? rows as SqlValue[][] : rows.map(toArray);
    } catch (error) {
      throw describeSqliteError(`read "${this.#path}"`, error);
    }
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
      return this.#execute(this.#prepare(sql), sql, parameters);
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
    if (sql.includes("*")) this.#noticeSchema();
    // Not from the kept ones: a second use would reset the first's place.
    const rows = this.#prepareAnew(sql).iterate(...parameters.map(bindable));
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
    if (!this.#isOpen) return;
    this.endIterations();
    this.#isOpen = false;
    this.#prepared.clear();
    this.#own.clear();
    this.#arrays.clear();
    this.#database.close();
  }

  #prepare(sql: string): Prepared {
    let kept = this.#prepared.get(sql);
    const hasStar = kept?.hasStar ?? sql.includes("*");
    if (hasStar && this.#noticeSchema()) kept = undefined;
    if (kept !== undefined) return kept;
    const statement = this.#prepareAnew(sql);
    const prepared = {
      statement,
      isReader: givesRows(statement, sql),
      definesSchema: DEFINES_SCHEMA.test(sql),
      hasStar,
      endsTransaction: ENDS_TRANSACTION.test(sql),
    };
    return remember(this.#prepared, sql, prepared);
  }

  #prepareAnew(sql: string): StatementSync {
    if (!this.#isOpen) throw closedError();
    return this.#database.prepare(sql);
  }

  /**
   * Forgets every statement if the tables have changed since the last call.
   * Under Deno one that selects `*` would give the names of the columns that
   * there were when it was prepared, and the values of those there are now.
   */
  #noticeSchema(): boolean {
    const version = this.rows("PRAGMA schema_version", [])[0]?.[0];
    if (version === this.#schemaVersion) return false;
    this.#schemaVersion = version;
    this.#prepared.clear();
    // Preparing alone goes by the tables as they were read last.
    this.#database.exec(READ_SCHEMA);
    return true;
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

function closedError(): HeadwaterError {
  return new HeadwaterError(
    "CLOSED",
    "Cannot use this database: the store is closed; open another",
  );
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

/**
 * One connection of node:sqlite, with its statements kept prepared.
 *
 * @module
 */

import { DatabaseSync, type StatementSync } from "node:sqlite";
import { HeadwaterError } from "../runtime/errors.ts";
import { MAX_STATEMENTS } from "../runtime/limits.ts";
import type { Session, SqlValue } from "./engine.ts";
import { describeSqliteError } from "./sqlite_errors.ts";

/** How a connection is opened. */
export interface SqliteConnectionOptions {
  /** The file. */
  readonly path: string;
  /** Whether it may not write, or create the file. */
  readonly readOnly: boolean;
  /** How long SQLite waits for another process's lock, in ms. */
  readonly busyTimeoutMs: number;
}

/** What a statement did. */
export interface SqliteOutcome {
  /** The rows it gave, as objects; empty where it gives none. */
  readonly rows: unknown[];
  /** The number of rows it changed. */
  readonly changes: bigint;
  /** The rowid of the last insert, where it was one. */
  readonly insertId: bigint | undefined;
}

interface Prepared {
  readonly statement: StatementSync;
  readonly isReader: boolean;
  readonly definesSchema: boolean;
}

const READS = /^\s*(?:select|with|values|pragma|explain)\b|\breturning\b/i;
const WRITES = /\b(?:insert|update|delete|replace|returning)\b/i;
const DEFINES_SCHEMA = /^\s*(?:create|drop|alter|reindex)\b/i;

/**
 * A connection that prepares each text once.
 *
 * Statements run to their end at once, so that no read of one caller holds a
 * snapshot for another's; only {@linkcode iterate} does, and wants a
 * connection of its own.
 */
export class SqliteConnection implements Session {
  readonly #database: DatabaseSync;
  readonly #prepared: Map<string, Prepared> = new Map();
  readonly #arrays: Map<string, StatementSync> = new Map();
  #hasWritten = false;

  /**
   * Opens the file.
   *
   * @param options Which, and how.
   * @throws {HeadwaterError} `DATABASE_UNAVAILABLE` or `DATABASE_INVALID`.
   */
  constructor(options: SqliteConnectionOptions) {
    const { path, readOnly, busyTimeoutMs } = options;
    try {
      this.#database = new DatabaseSync(path, { readOnly });
      // The schema is read so that a file that is no database is found now.
      this.#database.exec(
        `PRAGMA busy_timeout = ${busyTimeoutMs}; SELECT name FROM sqlite_schema LIMIT 1`,
      );
    } catch (error) {
      throw describeSqliteError(`open database "${path}"`, error);
    }
  }

  /** Whether anything was changed since {@linkcode forgetWrites}. */
  get hasWritten(): boolean {
    return this.#hasWritten;
  }

  /** Sets {@linkcode hasWritten} back, as a transaction begins. */
  forgetWrites(): void {
    this.#hasWritten = false;
  }

  /** Runs statements without parameters, for set-up. */
  script(sql: string): void {
    this.#database.exec(sql);
  }

  /** Runs the library's own statement. */
  run(sql: string, parameters: readonly SqlValue[]): number {
    const changes = this.#prepare(sql).statement.run(...parameters).changes;
    return Number(changes);
  }

  /** Runs the library's own query; rows come as arrays, the cheapest form. */
  rows(sql: string, parameters: readonly SqlValue[]): SqlValue[][] {
    let statement = this.#arrays.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      statement.setReturnArrays(true);
      remember(this.#arrays, sql, statement);
    }
    return statement.all(...parameters) as unknown as SqlValue[][];
  }

  /** Runs a user's statement. */
  execute(sql: string, parameters: readonly unknown[]): SqliteOutcome {
    const { statement, isReader, definesSchema } = this.#prepare(sql);
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
  iterate(
    sql: string,
    parameters: readonly unknown[],
  ): IterableIterator<unknown> {
    // Not from the kept ones: a second use would reset the first's place.
    return this.#database.prepare(sql).iterate(...parameters.map(bindable));
  }

  /** Closes the connection. */
  close(): void {
    this.#prepared.clear();
    this.#arrays.clear();
    this.#database.close();
  }

  #prepare(sql: string): Prepared {
    const kept = this.#prepared.get(sql);
    if (kept !== undefined) return kept;
    const statement = this.#database.prepare(sql);
    const prepared = {
      statement,
      isReader: givesRows(statement, sql),
      definesSchema: DEFINES_SCHEMA.test(sql),
    };
    return remember(this.#prepared, sql, prepared);
  }
}

function remember<Value>(
  kept: Map<string, Value>,
  sql: string,
  value: Value,
): Value {
  if (kept.size >= MAX_STATEMENTS) {
    const oldest = kept.keys().next();
    if (!oldest.done) kept.delete(oldest.value);
  }
  kept.set(sql, value);
  return value;
}

/** `columns()` came with Node 22.16; before that the text must tell. */
function givesRows(statement: StatementSync, sql: string): boolean {
  const { columns } = statement as { columns?: () => unknown[] };
  return columns === undefined
    ? READS.test(sql)
    : columns.call(statement).length > 0;
}

function bindable(value: unknown): SqlValue {
  switch (typeof value) {
    case "string":
    case "number":
    case "bigint":
      return value;
    case "boolean":
      return value ? 1 : 0;
    case "object":
      if (value === null || value instanceof Uint8Array) {
        return value as SqlValue;
      }
  }
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot bind a ${describeType(value)} to an SQLite parameter: ` +
      "give a string, number, bigint, boolean, null or Uint8Array",
  );
}

function describeType(value: unknown): string {
  if (typeof value !== "object" || value === null) return typeof value;
  return value.constructor?.name ?? "object";
}

/**
 * The statements of one SQLite connection, kept prepared.
 *
 * @module
 */

import type { DatabaseSync, StatementSync } from "node:sqlite";
import { HeadwaterError } from "../runtime/errors.ts";
import type { SqlParameter, SqlValue } from "./engine.ts";
import { describeSqliteError } from "./sqlite_errors.ts";
import {
  givesRows,
  remember,
  returnArrays,
  toArray,
} from "./sqlite_statement.ts";
import type { Rename } from "./table_names.ts";

/** A user's statement, and what it is. */
export interface Prepared {
  readonly statement: StatementSync;
  readonly isReader: boolean;
  readonly definesSchema: boolean;
  readonly hasStar: boolean;
  readonly endsTransaction: boolean;
}

/** What {@linkcode PreparedStatements} works with. */
export interface PreparedStatementsOptions {
  readonly database: DatabaseSync;
  /** The file, for messages. */
  readonly path: string;
  /** Gives the library's tables the names that they have there. */
  readonly rename: Rename;
}

/** Has SQLite read the schema. */
export const READ_SCHEMA = "SELECT name FROM sqlite_schema LIMIT 1";

const ENDS_TRANSACTION =
  /^\s*(?:begin|commit|end|rollback(?!\s+(?:transaction\s+)?to\b))\b/i;
const DEFINES_SCHEMA = /^\s*(?:create|drop|alter|reindex)\b/i;

/** Prepares each text once: the library's own, and users'. */
export class PreparedStatements {
  readonly #options: PreparedStatementsOptions;
  readonly #users: Map<string, Prepared> = new Map();
  readonly #own: Map<string, StatementSync> = new Map();
  readonly #arrays: Map<string, StatementSync> = new Map();
  #schemaVersion: SqlValue | undefined;
  #isOpen = true;

  /** Constructs one without statements. */
  constructor(options: PreparedStatementsOptions) {
    this.#options = options;
  }

  /** Whether the connection has not been closed. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Runs the library's own statement; gives how many rows it changed. */
  run(sql: string, parameters: readonly SqlParameter[]): number | bigint {
    let statement = this.#own.get(sql);
    if (statement === undefined) {
      statement = this.#prepare(this.#options.rename(sql));
      remember(this.#own, sql, statement);
    }
    return statement.run(...parameters as SqlValue[]).changes;
  }

  /** Runs the library's own query; rows come as arrays, the cheapest form. */
  rows(sql: string, parameters: readonly SqlParameter[]): SqlValue[][] {
    try {
      let statement = this.#arrays.get(sql);
      if (statement === undefined) {
        statement = this.#prepare(this.#options.rename(sql));
        returnArrays(statement);
        remember(this.#arrays, sql, statement);
      }
      const rows: unknown[] = statement.all(...parameters as SqlValue[]);
      return Array.isArray(rows[0]) ? rows as SqlValue[][] : rows.map(toArray);
    } catch (error) {
      throw describeSqliteError(`read "${this.#options.path}"`, error);
    }
  }

  /** A user's statement. */
  get(sql: string): Prepared {
    let kept = this.#users.get(sql);
    const hasStar = kept?.hasStar ?? sql.includes("*");
    if (hasStar && this.#noticeSchema()) kept = undefined;
    if (kept !== undefined) return kept;
    const statement = this.#prepare(sql);
    const prepared = {
      statement,
      isReader: givesRows(statement, sql),
      definesSchema: DEFINES_SCHEMA.test(sql),
      hasStar,
      endsTransaction: ENDS_TRANSACTION.test(sql),
    };
    return remember(this.#users, sql, prepared);
  }

  /** A user's statement that is not kept, for one use. */
  once(sql: string): StatementSync {
    if (sql.includes("*")) this.#noticeSchema();
    return this.#prepare(sql);
  }

  /** @throws {HeadwaterError} `CLOSED` once the connection is. */
  requireOpen(): void {
    if (this.#isOpen) return;
    throw new HeadwaterError(
      "CLOSED",
      "Cannot use this database: the store is closed; open another",
    );
  }

  /** Forgets them all, and prepares none any more. */
  close(): void {
    this.#isOpen = false;
    this.#users.clear();
    this.#own.clear();
    this.#arrays.clear();
  }

  #prepare(sql: string): StatementSync {
    this.requireOpen();
    return this.#options.database.prepare(sql);
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
    this.#users.clear();
    // Preparing alone goes by the tables as they were read last.
    this.#options.database.exec(READ_SCHEMA);
    return true;
  }
}

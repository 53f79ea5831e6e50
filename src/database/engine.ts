/**
 * What every SQL engine promises to the rooms above it.
 *
 * @module
 */

import type { Transaction } from "kysely";
import type { ReadonlyKysely } from "kysely/readonly";

/** A value that SQL takes and gives. */
export type SqlValue = string | number | bigint | Uint8Array | null;

/** A parameter of the library's own statements: lists where PostgreSQL alone runs them. */
export type SqlParameter = SqlValue | readonly SqlValue[];

/** A result that is there at once where the engine has no wire to wait for. */
export type Awaitable<Value> = Value | Promise<Value>;

/** How much of what others do a transaction may see. */
export type Isolation = "read committed" | "repeatable read" | "serializable";

/** Which SQL an engine speaks, where the two differ. */
export type SqlDialect = "sqlite" | "postgres";

/**
 * One connection, for the library's own statements. Each is prepared once and
 * bypasses the query builder. Their parameters are `?`, and their tables'
 * names begin with `headwater_`, whatever a database calls them.
 */
export interface Session {
  /** Which SQL it speaks. */
  readonly dialect: SqlDialect;
  /** Runs a statement; gives the number of rows it changed. */
  run(sql: string, parameters: readonly SqlParameter[]): Awaitable<number>;
  /** Runs a query; gives its rows as arrays, in the columns' order. */
  rows(
    sql: string,
    parameters: readonly SqlParameter[],
  ): Awaitable<SqlValue[][]>;
}

/** A session in a transaction that it can end. */
export interface CommitSession extends Session {
  /** Has something called, in the same turn, if the transaction is rolled back; at once if it is. */
  onRollback(callback: () => void): void;
  /**
   * Runs a last query and commits, in one round trip where there is one to be
   * made. Nothing may be run after it but another last query, in a transaction
   * of its own.
   */
  commit(
    sql: string,
    parameters: readonly SqlParameter[],
  ): Promise<SqlValue[][]>;
  /** PostgreSQL: whether nothing was run in it so far, of `read committed`. */
  readonly isUntouched?: boolean;
  /** PostgreSQL: ends what users may run in it. */
  seal?(): void;
  /**
   * PostgreSQL: leaves the connection to others, and what is to be recorded to
   * another transaction. Only while untouched; nothing may be run after it.
   */
  leave?(): void;
}

/** A session that answers at once, as SQLite's do. */
export interface SyncCommitSession extends CommitSession {
  run(sql: string, parameters: readonly SqlParameter[]): number;
  rows(sql: string, parameters: readonly SqlParameter[]): SqlValue[][];
}

/** The write connection, in a transaction. */
export interface WriteSession<Database> extends CommitSession {
  /** The same transaction through Kysely; unusable once it has ended. */
  readonly db: Transaction<Database>;
  /** Whether {@linkcode db} has changed anything so far. */
  hasWritten(): Awaitable<boolean>;
}

/** What surrounds a transaction. */
export interface TransactionOptions<Value> {
  /**
   * Called once the transaction is durable: in the order of commits where they
   * have one (SQLite).
   */
  readonly committed?: ((value: Value) => void) | undefined;
  /**
   * What it may see of others. SQLite's are always serializable.
   *
   * @default {"read committed"}
   */
  readonly isolation?: Isolation | undefined;
  /**
   * SQLite: whether it may be committed together with others, and so be rolled
   * back, to be run again alone, if theirs or the common commit fails.
   *
   * @default {false}
   */
  readonly mayShare?: boolean | undefined;
  /**
   * SQLite: whether it is run, and told of as done, though an earlier commit
   * could not be pressed on the disk. Others are refused then.
   *
   * @default {false}
   */
  readonly mayBeLost?: boolean | undefined;
}

/** A database that can be read. */
export interface ReadEngine<Database> {
  /** Which SQL it speaks. */
  readonly dialect: SqlDialect;
  /** A Kysely whose connections cannot write, and never wait for a writer. */
  readonly db: ReadonlyKysely<Database>;
  /** A read-only session for the library's own queries. */
  readonly session: Session;
  /**
   * Opens the database anew if its files are others by now, as after a restore.
   *
   * @returns Whether they were.
   */
  reopenIfReplaced(): boolean;
  /** Closes every connection. May be called again. */
  close(): Promise<void>;
}

/** A database that can be written. */
export interface Engine<Database> extends ReadEngine<Database> {
  /**
   * How many of its connections were lost so far, or led to a file that another
   * has taken the place of: what was committed may be gone.
   */
  readonly disconnections: number;
  /**
   * Runs `work` in a transaction, after those that came before it where one
   * runs at a time; commits if it resolves, rolls back if it rejects.
   *
   * @param name Who it is, for the errors of those that wait.
   * @param work What to do in the transaction.
   * @param options What surrounds it.
   * @returns What `work` resolved to, once it is durable.
   * @throws Whatever `work` rejected with, or the {@linkcode HeadwaterError} of a failed commit.
   */
  transaction<Value>(
    name: string,
    work: (session: WriteSession<Database>) => Promise<Value>,
    options?: TransactionOptions<Value>,
  ): Promise<Value>;
}

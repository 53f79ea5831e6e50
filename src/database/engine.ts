/**
 * What every SQL engine promises to the rooms above it.
 *
 * @module
 */

import type { Transaction } from "kysely";
import type { ReadonlyKysely } from "kysely/readonly";

/** A value that SQL takes and gives. */
export type SqlValue = string | number | bigint | Uint8Array | null;

/** A result that is there at once where the engine has no wire to wait for. */
export type Awaitable<Value> = Value | Promise<Value>;

/**
 * One connection, for the library's own statements. Each is prepared once and
 * bypasses the query builder.
 */
export interface Session {
  /** Runs a statement; gives the number of rows it changed. */
  run(sql: string, parameters: readonly SqlValue[]): Awaitable<number>;
  /** Runs a query; gives its rows as arrays, in the columns' order. */
  rows(
    sql: string,
    parameters: readonly SqlValue[],
  ): Awaitable<SqlValue[][]>;
}

/** The write connection, in a transaction. */
export interface WriteSession<Database> extends Session {
  /** The same transaction through Kysely; unusable once it has ended. */
  readonly db: Transaction<Database>;
  /** Whether {@linkcode db} has changed anything so far. */
  readonly hasWritten: boolean;
}

/** What surrounds a transaction. */
export interface TransactionHooks<Value> {
  /**
   * Called in the commit's own turn, before another transaction begins: what
   * it does comes in commit order.
   */
  readonly committed?: (value: Value) => void;
}

/** A database that can be read. */
export interface ReadEngine<Database> {
  /** A Kysely whose connections cannot write, and never wait for a writer. */
  readonly db: ReadonlyKysely<Database>;
  /** A read-only session for the library's own queries. */
  readonly session: Session;
  /** Closes every connection. May be called again. */
  close(): Promise<void>;
}

/** A database that can be written by one transaction at a time. */
export interface Engine<Database> extends ReadEngine<Database> {
  /**
   * Runs `work` in a transaction, after those that came before it; commits if
   * it resolves, rolls back if it rejects.
   *
   * @param name Who it is, for the errors of those that wait.
   * @param work What to do in the transaction.
   * @param hooks What to call around it.
   * @returns What `work` resolved to.
   * @throws Whatever `work` rejected with, or the {@linkcode HeadwaterError} of a failed commit.
   */
  transaction<Value>(
    name: string,
    work: (session: WriteSession<Database>) => Promise<Value>,
    hooks?: TransactionHooks<Value>,
  ): Promise<Value>;
}

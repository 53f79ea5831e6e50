/**
 * One connection of PostgreSQL's.
 *
 * @module
 */

import type { ReservedSql } from "postgres";
import type { QueryResult } from "kysely";
import { HeadwaterError } from "../runtime/errors.ts";
import type { Session, SqlParameter, SqlValue } from "./engine.ts";
import {
  CommitUnknownError,
  endsConnection,
  isAnswer,
  isLastAnswer,
  LostConnectionError,
  postgresCodeOf,
} from "./postgres_errors.ts";
import type { PostgresClient } from "./postgres_client.ts";
import {
  isCounted,
  mayHaveWritten,
  requireInTransaction,
} from "./postgres_statements.ts";
import type { Rename } from "./table_names.ts";

/** A result of postgres.js: an array of rows, and what the server said of it. */
interface Result extends Array<unknown> {
  readonly command: string;
  readonly count: number | null;
}

/** What postgres.js calls with the connection that a query went to. */
interface Socket {
  onclose: ((error: unknown) => void) | null;
}

/** What postgres.js notes of a query that it has sent. */
interface Sent {
  readonly state?: { readonly pid?: number };
}

/** What a statement by itself runs as, where nobody says otherwise. */
const FIRST_QUERY = "SELECT current_setting('default_transaction_isolation') " +
  "= 'read committed' AS is_read_committed";
const PREPARED = { prepare: true, simple: false } as const;
const BROUGHT_ROWS = 100;
/** SQLSTATE of a statement after one that failed. */
const IN_FAILED = "25P02";
/** The server's own trouble: what any statement may end with, BEGIN among them. */
const ANY_STATEMENT = /^(?:0[0-8]|5[3-8]|72|F0|XX)/;

/**
 * A connection that nobody else uses.
 *
 * Statements that don't wait for each other's results leave together, in one
 * packet: BEGIN with the first one, the last one with COMMIT.
 *
 * Once the connection is lost, whatever is under way fails, and so does all
 * that comes after: postgres.js would connect again for it, outside of the
 * transaction.
 */
export class PostgresConnection implements Session {
  readonly #client: PostgresClient;
  readonly #rename: Rename;
  #sql!: ReservedSql;
  /** Of what is under way; a few at most, and the first is answered first. */
  readonly #pending: ((error: unknown) => void)[] = [];
  #lost: unknown;
  #backend: number | undefined;
  #hasWritten = false;
  #isReadCommitted = false;
  /** The mode of a transaction that begins with its first statement. */
  #beginning: string | undefined;
  /** The mode of the transaction that began with the last commit. */
  #begun: string | undefined;
  readonly dialect = "postgres";

  #onLost: () => void = () => {};

  private constructor(client: PostgresClient, rename: Rename) {
    this.#client = client;
    this.#rename = rename;
  }

  /** Makes the connection of a client that has none. */
  static async open(
    client: PostgresClient,
    rename: Rename,
  ): Promise<PostgresConnection> {
    const connection = new PostgresConnection(client, rename);
    const watching = {
      // Called as it is sent. The socket alone tells of its end while idle.
      onexecute: (socket: Socket) => {
        socket.onclose = (error) => void connection.#lose(error);
        return true;
      },
    };
    try {
      // To reserve a connection that isn't there yet takes for ever in 3.4.9.
      const query = client.unsafe(FIRST_QUERY, [], watching as object);
      const [first] = await query;
      connection.#isReadCommitted = first?.["is_read_committed"] === true;
      connection.#backend = (query as unknown as Sent).state?.pid;
      if (connection.#lost !== undefined) throw connection.#lost;
      connection.#sql = await client.reserve();
      return connection;
    } catch (error) {
      await client.end({ timeout: 0 });
      throw error;
    }
  }

  /** Has something called when the connection is lost. */
  onLost(callback: () => void): void {
    this.#onLost = callback;
  }

  /** Closes the connection; what is under way fails. */
  async close(): Promise<void> {
    this.#rejectPending(this.#lost ??= closedError());
    await this.#client.end({ timeout: 0 });
  }

  /** Whether a statement said that it changed something. */
  get hasWritten(): boolean {
    return this.#hasWritten;
  }

  /** Whether the connection is gone. */
  get isLost(): boolean {
    return this.#lost !== undefined;
  }

  /** Whether a transaction waits here that began with the last commit. */
  get hasBegun(): boolean {
    return this.#begun !== undefined && !this.isLost;
  }

  /** Whether the transaction has sent nothing yet, not even its beginning. */
  get isUntouched(): boolean {
    return this.#beginning !== undefined;
  }

  /** Whether one statement, of `read committed`, may be its transaction. */
  get mayCommitAlone(): boolean {
    return this.isUntouched && this.#isReadCommitted && !this.hasBegun;
  }

  /** Begins a transaction, with the next statement. A failure shows there. */
  begin(mode: string): void {
    this.#hasWritten = false;
    this.#beginning = mode;
  }

  /** Forgets a transaction that has sent nothing. */
  forget(): void {
    this.#beginning = undefined;
  }

  #begin(): void {
    const mode = this.#beginning;
    if (mode === undefined || this.#lost !== undefined) return;
    this.#beginning = undefined;
    if (this.#begun === mode) {
      this.#begun = undefined;
      return;
    }
    this.giveUpNext();
    const begun = this.#sql.unsafe(`BEGIN ${mode}`);
    begun.then(undefined, (error) => this.#lose(error));
  }

  /** Takes back a transaction that was begun with the last commit, for nobody. */
  giveUpNext(): void {
    if (this.#begun === undefined) return;
    this.#begun = undefined;
    this.#send(this.#sql.unsafe("ROLLBACK")).catch((error) => {
      this.#lose(error);
    });
  }

  /**
   * Commits, together with a last statement if there is one. Whatever fails
   * without an answer of the server's may be committed: a reset connection is
   * an error some turns before it is closed.
   *
   * @param sql The last statement; one of the library's.
   * @param parameters What it is given.
   * @param next The mode of a transaction that is to begin with the commit; only
   *   with a last statement, which tells whether there is anything to commit.
   * @returns The rows of the last statement.
   * @throws What the server refused; an error `COMMIT_UNKNOWN` if the
   *   connection was lost before the server's answer came.
   */
  async commit(
    sql?: string,
    parameters: readonly SqlParameter[] = [],
    next?: string,
  ): Promise<SqlValue[][]> {
    // Lost before: the server has never heard of a commit.
    if (this.#lost !== undefined) throw this.#lost;
    if (sql === undefined && this.isUntouched) return [];
    this.#begin();
    const last = sql === undefined
      ? []
      : this.#send(this.#own(sql, parameters).values());
    const committed = this.#send(
      this.#sql.unsafe(next === undefined ? "COMMIT" : `COMMIT; BEGIN ${next}`),
    );
    // Whichever fails first tells why; the other is not to go unhandled.
    committed.then(() => this.#begun = next, () => {});
    let isLastDone = sql === undefined;
    let rows: SqlValue[][];
    let result: Result;
    try {
      rows = await last as unknown as SqlValue[][];
      isLastDone = true;
      result = await committed;
    } catch (error) {
      // Whoever gave up at the last statement has not come to the COMMIT. A
      // cancellation that came during COMMIT ends what follows it.
      const mayBeNext = next !== undefined && isLastDone &&
        ANY_STATEMENT.test(postgresCodeOf(error));
      const isRefused = isLastAnswer(error)
        ? !isLastDone
        : isAnswer(error) && !this.isLost && !mayBeNext;
      if (!isRefused) {
        this.#lose(error);
        throw new CommitUnknownError(this.#backend, error);
      }
      throw postgresCodeOf(error) === IN_FAILED ? rolledBackError() : error;
    }
    if (result.command === "ROLLBACK") throw rolledBackError();
    return rows;
  }

  /**
   * Runs a transaction of a single statement: BEGIN and COMMIT take a sixth
   * longer. Only if {@linkcode mayCommitAlone}.
   *
   * @throws As {@linkcode commit}.
   */
  async commitAlone(
    sql: string,
    parameters: readonly SqlParameter[],
  ): Promise<SqlValue[][]> {
    if (this.#lost !== undefined) throw this.#lost;
    this.forget();
    try {
      const query = this.#own(sql, parameters);
      return await this.#send(query.values()) as unknown as SqlValue[][];
    } catch (error) {
      // It is committed before it is answered: one that gave up may have been.
      if (isAnswer(error) && !isLastAnswer(error) && !this.isLost) throw error;
      this.#lose(error);
      throw new CommitUnknownError(this.#backend, error);
    }
  }

  /** Takes back what was begun. */
  async rollBack(): Promise<void> {
    if (this.isLost || this.isUntouched) return this.forget();
    try {
      await this.#send(this.#sql.unsafe("ROLLBACK"));
      this.#begun = undefined;
    } catch {
      // The connection is gone, and the transaction with it.
    }
  }

  async run(sql: string, parameters: readonly SqlParameter[]): Promise<number> {
    this.#begin();
    const result = await this.#send(this.#own(sql, parameters));
    return result.count ?? 0;
  }

  async rows(
    sql: string,
    parameters: readonly SqlParameter[],
  ): Promise<SqlValue[][]> {
    this.#begin();
    const query = this.#own(sql, parameters);
    return await this.#send(query.values()) as unknown as SqlValue[][];
  }

  /**
   * Runs a query behind the user's statements.
   *
   * @throws {HeadwaterError} `TRANSACTION_ENDED` if one of them failed.
   */
  async rowsOfLast(sql: string): Promise<SqlValue[][]> {
    try {
      return await this.rows(sql, []);
    } catch (error) {
      throw postgresCodeOf(error) === IN_FAILED ? rolledBackError() : error;
    }
  }

  /** Runs a user's statement. */
  async execute<Row>(
    sql: string,
    parameters: readonly unknown[],
  ): Promise<QueryResult<Row>> {
    requireInTransaction(sql);
    this.#begin();
    const result = await this.#send(
      this.#sql.unsafe(sql, parameters as never[], PREPARED),
    );
    return this.#toResult<Row>(result);
  }

  /** Runs a user's query, some rows at a time. */
  async *stream<Row>(
    sql: string,
    parameters: readonly unknown[],
    chunkSize: number = BROUGHT_ROWS,
  ): AsyncGenerator<QueryResult<Row>> {
    if (this.#lost !== undefined) throw this.#lost;
    this.#begin();
    const query = this.#sql.unsafe(sql, parameters as never[], PREPARED);
    try {
      for await (const rows of query.cursor(chunkSize)) {
        yield { rows: rows as unknown as Row[] };
      }
    } catch (error) {
      throw endsConnection(error) ? this.#lose(error) : error;
    }
    // It may end as if there were no more (3.4.9).
    if (this.#lost !== undefined) throw this.#lost;
  }

  #toResult<Row>(result: Result): QueryResult<Row> {
    const { command, count } = result;
    const rows = Array.from(result) as Row[];
    if (mayHaveWritten(command, count)) this.#hasWritten = true;
    // It may be what others after it would begin with.
    if (command === "SET") this.#isReadCommitted = false;
    return isCounted(command)
      ? { rows, numAffectedRows: BigInt(count ?? 0) }
      : { rows };
  }

  #own(sql: string, parameters: readonly SqlParameter[]) {
    const text = this.#rename(sql);
    return this.#sql.unsafe(text, parameters as never[], PREPARED);
  }

  #send(query: PromiseLike<unknown>): Promise<Result> {
    if (this.#lost !== undefined) return Promise.reject(this.#lost);
    return new Promise((resolve, reject) => {
      this.#pending.push(reject);
      query.then((result) => {
        this.#settled(reject);
        resolve(result as Result);
      }, (error) => {
        this.#settled(reject);
        // Before anybody sends more: postgres.js closes it some turns later.
        reject(endsConnection(error) ? this.#lose(error) : error);
      });
    });
  }

  #settled(reject: (error: unknown) => void): void {
    const at = this.#pending.indexOf(reject);
    if (at === 0) this.#pending.shift();
    else if (at > 0) this.#pending.splice(at, 1);
  }

  #rejectPending(error: unknown): void {
    for (const reject of this.#pending.splice(0)) reject(error);
  }

  /** Gives what all that comes after is refused with. */
  #lose(cause: unknown): unknown {
    if (this.#lost !== undefined) return this.#lost;
    const isOwn = isAnswer(cause) || cause instanceof HeadwaterError;
    const error = this.#lost = isOwn ? cause : new LostConnectionError(cause);
    this.#rejectPending(error);
    // It would connect again, for nobody.
    this.#client.end({ timeout: 0 }).catch(() => {});
    this.#onLost();
    return error;
  }
}

function closedError(): HeadwaterError {
  return new HeadwaterError(
    "CLOSED",
    "Cannot use this connection: its store is closed; open another",
  );
}

function rolledBackError(): HeadwaterError {
  return new HeadwaterError(
    "TRANSACTION_ENDED",
    "Cannot commit: a statement failed, and PostgreSQL has given the " +
      "transaction up; let the error through, or use a savepoint",
  );
}

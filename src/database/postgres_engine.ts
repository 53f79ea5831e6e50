/**
 * PostgreSQL as a database with several write connections.
 *
 * @module
 */

import type { ReadonlyKysely } from "kysely/readonly";
import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import { hideSecrets } from "../runtime/secrets.ts";
import {
  MAX_QUEUED_TRANSACTIONS,
  MAX_WRITE_CONNECTIONS,
  QUEUE_TIMEOUT_MS,
} from "../runtime/limits.ts";
import type {
  Engine,
  Session,
  SqlParameter,
  SqlValue,
  TransactionOptions,
  WriteSession,
} from "./engine.ts";
import { postgresRenamer } from "./postgres_client.ts";
import { PostgresClients } from "./postgres_clients.ts";
import type { PostgresConnection } from "./postgres_connection.ts";
import { kyselyConnection, postgresDialect } from "./postgres_dialect.ts";
import { describeIfRaised, describePostgresError } from "./postgres_errors.ts";
import { PostgresReads, type PostgresReadsOptions } from "./postgres_reads.ts";
import { renamer } from "./table_names.ts";
import {
  inertDriver,
  type KyselyTransaction,
  WriteKysely,
} from "./write_kysely.ts";

/** What {@linkcode PostgresEngine} takes. */
export interface PostgresEngineOptions extends PostgresReadsOptions {
  /** What the server's administrator sees, and by what a stuck holder is found. */
  readonly applicationName: string;
  readonly clock: Clock;
  readonly maxQueuedTransactions?: number | undefined;
  readonly queueTimeoutMs?: number | undefined;
}

const READ_COMMITTED = "read committed";

/** Whether a transaction that gave no sign of it has changed anything. */
const HAS_WRITTEN = "SELECT pg_current_xact_id_if_assigned() IS NOT NULL";

/** Connections for writing, and read-only ones beside them. */
export class PostgresEngine<Database> implements Engine<Database> {
  readonly dialect = "postgres";
  readonly #where: string;
  readonly #clients: PostgresClients;
  readonly #reads: PostgresReads<Database>;
  readonly #writes: WriteKysely<Database>;
  #disconnections = 0;
  #closing: Promise<void> | undefined;

  /** Makes no connection before the first query. */
  constructor(options: PostgresEngineOptions) {
    const { clock, maxWriteConnections = MAX_WRITE_CONNECTIONS } = options;
    this.#where = hideSecrets(options.url);
    this.#clients = new PostgresClients({
      ...options,
      subject: "a write connection",
      maxConnections: maxWriteConnections,
      maxQueued: options.maxQueuedTransactions ?? MAX_QUEUED_TRANSACTIONS,
      queueTimeoutMs: options.queueTimeoutMs ?? QUEUE_TIMEOUT_MS,
      readOnly: false,
      rename: postgresRenamer(renamer(options)),
      clock,
      disconnected: () => this.#disconnections += 1,
    });
    this.#reads = new PostgresReads(options);
    this.#writes = new WriteKysely(postgresDialect(inertDriver));
  }

  get disconnections(): number {
    return this.#disconnections;
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
    if (this.#closing !== undefined) throw this.#closedError(name);
    const connection = this.#clients.takeIdle(name) ?? await this.#take(name);
    const session = this.#begin(name, options, connection);
    try {
      return await this.#run(work, options, session);
    } catch (error) {
      throw describeIfRaised(this.#action(name), error);
    } finally {
      session.leave();
    }
  }

  reopenIfReplaced(): boolean {
    return this.#reads.reopenIfReplaced();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #take(name: string): Promise<PostgresConnection> {
    try {
      return await this.#clients.take(name);
    } catch (error) {
      throw describePostgresError(this.#action(name), error);
    }
  }

  #action(name: string): string {
    return `run "${name}" on "${this.#where}"`;
  }

  #begin(
    name: string,
    { isolation = READ_COMMITTED }: TransactionOptions<never>,
    connection: PostgresConnection,
  ): PostgresWriteSession<Database> {
    const mode = `ISOLATION LEVEL ${isolation}`;
    connection.begin(mode);
    return new PostgresWriteSession({
      connection,
      view: this.#writes.begin(name, kyselyConnection(connection)),
      mode,
      isReadCommitted: isolation === READ_COMMITTED,
      // Most are alike. Whoever wants another mode begins anew.
      isNextPromised: () => this.#clients.promise(connection),
      give: () => this.#clients.give(connection),
    });
  }

  async #run<Value>(
    work: (session: WriteSession<Database>) => Promise<Value>,
    { committed }: TransactionOptions<Value>,
    session: PostgresWriteSession<Database>,
  ): Promise<Value> {
    try {
      const value = await work(session);
      await session.end();
      committed?.(value);
      return value;
    } catch (error) {
      await session.rollBack();
      throw error;
    }
  }

  async #close(): Promise<void> {
    // After the transactions that came first; those behind are refused.
    await this.#clients.close();
    await this.#reads.close();
  }

  #closedError(name: string): HeadwaterError {
    return new HeadwaterError(
      "CLOSED",
      `Cannot run "${name}": database "${this.#where}" is closed; open it again`,
    );
  }
}

interface PostgresSessionOptions<Database> {
  readonly connection: PostgresConnection;
  readonly view: KyselyTransaction<Database>;
  readonly mode: string;
  readonly isReadCommitted: boolean;
  /** Whether somebody waits for the connection, who is given it with its next transaction. */
  readonly isNextPromised: () => boolean;
  /** Gives the connection back. */
  readonly give: () => void;
}

class PostgresWriteSession<Database> implements WriteSession<Database> {
  readonly dialect = "postgres";
  readonly #options: PostgresSessionOptions<Database>;
  readonly #connection: PostgresConnection;
  readonly #onRollback: (() => void)[] = [];
  #isCommitted = false;
  #isRolledBack = false;
  #hasLeft = false;

  constructor(options: PostgresSessionOptions<Database>) {
    this.#options = options;
    this.#connection = options.connection;
  }

  get db(): WriteSession<Database>["db"] {
    return this.#options.view.db;
  }

  onRollback(callback: () => void): void {
    if (this.#isRolledBack) callback();
    else this.#onRollback.push(callback);
  }

  async hasWritten(): Promise<boolean> {
    if (this.#connection.isUntouched) return false;
    if (this.#connection.hasWritten) return true;
    // A function or a WITH that writes looks like any other SELECT.
    const [row] = await this.#connection.rowsOfLast(HAS_WRITTEN);
    return row?.[0] as unknown === true;
  }

  run(sql: string, parameters: readonly SqlParameter[]): Promise<number> {
    return this.#connection.run(sql, parameters);
  }

  rows(
    sql: string,
    parameters: readonly SqlParameter[],
  ): Promise<SqlValue[][]> {
    return this.#connection.rows(sql, parameters);
  }

  async commit(
    sql?: string,
    parameters: readonly SqlParameter[] = [],
  ): Promise<SqlValue[][]> {
    const { mode, isNextPromised } = this.#options;
    if (this.#isCommitted) this.#connection.begin(mode);
    this.#isCommitted = false;
    const rows = sql !== undefined && this.isUntouched &&
        this.#connection.mayCommitAlone
      ? await this.#connection.commitAlone(sql, parameters)
      : await this.#connection.commit(
        sql,
        parameters,
        sql !== undefined && isNextPromised() ? mode : undefined,
      );
    this.#isCommitted = true;
    return rows;
  }

  get isUntouched(): boolean {
    return this.#options.isReadCommitted && this.#connection.isUntouched;
  }

  seal(): void {
    this.#options.view.end();
  }

  leave(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    if (!this.#isCommitted) this.#connection.forget();
    this.#options.give();
  }

  /** Commits what has not left and is not committed. */
  async end(): Promise<void> {
    this.#options.view.end();
    if (!this.#isCommitted && !this.#hasLeft) await this.commit();
  }

  async rollBack(): Promise<void> {
    this.#options.view.end();
    this.#isRolledBack = true;
    for (const callback of this.#onRollback.splice(0)) callback();
    if (!this.#isCommitted && !this.#hasLeft) await this.#connection.rollBack();
  }
}

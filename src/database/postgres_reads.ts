/**
 * Read-only access to a PostgreSQL database.
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
import { assert, HeadwaterError } from "../runtime/errors.ts";
import { hideSecrets } from "../runtime/secrets.ts";
import { systemClock } from "../runtime/clock.ts";
import { pause } from "../runtime/waiting.ts";
import {
  MAX_QUEUED_TRANSACTIONS,
  MAX_READ_CONNECTIONS,
  QUEUE_TIMEOUT_MS,
} from "../runtime/limits.ts";
import type { ReadEngine, Session } from "./engine.ts";
import { PostgresClients } from "./postgres_clients.ts";
import type { PostgresConnection } from "./postgres_connection.ts";
import { postgresDialect } from "./postgres_dialect.ts";
import { describePostgresError, isDisconnection } from "./postgres_errors.ts";
import { type PostgresOptions, postgresRenamer } from "./postgres_client.ts";
import { renamer, type TableNameOptions } from "./table_names.ts";

/** Options of {@linkcode PostgresReads}. */
export interface PostgresReadsOptions
  extends PostgresOptions, TableNameOptions {
  readonly url: string;
  readonly maxReadConnections?: number | undefined;
}

/** How long, in ms, a read that lost its connection is tried again. */
const TRIED_MS = 1_000;
/** The first pause between two tries; each next is twice as long. */
const FIRST_PAUSE_MS = 10;

/**
 * The reads of a store, on read-only connections. Every statement sees what was
 * committed before it began. Transactions and streamed queries, which may run
 * others meanwhile, have connections apart.
 */
export class PostgresReads<Database> implements ReadEngine<Database> {
  readonly dialect = "postgres";
  readonly db: ReadonlyKysely<Database>;
  readonly session: Session;
  readonly #statements: PostgresClients;
  readonly #transactions: PostgresClients;
  #isClosed = false;

  /** Makes no connection before the first query. */
  constructor(options: PostgresReadsOptions) {
    const { url, maxReadConnections = MAX_READ_CONNECTIONS } = options;
    const shared = {
      ...options,
      subject: "a read connection",
      maxConnections: maxReadConnections,
      maxQueued: MAX_QUEUED_TRANSACTIONS,
      queueTimeoutMs: QUEUE_TIMEOUT_MS,
      readOnly: true,
      applicationName: "headwater reads",
      rename: postgresRenamer(renamer(options)),
      clock: systemClock,
      disconnected: () => {},
    };
    this.#statements = new PostgresClients(shared);
    this.#transactions = new PostgresClients(shared);
    const where = hideSecrets(url);
    const requireOpen = () => {
      if (this.#isClosed) throw closedError();
    };
    const read: RunRead = (use) => readAgain(this.#statements, where, use);
    this.session = readSession(read, requireOpen);
    const driver = readDriver(
      { read, transactions: this.#transactions, where },
      requireOpen,
    );
    const dialect = postgresDialect(() => driver);
    const kysely = new Kysely<Database>({ dialect });
    this.db = kysely as unknown as ReadonlyKysely<Database>;
  }

  /** A server is asked by name: it has no files that could be others. */
  reopenIfReplaced(): boolean {
    return false;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    // Whoever reads now has not waited for it.
    await Promise.all([this.#statements.cut(), this.#transactions.cut()]);
  }
}

/** Has one statement read on whichever connection is free. */
type RunRead = <Result>(
  use: (connection: PostgresConnection) => Promise<Result>,
) => Promise<Result>;

/**
 * Reads, and again where the connection was lost meanwhile: nothing was
 * changed, and a server that restarts ends all connections at once. It is
 * waited for a little.
 */
async function readAgain<Result>(
  clients: PostgresClients,
  where: string,
  use: (connection: PostgresConnection) => Promise<Result>,
): Promise<Result> {
  const endMs = systemClock.monotonicMs() + TRIED_MS;
  for (let pauseMs = FIRST_PAUSE_MS;; pauseMs *= 2) {
    try {
      const connection = clients.takeIdle("read") ?? await clients.take("read");
      try {
        return await use(connection);
      } finally {
        clients.give(connection);
      }
    } catch (error) {
      const described = describePostgresError(`read "${where}"`, error);
      const isLate = systemClock.monotonicMs() + pauseMs > endMs;
      if (isLate || !isDisconnection(described)) throw described;
    }
    await pause(systemClock, pauseMs);
  }
}

/** A session whose every statement goes to whichever connection is free. */
function readSession(read: RunRead, requireOpen: () => void): Session {
  return {
    dialect: "postgres",
    async run(sql, parameters) {
      requireOpen();
      return await read((connection) => connection.run(sql, parameters));
    },
    async rows(sql, parameters) {
      requireOpen();
      return await read((connection) => connection.rows(sql, parameters));
    },
  };
}

/** Where a store's reads go. */
interface ReadTarget {
  readonly read: RunRead;
  readonly transactions: PostgresClients;
  readonly where: string;
}

/** One holder's connection: any that is free, or its own while it needs one. */
class ReadConnection implements DatabaseConnection {
  readonly #target: ReadTarget;
  #own: PostgresConnection | undefined;

  constructor(target: ReadTarget) {
    this.#target = target;
  }

  async executeQuery<Row>(
    { sql, parameters }: CompiledQuery,
  ): Promise<QueryResult<Row>> {
    if (this.#own === undefined) {
      return await this.#target.read((connection) =>
        connection.execute<Row>(sql, parameters)
      );
    }
    try {
      return await this.#own.execute<Row>(sql, parameters);
    } catch (error) {
      throw this.#describe(error);
    }
  }

  async *streamQuery<Row>(
    { sql, parameters }: CompiledQuery,
    chunkSize: number,
  ): AsyncGenerator<QueryResult<Row>> {
    const own = this.#own;
    if (own === undefined) await this.begin("READ ONLY");
    try {
      yield* (this.#own as PostgresConnection)
        .stream<Row>(sql, parameters, chunkSize);
    } catch (error) {
      throw this.#describe(error);
    } finally {
      if (own === undefined) await this.end();
    }
  }

  async begin(mode: string): Promise<void> {
    try {
      this.#own = await this.#target.transactions.take("read transaction");
    } catch (error) {
      throw this.#describe(error);
    }
    this.#own.begin(mode);
  }

  async end(): Promise<void> {
    const connection = this.#own;
    assert(connection !== undefined, "a read transaction to end");
    this.#own = undefined;
    await connection.rollBack();
    this.#target.transactions.give(connection);
  }

  #describe(error: unknown): unknown {
    return describePostgresError(`read "${this.#target.where}"`, error);
  }
}

function readDriver(target: ReadTarget, requireOpen: () => void): Driver {
  return {
    init: () => Promise.resolve(),
    acquireConnection() {
      try {
        requireOpen();
      } catch (error) {
        return Promise.reject(error);
      }
      return Promise.resolve(new ReadConnection(target));
    },
    beginTransaction: (connection, { isolationLevel }) =>
      (connection as ReadConnection).begin(
        `${
          isolationLevel ? `ISOLATION LEVEL ${isolationLevel} ` : ""
        }READ ONLY`,
      ),
    commitTransaction: (connection) => (connection as ReadConnection).end(),
    rollbackTransaction: (connection) => (connection as ReadConnection).end(),
    releaseConnection: () => Promise.resolve(),
    destroy: () => Promise.resolve(),
  };
}

function closedError(): HeadwaterError {
  return new HeadwaterError(
    "CLOSED",
    "Cannot read: the store is closed; open another",
  );
}

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
import { PostgresJSDialect } from "kysely-postgres-js";
import { assert, HeadwaterError } from "../runtime/errors.ts";
import { hideSecrets } from "../runtime/secrets.ts";
import { systemClock } from "../runtime/clock.ts";
import {
  MAX_QUEUED_TRANSACTIONS,
  MAX_READ_CONNECTIONS,
  QUEUE_TIMEOUT_MS,
} from "../runtime/limits.ts";
import type { ReadEngine, Session, SqlParameter, SqlValue } from "./engine.ts";
import { PostgresClients } from "./postgres_clients.ts";
import {
  type PostgresConnection,
  postgresRenamer,
} from "./postgres_connection.ts";
import { describePostgresError, postgresCodeOf } from "./postgres_errors.ts";
import {
  openPool,
  type PostgresOptions,
  type PostgresPool,
} from "./postgres_pool.ts";
import { type Rename, renamer, type TableNameOptions } from "./table_names.ts";

/** Options of {@linkcode PostgresReads}. */
export interface PostgresReadsOptions
  extends PostgresOptions, TableNameOptions {
  readonly url: string;
  readonly maxReadConnections?: number | undefined;
}

const PREPARED = { prepare: true, simple: false } as const;
/** A connection whose end nobody saw yet, and one whose client forgot to. */
const LOST =
  /^(?:57P0[123]|CONNECTION_CLOSED|CONNECTION_ENDED|ECONNRESET|EPIPE)$/;

/**
 * The reads of a store: a pool whose sessions are read-only. Every statement
 * sees what was committed before it began; transactions and streamed queries
 * have a connection of their own.
 */
export class PostgresReads<Database> implements ReadEngine<Database> {
  readonly dialect = "postgres";
  readonly db: ReadonlyKysely<Database>;
  readonly session: Session;
  readonly #pool: PostgresPool;
  readonly #clients: PostgresClients;
  #isClosed = false;

  /** Opens the pool; no connection is made before the first query. */
  constructor(options: PostgresReadsOptions) {
    const { url, maxReadConnections = MAX_READ_CONNECTIONS } = options;
    const rename = postgresRenamer(renamer(options));
    const shared = {
      ...options,
      maxConnections: maxReadConnections,
      readOnly: true,
      applicationName: "headwater reads",
    };
    this.#pool = openPool(shared);
    this.#clients = new PostgresClients({
      ...shared,
      subject: "a read connection",
      maxQueued: MAX_QUEUED_TRANSACTIONS,
      queueTimeoutMs: QUEUE_TIMEOUT_MS,
      rename,
      clock: systemClock,
      disconnected: () => {},
    });
    const where = hideSecrets(url);
    const requireOpen = () => {
      if (this.#isClosed) throw closedError();
    };
    const query: RunQuery = (sql, parameters) =>
      again(
        () => this.#pool.unsafe(sql, parameters as never[], PREPARED),
        maxReadConnections,
      );
    this.session = poolSession(this.#pool, rename, where, requireOpen);
    const driver = readDriver(
      { query, clients: this.#clients, where },
      requireOpen,
    );
    const dialect = new PostgresJSDialect({ postgres: this.#pool });
    const kysely = new Kysely<Database>({
      dialect: {
        createDriver: () => driver,
        createAdapter: () => dialect.createAdapter(),
        createQueryCompiler: () => dialect.createQueryCompiler(),
        createIntrospector: (db) => dialect.createIntrospector(db),
      },
    });
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
    await this.#clients.cut();
    await this.#pool.end({ timeout: 0 });
  }
}

type RunQuery = (
  sql: string,
  parameters: readonly unknown[],
) => Promise<unknown[]>;

/**
 * Runs a read again where its connection was lost. postgres.js (3.4.9) fails the
 * first query on each connection that it makes anew with the error that ended
 * the old one.
 */
async function again<Result>(
  read: () => PromiseLike<Result>,
  connections: number,
): Promise<Result> {
  for (let left = connections;; left -= 1) {
    try {
      return await read();
    } catch (error) {
      if (left === 0 || !LOST.test(postgresCodeOf(error))) throw error;
    }
  }
}

/** A session whose every statement goes to whichever connection is free. */
function poolSession(
  pool: PostgresPool,
  rename: Rename,
  where: string,
  requireOpen: () => void,
): Session {
  const send = async (sql: string, parameters: readonly SqlParameter[]) => {
    requireOpen();
    const text = rename(sql);
    try {
      return await again(
        () => pool.unsafe(text, parameters as never[], PREPARED).values(),
        pool.options.max,
      );
    } catch (error) {
      throw describePostgresError(`read "${where}"`, error);
    }
  };
  return {
    dialect: "postgres",
    run: async (sql, parameters) => (await send(sql, parameters)).count ?? 0,
    rows: async (sql, parameters) =>
      await send(sql, parameters) as unknown as SqlValue[][],
  };
}

/** Where a store's reads go. */
interface ReadTarget {
  readonly query: RunQuery;
  readonly clients: PostgresClients;
  readonly where: string;
}

/** One holder's connection: any of the pool, or its own while it needs one. */
class ReadConnection implements DatabaseConnection {
  readonly #target: ReadTarget;
  #own: PostgresConnection | undefined;

  constructor(target: ReadTarget) {
    this.#target = target;
  }

  async executeQuery<Row>(
    { sql, parameters }: CompiledQuery,
  ): Promise<QueryResult<Row>> {
    try {
      if (this.#own !== undefined) {
        return await this.#own.execute<Row>(sql, parameters);
      }
      const rows = await this.#target.query(sql, parameters);
      return { rows: Array.from(rows) as Row[] };
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
      this.#own = await this.#target.clients.take("read transaction");
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
    this.#target.clients.give(connection);
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

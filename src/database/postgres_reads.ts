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
import { MAX_READ_CONNECTIONS } from "../runtime/limits.ts";
import type { ReadEngine, Session, SqlParameter, SqlValue } from "./engine.ts";
import { PostgresConnection, postgresRenamer } from "./postgres_connection.ts";
import { describePostgresError } from "./postgres_errors.ts";
import {
  hideSecrets,
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
const CLOSE_TIMEOUT_S = 5;

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
  #isClosed = false;

  /** Opens the pool; no connection is made before the first query. */
  constructor(options: PostgresReadsOptions) {
    const { url, maxReadConnections = MAX_READ_CONNECTIONS } = options;
    const rename = postgresRenamer(renamer(options));
    this.#pool = openPool({
      ...options,
      maxConnections: maxReadConnections,
      readOnly: true,
      applicationName: "headwater reads",
    });
    const where = hideSecrets(url);
    const requireOpen = () => {
      if (this.#isClosed) throw closedError();
    };
    this.session = poolSession(this.#pool, rename, where, requireOpen);
    const driver = readDriver(this.#pool, rename, where, requireOpen);
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

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#pool.end({ timeout: CLOSE_TIMEOUT_S });
  }
}

/** A session whose every statement goes to whichever connection is free. */
export function poolSession(
  pool: PostgresPool,
  rename: Rename,
  where: string,
  requireOpen: () => void,
): Session {
  const send = async (sql: string, parameters: readonly SqlParameter[]) => {
    requireOpen();
    try {
      const query = pool.unsafe(rename(sql), parameters as never[], PREPARED);
      return await query.values();
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

/** One holder's connection: any of the pool, or its own while it needs one. */
class ReadConnection implements DatabaseConnection {
  readonly #pool: PostgresPool;
  readonly #rename: Rename;
  readonly #where: string;
  #own: PostgresConnection | undefined;

  constructor(pool: PostgresPool, rename: Rename, where: string) {
    this.#pool = pool;
    this.#rename = rename;
    this.#where = where;
  }

  async executeQuery<Row>(
    { sql, parameters }: CompiledQuery,
  ): Promise<QueryResult<Row>> {
    try {
      if (this.#own !== undefined) {
        return await this.#own.execute<Row>(sql, parameters);
      }
      const rows = await this.#pool.unsafe(
        sql,
        parameters as never[],
        PREPARED,
      );
      return { rows: Array.from(rows) as Row[] };
    } catch (error) {
      throw describePostgresError(`read "${this.#where}"`, error);
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
      throw describePostgresError(`read "${this.#where}"`, error);
    } finally {
      if (own === undefined) await this.end();
    }
  }

  async begin(mode: string): Promise<void> {
    try {
      this.#own = await PostgresConnection.reserve(this.#pool, this.#rename);
    } catch (error) {
      throw describePostgresError(`read "${this.#where}"`, error);
    }
    this.#own.begin(mode);
  }

  async end(): Promise<void> {
    const connection = this.#own;
    assert(connection !== undefined, "a read transaction to end");
    this.#own = undefined;
    await connection.rollBack();
    connection.release();
  }
}

function readDriver(
  pool: PostgresPool,
  rename: Rename,
  where: string,
  requireOpen: () => void,
): Driver {
  return {
    init: () => Promise.resolve(),
    acquireConnection() {
      try {
        requireOpen();
      } catch (error) {
        return Promise.reject(error);
      }
      return Promise.resolve(new ReadConnection(pool, rename, where));
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

/**
 * PostgreSQL as Kysely writes it, on connections of ours.
 *
 * @module
 */

import type {
  CompiledQuery,
  DatabaseConnection,
  Dialect,
  Driver,
} from "kysely";
import { PostgresJSDialect } from "kysely-postgres-js";
import type { PostgresConnection } from "./postgres_connection.ts";

/** It is asked for how to write SQL, never for a connection. */
const INERT = new PostgresJSDialect({ postgres: (() => {}) as never });

/** Makes Kysely's dialect of a driver. */
export function postgresDialect(createDriver: () => Driver): Dialect {
  return {
    createDriver,
    createAdapter: () => INERT.createAdapter(),
    createQueryCompiler: () => INERT.createQueryCompiler(),
    createIntrospector: (db) => INERT.createIntrospector(db),
  };
}

/** Kysely's view of a connection. */
export function kyselyConnection(
  connection: PostgresConnection,
): DatabaseConnection {
  return {
    executeQuery: <Row>({ sql, parameters }: CompiledQuery) =>
      connection.execute<Row>(sql, parameters),
    streamQuery: <Row>({ sql, parameters }: CompiledQuery, chunkSize: number) =>
      connection.stream<Row>(sql, parameters, chunkSize),
  };
}

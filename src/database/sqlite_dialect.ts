/**
 * Kysely's SQLite dialect over node:sqlite.
 *
 * @module
 */

import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from "kysely";
import type { SqliteConnection } from "./sqlite_connection.ts";

/**
 * A dialect whose connections come from the given driver.
 *
 * @param driver Where connections come from.
 * @returns What `new Kysely({ dialect })` takes.
 */
export function sqliteDialect(driver: Driver): Dialect {
  return {
    createDriver: () => driver,
    createAdapter: () => new PooledSqliteAdapter(),
    createQueryCompiler: () => new SqliteQueryCompiler(),
    createIntrospector: (db) => new SqliteIntrospector(db),
  };
}

/**
 * Kysely takes it that SQLite has one connection, and would let every plain
 * read wait until an open transaction or streamed query has ended.
 */
class PooledSqliteAdapter extends SqliteAdapter {
  override get supportsMultipleConnections(): boolean {
    return true;
  }
}

/**
 * Runs a compiled query on a connection.
 *
 * @param connection Where to run it.
 * @param query What Kysely compiled.
 * @returns Its rows and counts, in Kysely's form.
 */
export function executeCompiled<Row>(
  connection: SqliteConnection,
  query: CompiledQuery,
): QueryResult<Row> {
  const outcome = connection.execute(query.sql, query.parameters);
  const result = { rows: outcome.rows as Row[] };
  if (query.query.kind === "SelectQueryNode") return result;
  return {
    ...result,
    numAffectedRows: outcome.changes,
    ...(outcome.insertId === undefined ? {} : { insertId: outcome.insertId }),
  };
}

/** Streams a compiled query's rows, one a step, as `streamQuery` wants them. */
export async function* streamCompiled<Row>(
  connection: SqliteConnection,
  query: CompiledQuery,
): AsyncGenerator<QueryResult<Row>> {
  for (const row of connection.iterate(query.sql, query.parameters)) {
    yield await Promise.resolve({ rows: [row as Row] });
  }
}

/** Kysely's view of the write connection, for as long as a transaction lasts. */
export function writeConnection(
  connection: SqliteConnection,
): DatabaseConnection {
  return {
    executeQuery: <Row>(query: CompiledQuery) =>
      new Promise<QueryResult<Row>>((resolve) =>
        resolve(executeCompiled<Row>(connection, query))
      ),
    streamQuery: <Row>(query: CompiledQuery) =>
      streamCompiled<Row>(connection, query),
  };
}

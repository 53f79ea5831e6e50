/**
 * PostgreSQL as Kysely writes it, on connections of ours.
 *
 * @module
 */

import type { Dialect, Driver } from "kysely";
import { PostgresJSDialect } from "kysely-postgres-js";

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

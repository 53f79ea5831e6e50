/**
 * Kysely with nothing else: the baseline of transactions.
 *
 * @module
 */

import type { StatementSync } from "node:sqlite";
import { Kysely, SqliteDialect } from "kysely";
import { PostgresJSDialect } from "kysely-postgres-js";
import postgres from "postgres";
import { openBareSqlite } from "./bare_sqlite.ts";
import type { Database } from "./store.ts";

/** Opens a file as a careful user would: WAL, statements prepared once. */
export function openBareKysely(
  path: string,
  synchronous: "full" | "normal",
): Kysely<Database> {
  const database = openBareSqlite(path, synchronous);
  const prepared = new Map<string, BareStatement>();
  return new Kysely<Database>({
    dialect: new SqliteDialect({
      database: {
        close: () => database.close(),
        prepare(sql) {
          const kept = prepared.get(sql);
          if (kept !== undefined) return kept;
          const statement = new BareStatement(database.prepare(sql), sql);
          prepared.set(sql, statement);
          return statement;
        },
      },
    }),
  });
}

/** Opens a pool of connections. */
export function openBarePostgres(
  url: string,
  connections: number,
): Kysely<Database> {
  const pool = postgres(url, { max: connections, onnotice: () => {} });
  return new Kysely<Database>({
    dialect: new PostgresJSDialect({ postgres: pool }),
  });
}

type Parameters = ReadonlyArray<unknown>;

class BareStatement {
  readonly reader: boolean;
  readonly #statement: StatementSync;

  constructor(statement: StatementSync, sql: string) {
    this.#statement = statement;
    this.reader = /^\s*select/i.test(sql);
  }

  all(parameters: Parameters): unknown[] {
    return this.#statement.all(...parameters as number[]);
  }

  run(parameters: Parameters): {
    changes: number | bigint;
    lastInsertRowid: number | bigint;
  } {
    return this.#statement.run(...parameters as number[]);
  }

  iterate(parameters: Parameters): IterableIterator<unknown> {
    return this.#statement.iterate(...parameters as number[]);
  }
}

/**
 * How connections to PostgreSQL are made.
 *
 * @module
 */

import postgres from "postgres";
import { arrayTypes, toInteger } from "./postgres_arrays.ts";
import type { Rename } from "./table_names.ts";
import { HeadwaterError, quote } from "../runtime/errors.ts";
import { hideSecrets } from "../runtime/secrets.ts";

/** Options of a PostgreSQL database. */
export interface PostgresOptions {
  /**
   * PostgreSQL: transactions that run at a time, each on a connection of its own.
   *
   * @default {10}
   */
  readonly maxWriteConnections?: number | undefined;
  /**
   * PostgreSQL: how long one statement may take, in ms; 0 for as long as it likes.
   *
   * @default {0}
   */
  readonly statementTimeoutMs?: number | undefined;
  /**
   * PostgreSQL: how long making a connection may take, in ms.
   *
   * @default {10000}
   */
  readonly databaseConnectTimeoutMs?: number | undefined;
}

/** What postgres.js gives. */
export type PostgresClient = postgres.Sql;

/** How a connection is made. */
export interface ClientOptions extends PostgresOptions {
  readonly url: string;
  readonly readOnly: boolean;
  /** What the server's administrator sees in `pg_stat_activity`. */
  readonly applicationName: string;
  /** Called with what NOTIFY brings. */
  readonly notified?: ((payload: string) => void) | undefined;
  /** Called when its connection has ended. */
  readonly closed?: (() => void) | undefined;
}

const INT8 = 20;
const CONNECT_TIMEOUT_MS = 10_000;

/**
 * Opens a client of one connection, which is for its holder to end: as soon as
 * the connection is lost, as postgres.js (3.4.9) can't be relied upon to make
 * it anew. None is made before the first query.
 *
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for a URL that can't be read.
 */
export function openClient(options: ClientOptions): PostgresClient {
  const { url, readOnly, applicationName, notified, closed } = options;
  const { statementTimeoutMs = 0 } = options;
  const { databaseConnectTimeoutMs = CONNECT_TIMEOUT_MS } = options;
  try {
    // It would win over ours, by which a holder's connections are found.
    const own = url.replace(/([?&])application_name=[^&]*&?/gi, "$1");
    return postgres(own, {
      max: 1,
      max_lifetime: null,
      // As its own listen() does, which (3.4.9) says nothing if it fails later on.
      ...(notified === undefined ? {} : {
        onnotify: (_channel: string, payload: string) => notified(payload),
      }),
      ...(closed === undefined ? {} : { onclose: () => closed() }),
      connect_timeout: databaseConnectTimeoutMs / 1000,
      // A server that comes back is tried soon; its own pauses are too long.
      backoff: (attempt) => Math.min(0.05 * 2 ** attempt, 1),
      onnotice: () => {},
      fetch_types: false,
      types: { bigint: INTEGERS, ...arrayTypes() },
      connection: {
        application_name: applicationName,
        statement_timeout: statementTimeoutMs,
        ...(readOnly ? { default_transaction_read_only: true } : {}),
      },
    }) as unknown as PostgresClient;
  } catch (error) {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot open database ${quote(hideSecrets(url))}: it is no URL of the ` +
        "form postgres://USER:PASSWORD@HOST:PORT/DATABASE",
      { cause: error },
    );
  }
}

/** As SQLite gives them: numbers, but for those that a number can't hold. */
const INTEGERS = {
  to: INT8,
  from: [INT8],
  serialize: String,
  parse: toInteger,
};

/** Writes `$1`, `$2`, … where the library's statements have `?`. */
export function numberParameters(sql: string): string {
  let count = 0;
  return sql.replace(/\?/g, () => `$${count += 1}`);
}

/** Makes {@linkcode Rename} write PostgreSQL's parameters too, each text once. */
export function postgresRenamer(rename: Rename): Rename {
  const known = new Map<string, string>();
  return (sql) => {
    let text = known.get(sql);
    if (text === undefined) {
      text = numberParameters(rename(sql));
      // The library's own statements only: there are some dozens.
      known.set(sql, text);
    }
    return text;
  };
}

/**
 * From a connection string to a database.
 *
 * @module
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError, quote } from "../runtime/errors.ts";
import type { OptionNames } from "../runtime/option_names.ts";
import { hideSecrets } from "../runtime/secrets.ts";
import type { Engine, ReadEngine } from "./engine.ts";
import { PostgresEngine } from "./postgres_engine.ts";
import type { PostgresOptions } from "./postgres_client.ts";
import { PostgresReads } from "./postgres_reads.ts";
import { SqliteEngine, type SqliteOptions } from "./sqlite_engine.ts";
import { SqliteReads } from "./sqlite_reads.ts";
import {
  renamer,
  TABLE_NAME_OPTIONS,
  type TableNameOptions,
} from "./table_names.ts";

const SQLITE = "sqlite:";
const POSTGRES = /^postgres(?:ql)?:\/\//;
const MEMORY = ":memory:";

/** Options of whichever database the URL names; the other's are ignored. */
export interface DatabaseOptions
  extends SqliteOptions, PostgresOptions, TableNameOptions {}

/** Where a URL leads to. */
type Target =
  | { readonly dialect: "sqlite"; readonly path: string }
  | { readonly dialect: "postgres"; readonly url: string };

/**
 * Opens a database for a writer store.
 *
 * @param url `sqlite:FILE`, `sqlite::memory:` or `postgres://…`.
 * @param clock The clock that measures waits.
 * @param options How to open it.
 * @param holder Tells this process's connections from others', on the server.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for another scheme; else as the engine.
 */
export function openDatabase<Database>(
  url: string,
  clock: Clock,
  options: DatabaseOptions,
  holder = "headwater",
): Engine<Database> {
  const target = parseUrl(url, options);
  if (target.dialect === "postgres") {
    return new PostgresEngine<Database>({
      ...options,
      url: target.url,
      applicationName: holder,
      clock,
    });
  }
  const { path } = target;
  if (path === MEMORY) return openPrivate(clock, options);
  return new SqliteEngine<Database>({ ...options, path, clock });
}

/** The names of {@linkcode DatabaseOptions}. */
export const DATABASE_OPTIONS: OptionNames<DatabaseOptions> = {
  ...TABLE_NAME_OPTIONS,
  synchronous: true,
  busyTimeoutMs: true,
  maxReadConnections: true,
  maxQueuedTransactions: true,
  queueTimeoutMs: true,
  maxWriteConnections: true,
  statementTimeoutMs: true,
  databaseConnectTimeoutMs: true,
};

/**
 * Opens a database for a slaved store.
 *
 * @param url `sqlite:FILE` or `postgres://…`.
 * @param options How to open it.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for another scheme, or for a
 *   database in another process's memory; else as the engine.
 */
export function openForReading<Database>(
  url: string,
  options: DatabaseOptions,
): ReadEngine<Database> {
  const target = parseUrl(url, options);
  if (target.dialect === "postgres") {
    return new PostgresReads<Database>({ ...options, url: target.url });
  }
  const { path } = target;
  if (path === MEMORY) {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      'Cannot open "sqlite::memory:" in a slaved store: no other process can ' +
        "reach it; give both sides the same sqlite:FILE",
    );
  }
  return new SqliteReads<Database>({
    ...options,
    path,
    rename: renamer(options),
  });
}

function parseUrl(url: unknown, { schema }: TableNameOptions): Target {
  if (typeof url === "string") {
    if (POSTGRES.test(url)) return { dialect: "postgres", url };
    const path = url.startsWith(SQLITE) ? url.slice(SQLITE.length) : "";
    if (path !== "" && schema !== undefined) {
      throw new HeadwaterError(
        "INVALID_ARGUMENT",
        `Cannot open database ${quote(url)} with schema "${schema}": SQLite ` +
          "has no schemas; give tablePrefix",
      );
    }
    const isMisspelt = path.startsWith(":") && path !== MEMORY;
    if (path !== "" && !isMisspelt) return { dialect: "sqlite", path };
  }
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot open database ${
      quote(hideSecrets(String(url)))
    }: the schemes are ` +
      "sqlite:FILE, sqlite::memory: and postgres://USER@HOST/DATABASE",
  );
}

/**
 * SQLite's own in-memory databases either can't be shared by connections or
 * lock reads out while a transaction is open. A private file that is not
 * pressed on the disk and goes with the store behaves like any other one.
 */
function openPrivate<Database>(
  clock: Clock,
  options: DatabaseOptions,
): Engine<Database> {
  const folder = mkdtempSync(join(tmpdir(), "headwater-"));
  const path = join(folder, "memory.db");
  return new SqliteEngine<Database>({
    ...options,
    synchronous: "normal",
    path,
    clock,
    closed: () => rmSync(folder, { recursive: true, force: true }),
  });
}

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
import type { Engine, ReadEngine } from "./engine.ts";
import { SqliteEngine, type SqliteOptions } from "./sqlite_engine.ts";
import { SqliteReads } from "./sqlite_reads.ts";

const SCHEME = "sqlite:";
const MEMORY = ":memory:";

/**
 * Opens a database for a writer store.
 *
 * @param url `sqlite:FILE` or `sqlite::memory:`.
 * @param clock The clock that measures waits.
 * @param options How to open it.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for another scheme; else as the engine.
 */
export function openDatabase<Database>(
  url: string,
  clock: Clock,
  options: SqliteOptions,
): Engine<Database> {
  const path = parsePath(url);
  if (path === MEMORY) return openPrivate(clock, options);
  return new SqliteEngine<Database>({ ...options, path, clock });
}

/**
 * Opens a database for a slaved store.
 *
 * @param url `sqlite:FILE`.
 * @param options How to open it.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for another scheme, or for a
 *   database in another process's memory; else as the engine.
 */
export function openForReading<Database>(
  url: string,
  options: SqliteOptions,
): ReadEngine<Database> {
  const path = parsePath(url);
  if (path === MEMORY) {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      'Cannot open "sqlite::memory:" in a slaved store: no other process can ' +
        "reach it; give both sides the same sqlite:FILE",
    );
  }
  return new SqliteReads<Database>({ ...options, path });
}

function parsePath(url: string): string {
  const path = typeof url === "string" && url.startsWith(SCHEME)
    ? url.slice(SCHEME.length)
    : "";
  if (path === "") {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot open database ${quote(String(url))}: the schemes are ` +
        "sqlite:FILE and sqlite::memory:",
    );
  }
  return path;
}

/**
 * SQLite's own in-memory databases either can't be shared by connections or
 * lock reads out while a transaction is open. A private file that is not
 * pressed on the disk and goes with the store behaves like any other one.
 */
function openPrivate<Database>(
  clock: Clock,
  options: SqliteOptions,
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

/**
 * SQLite as a careful user has it, some time after the start.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";

/** Pages of its log file at which SQLite copies them into the database, and begins anew. */
const CHECKPOINT_PAGES = 10_000;

/**
 * Makes a file whose log file has come to its length: the fsync of one that is
 * still growing takes twice as long, as the file system's journal has its part
 * in it.
 */
export function openBareSqlite(
  path: string,
  synchronous: "full" | "normal",
): DatabaseSync {
  const database = new DatabaseSync(path);
  database.exec(
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = off; " +
      `PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}; ` +
      "CREATE TABLE filler (n INTEGER)",
  );
  const fill = database.prepare("INSERT INTO filler VALUES (1)");
  for (let page = 0; page < CHECKPOINT_PAGES; page += 1) fill.run();
  database.exec(
    "DROP TABLE filler; PRAGMA wal_checkpoint(RESTART); " +
      `PRAGMA synchronous = ${synchronous}`,
  );
  return database;
}

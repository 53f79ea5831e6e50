/**
 * SQLite's failures in the user's words.
 *
 * @module
 */

import {
  type ErrorCode,
  HeadwaterError,
  messageOf,
} from "../runtime/errors.ts";

// By message, since Deno's node:sqlite does not give SQLite's result code.
const KINDS: readonly (readonly [RegExp, ErrorCode, string])[] = [
  [
    /file is not a database|malformed|file is encrypted/,
    "DATABASE_INVALID",
    "give the path of an SQLite database, or restore it from a backup",
  ],
  [
    /readonly database|read-only/,
    "DATABASE_READ_ONLY",
    "make the file and its folder writable for this process; a store's own db only reads",
  ],
  [
    /unable to open database|no such file|not a directory|permission denied/i,
    "DATABASE_UNAVAILABLE",
    "check that the folder exists and that this process may write in it",
  ],
  [
    /database or disk is full/,
    "DATABASE_FULL",
    "free some space; nothing of this transaction was kept",
  ],
  [
    /disk I\/O error/,
    "DATABASE_UNAVAILABLE",
    "check that the path is a file's, and the disk whole and not full",
  ],
  [
    /database is locked|database table is locked/,
    "DATABASE_BUSY",
    "another process holds the lock; try again, or raise busyTimeoutMs",
  ],
];

/**
 * A failure of SQLite's as an error that says what could not be done.
 *
 * @param action What was being done: `open database "app.db"`.
 * @param error What SQLite threw.
 * @returns An error with a code and a remedy, or the same one where it is not
 *   of a known kind: a constraint or a mistake in SQL is the user's own.
 */
export function describeSqliteError(action: string, error: unknown): unknown {
  if ((error as { code?: string })?.code !== "ERR_SQLITE_ERROR") return error;
  const message = messageOf(error);
  for (const [pattern, code, remedy] of KINDS) {
    if (pattern.test(message)) {
      return new HeadwaterError(
        code,
        `Cannot ${action}: ${message}; ${remedy}`,
        { cause: error },
      );
    }
  }
  return error;
}

/** Whether another process held the lock. */
export function isBusy(error: unknown): boolean {
  return /database (?:table )?is locked/.test(messageOf(error));
}

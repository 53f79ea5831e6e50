/**
 * Texts of the database to the byte, whatever stands in them.
 *
 * @module
 */

import type { SqlDialect, SqlValue } from "../database/engine.ts";

const decoder = new TextDecoder();

/**
 * A text column, to be selected so that its value can be given back as a key.
 * SQLite's as bytes: what is no UTF-8 would come back as another text, Deno
 * cuts one at a NUL, and reading on from such a key would never end.
 */
export function exactly(dialect: SqlDialect, column: string): string {
  return dialect === "sqlite" ? `CAST(${column} AS BLOB)` : column;
}

/** The text of such a column. */
export function textOf(value: SqlValue | undefined): string {
  return value instanceof Uint8Array ? decoder.decode(value) : String(value);
}

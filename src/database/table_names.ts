/**
 * What the library's tables are called in a user's database.
 *
 * @module
 */

import { HeadwaterError, quote } from "../runtime/errors.ts";
import type { OptionNames } from "../runtime/option_names.ts";

/** Where the library's tables stand, so that they are in nobody's way. */
export interface TableNameOptions {
  /**
   * What the names of the library's tables begin with.
   *
   * @default {"headwater_"}
   */
  readonly tablePrefix?: string | undefined;
  /**
   * PostgreSQL: the schema of the library's tables; made if it isn't there.
   *
   * @default {the connection's own, usually "public"}
   */
  readonly schema?: string | undefined;
}

/** The names of {@linkcode TableNameOptions}. */
export const TABLE_NAME_OPTIONS: OptionNames<TableNameOptions> = {
  tablePrefix: true,
  schema: true,
};

/** The library's statements are written with this prefix. */
const PREFIX = "headwater_";
const TABLE = /\bheadwater_(\w+)/g;
/** Indexes stand in their table's schema and can't be named with one. */
const INDEX = /\bix_headwater_(\w+)/g;
const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,30}$/;

/** Gives a statement of the library the names that a database has. */
export type Rename = (sql: string) => string;

/**
 * Makes a {@linkcode Rename}.
 *
 * @param options What the user wants the tables to be called.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for what is no plain identifier.
 */
export function renamer(options: TableNameOptions): Rename {
  const { tablePrefix = PREFIX, schema } = options;
  requireIdentifier(tablePrefix, "tablePrefix");
  if (schema !== undefined) requireIdentifier(schema, "schema");
  if (tablePrefix === PREFIX && schema === undefined) return (sql) => sql;
  const qualifier = schema === undefined ? "" : `"${schema}".`;
  return (sql) =>
    sql.replace(INDEX, `ix_${tablePrefix}$1`)
      .replace(TABLE, `${qualifier}${tablePrefix}$1`);
}

function requireIdentifier(name: unknown, option: string): void {
  if (typeof name === "string" && NAME.test(name)) return;
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot open a database: ${option} is ${quote(String(name))}; give a ` +
      'letter or "_", then up to 30 letters, digits and "_"',
  );
}

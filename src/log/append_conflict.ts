/**
 * Telling an append that came too late from a mistake of the user's.
 *
 * @module
 */

import { postgresCodeOf } from "../database/postgres_errors.ts";
import type { TableNameOptions } from "../database/table_names.ts";
import { messageOf } from "../runtime/errors.ts";

const UNIQUE_VIOLATION = "23505";
const SQLITE_VIOLATION = /UNIQUE constraint failed: (\w+)\.aggregate\b/;

/**
 * Makes a test of errors: whether another transaction appended to the same
 * aggregate, or stored the same event id, after this one had looked. It would
 * see so now.
 *
 * @param names What the library's tables are called: others may end in the same.
 */
export function appendConflicts(
  { tablePrefix = "headwater_", schema }: TableNameOptions,
): (error: unknown) => boolean {
  // Neither engine minds the case of names that aren't quoted.
  const appends = `${tablePrefix}appends`.toLowerCase();
  const eventIds = `${tablePrefix}event_ids`.toLowerCase();
  return (error) => {
    if (postgresCodeOf(error) === UNIQUE_VIOLATION) {
      const { table_name, schema_name } = Object(error) as Partial<
        Record<string, unknown>
      >;
      return (table_name === appends || table_name === eventIds) &&
        (schema === undefined || schema_name === schema);
    }
    const [, table] = SQLITE_VIOLATION.exec(messageOf(error)) ?? [];
    return table?.toLowerCase() === appends;
  };
}

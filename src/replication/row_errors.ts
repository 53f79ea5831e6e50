/**
 * Rows that are none.
 *
 * @module
 */

import { HeadwaterError, quote } from "../runtime/errors.ts";

/**
 * What a row says.
 *
 * @throws {HeadwaterError} `LINE_INVALID` if it isn't JSON.
 */
export function parseRow(row: string): unknown {
  try {
    return JSON.parse(row);
  } catch {
    throw invalidRow(row);
  }
}

/** The error of a row that is none of its stream's. */
export function invalidRow(row: string): HeadwaterError {
  return new HeadwaterError(
    "LINE_INVALID",
    `failed to parse row (${quote(row)})`,
  );
}

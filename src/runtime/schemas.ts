/**
 * Asking a schema, which must answer at once.
 *
 * @module
 */

import { HeadwaterError, messageOf } from "./errors.ts";

/** A schema, as far as it is asked: zod's. */
interface Schema<Checked> {
  safeParse(value: unknown): Checked;
}

/** What zod says of a schema that wants to be awaited. */
const ASYNCHRONOUS = /\bparseAsync\b/;

/**
 * Asks a schema about a value.
 *
 * @param action Says what it is asked for: `write row of stream "orders"`.
 * @param schema The schema.
 * @param value The value.
 * @returns What the schema answers.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for a schema that would answer
 *   later: what it would wait for has no place in a transaction, or on the way
 *   of a line.
 */
export function askSchema<Checked>(
  action: () => string,
  schema: Schema<Checked>,
  value: unknown,
): Checked {
  try {
    return schema.safeParse(value);
  } catch (error) {
    if (!ASYNCHRONOUS.test(messageOf(error))) throw error;
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot ${action()}: its schema is asynchronous; give one whose ` +
        "refinements and transforms return no promise, and look up before what " +
        "they wait for",
      { cause: error },
    );
  }
}

/**
 * Rows against their stream's schema, on the way in and on the way out.
 *
 * @module
 */

import { HeadwaterError, quote } from "../runtime/errors.ts";
import { encodeJson, requireJson } from "../runtime/json.ts";
import { askSchema } from "../runtime/schemas.ts";
import type { Stream } from "./stream.ts";

/**
 * Checks a row and gives it as the log and the wire have it.
 *
 * @param stream The row's stream.
 * @param row The row.
 * @returns The row as the schema gives it back, as JSON on one line of ASCII.
 * @throws {HeadwaterError} `ROW_INVALID`, with the path of what is wrong;
 *   `INVALID_ARGUMENT` for a schema that is asynchronous.
 */
export function encodeRow<Row>(stream: Stream<Row>, row: Row): string {
  const action = () => `write row of stream "${stream.name}"`;
  const checked = askSchema(action, stream.schema, row);
  if (!checked.success) {
    const [issue] = checked.error.issues;
    const path = formatPath(issue?.path ?? []);
    throw new HeadwaterError(
      "ROW_INVALID",
      `Cannot ${action()}: ` +
        `${path === "" ? "the row" : path}: ${issue?.message}; ` +
        "give what the stream's schema describes",
      { cause: checked.error },
    );
  }
  requireJson(checked.data, `row of stream "${stream.name}"`);
  return encodeJson(checked.data);
}

/** A path as it is written in code: `.items[2].price`. */
export function formatPath(path: readonly PropertyKey[]): string {
  return path
    .map((step) => typeof step === "number" ? `[${step}]` : `.${String(step)}`)
    .join("");
}

/**
 * Reads a row of the wire as any JSON.
 *
 * @throws {HeadwaterError} `LINE_INVALID` if it is none.
 */
export function parseRow(row: string): unknown {
  try {
    return JSON.parse(row);
  } catch {
    throw new HeadwaterError(
      "LINE_INVALID",
      `failed to parse row (${quote(row)})`,
    );
  }
}

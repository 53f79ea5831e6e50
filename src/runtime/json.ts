/**
 * Values as JSON for the wire and the log: nothing lost, nothing but ASCII.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { HeadwaterError } from "./errors.ts";
import { MAX_JSON_DEPTH } from "./limits.ts";

/** What JSON can carry without loss. */
export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue };

// deno-lint-ignore no-control-regex -- the range is meant: everything but ASCII
const NON_ASCII = /[^\x00-\x7f]/g;

/**
 * JSON text as the wire wants it: compact, everything but ASCII escaped.
 *
 * @param value A value that {@linkcode requireJson} has passed.
 * @returns One line of ASCII.
 */
export function encodeJson(value: unknown): string {
  const text = JSON.stringify(value);
  // Nearly all are ASCII, which this tells in a tenth of the time.
  if (Buffer.byteLength(text) === text.length) return text;
  return text.replace(
    NON_ASCII,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/**
 * Refuses a value that JSON would drop, change or fail on.
 *
 * @param value The value to look through.
 * @param subject What it is, as it stands in the error: `row of stream "orders"`.
 * @throws {HeadwaterError} `ROW_INVALID` naming the path of what JSON can't carry.
 */
export function requireJson(value: unknown, subject: string): void {
  const problem = findProblem(value, "", 0);
  if (problem !== undefined) {
    throw new HeadwaterError(
      "ROW_INVALID",
      `Cannot write ${subject}: ${problem}; give plain JSON values`,
    );
  }
}

function findProblem(
  value: unknown,
  path: string,
  depth: number,
): string | undefined {
  const place = path === "" ? "the value" : path;
  if (depth > MAX_JSON_DEPTH) {
    return `${place} is nested deeper than ${MAX_JSON_DEPTH}, or in a circle`;
  }
  switch (typeof value) {
    case "string":
    case "boolean":
      return undefined;
    case "number":
      return Number.isFinite(value) ? undefined : `${place} is ${value}`;
    case "object":
      break;
    case "undefined":
      return `${place} is undefined`;
    default:
      return `${place} is a ${typeof value}`;
  }
  if (value === null) return undefined;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index += 1) {
      const problem = findProblem(value[index], `${path}[${index}]`, depth + 1);
      if (problem !== undefined) return problem;
    }
    return undefined;
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    return `${place} is a ${prototype.constructor?.name ?? "class instance"}`;
  }
  for (const [name, member] of Object.entries(value)) {
    // JSON has no undefined, but an absent member is what its writer means.
    if (member === undefined) continue;
    const problem = findProblem(member, `${path}.${name}`, depth + 1);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

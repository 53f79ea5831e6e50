/**
 * How many bytes a cached value takes, roughly.
 *
 * @module
 */

import { HeadwaterError, messageOf } from "../runtime/errors.ts";
import type { Logger } from "../runtime/logger.ts";
import type { CacheLimits } from "./cache_options.ts";
import type { KeyArgument } from "./key_parts.ts";

/** Values looked at; the rest is taken to be like those. */
const MAX_VISITS = 1_000;
const MAX_DEPTH = 8;

/**
 * What an entry takes besides its key and its value: its place in the table
 * (57 bytes, by a measurement at a million entries), and its promise (48).
 */
const ENTRY_BYTES = 105;

/**
 * Estimates the heap that a value takes, by V8's layout of 64 bits with
 * compressed pointers off: 8 bytes a field, one or two a character. Shared
 * parts are counted each time; of large values a sample is measured.
 *
 * @param value A value.
 * @returns Bytes, 0 for what is no object of its own.
 */
export function estimateBytes(value: unknown): number {
  const budget = { visits: MAX_VISITS };
  return estimate(value, budget, 0);
}

/**
 * What an entry of a plain cache takes of the memory that it shares.
 *
 * @param entryBytes What it takes besides its key and its value.
 * @returns Bytes; more than there can be if they can't be known.
 */
export function bytesOfPlain(
  entryBytes: number,
  key: unknown,
  value: unknown,
): number {
  try {
    return entryBytes + estimateBytes(key) + estimateBytes(value);
  } catch {
    // A getter of the value's throws: it is not kept.
    return Infinity;
  }
}

/** How an entry of a cache is measured. */
interface Measure {
  readonly sizeOf: CacheLimits["sizeOf"];
}

/**
 * What an entry takes; `undefined` if its own `sizeOf` can't tell, which is logged.
 *
 * @param cache The cache's name, and who hears of it.
 */
export function measure(
  { name, logger }: { readonly name: string; readonly logger: Logger },
  limits: Measure,
  parts: readonly KeyArgument[],
  value: unknown,
): number | undefined {
  try {
    return bytesOf(name, limits, parts, value);
  } catch (error) {
    const fields = { cache: name, error: messageOf(error) };
    logger("error", "entry not kept: no size", fields);
    return undefined;
  }
}

/** What an entry takes before anybody knows its value. */
export function bytesOfLoad(
  { sizeOf }: Measure,
  parts: readonly KeyArgument[],
): number {
  return sizeOf === undefined ? ENTRY_BYTES + estimateBytes(parts) : 1;
}

/**
 * What an entry takes.
 *
 * @throws {HeadwaterError} `INVALID_ARGUMENT` if `sizeOf` gives no size; and
 *   what it throws.
 */
function bytesOf(
  name: string,
  { sizeOf }: Measure,
  parts: readonly KeyArgument[],
  value: unknown,
): number {
  if (sizeOf === undefined) {
    return ENTRY_BYTES + estimateBytes(parts) + estimateBytes(value);
  }
  const bytes = sizeOf(value, parts);
  if (Number.isFinite(bytes) && bytes >= 0) {
    return Math.max(1, Math.ceil(bytes));
  }
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot keep an entry of cache "${name}": sizeOf gave ${bytes}; ` +
      "give the number of its bytes",
  );
}

function estimate(
  value: unknown,
  budget: { visits: number },
  depth: number,
): number {
  switch (typeof value) {
    case "string":
      return 24 + value.length * (isNarrow(value) ? 1 : 2);
    case "number":
      return Number.isInteger(value) ? 0 : 16;
    case "bigint":
      return 24;
    case "object":
      if (value === null) return 0;
      return budget.visits <= 0 || depth > MAX_DEPTH
        ? 64
        : measureObject(value, budget, depth + 1);
    case "function":
      return 64;
    default:
      return 0;
  }
}

function measureObject(
  value: object,
  budget: { visits: number },
  depth: number,
): number {
  if (ArrayBuffer.isView(value)) return 96 + value.byteLength;
  if (value instanceof ArrayBuffer) return 96 + value.byteLength;
  if (value instanceof Date) return 64;
  if (Array.isArray(value)) {
    return 32 + sample(value, value.length, budget, depth, 8);
  }
  if (value instanceof Map) {
    return 64 + sample(value.keys(), value.size, budget, depth, 24) +
      sample(value.values(), value.size, budget, depth, 0);
  }
  if (value instanceof Set) {
    return 64 + sample(value, value.size, budget, depth, 20);
  }
  const own = Object.values(value);
  return 24 + sample(own, own.length, budget, depth, 8);
}

/** The bytes of items, extrapolated from those that there was time for. */
function sample(
  items: Iterable<unknown>,
  count: number,
  budget: { visits: number },
  depth: number,
  bytesEach: number,
): number {
  let measured = 0;
  let bytes = 0;
  for (const item of items) {
    if (budget.visits <= 0) break;
    budget.visits -= 1;
    measured += 1;
    bytes += estimate(item, budget, depth);
  }
  const scale = measured === 0 ? 1 : count / measured;
  return Math.round(bytes * scale) + count * bytesEach;
}

/** V8 keeps a text in one byte a character if it can; a sample tells mostly. */
function isNarrow(text: string): boolean {
  const step = Math.max(1, Math.floor(text.length / 16));
  for (let index = 0; index < text.length; index += step) {
    if (text.charCodeAt(index) > 255) return false;
  }
  return true;
}

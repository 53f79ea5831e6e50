/**
 * What can be said of one cache.
 *
 * @module
 */

import { type ByteSize, toBytes } from "../runtime/bytes.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import type { KeyArgument } from "./key_parts.ts";

/** How much a cache may hold, and for how long. */
export interface CacheLimits {
  /**
   * How many entries the cache may hold; the least recently used goes first.
   * This, or {@linkcode maxBytes}, or both.
   */
  readonly maxEntries?: number | undefined;

  /**
   * How much memory its entries may take, as {@linkcode sizeOf} has it: bytes,
   * or a text such as `"64MiB"`.
   *
   * @default {as much as maxEntries take}
   */
  readonly maxBytes?: ByteSize | undefined;

  /**
   * The bytes of an entry. An entry that is larger than the whole cache is not kept.
   *
   * @default {an estimate of what V8 needs for the key and the value}
   */
  readonly sizeOf?:
    | ((value: unknown, key: readonly KeyArgument[]) => number)
    | undefined;

  /**
   * How long an entry may be served, in ms from the beginning of its load, on
   * the monotonic clock.
   *
   * @default {for ever}
   */
  readonly ttlMs?: number | undefined;

  /**
   * Whether `undefined` and `null` are kept, which say that there is nothing:
   * always, never, or for a shorter time than others.
   *
   * @default {true}
   */
  readonly negative?: boolean | { readonly ttlMs: number } | undefined;

  /**
   * Whether entries can be invalidated by the first of their arguments:
   * `txn.invalidatePrefix(rooms.getMember, [roomId])`.
   *
   * @default {false}
   */
  readonly tree?: boolean | undefined;
}

/** A cache has a bound: of entries, of bytes, or both. */
export type CacheBound =
  | { readonly maxEntries: number }
  | { readonly maxBytes: ByteSize };

/** {@linkcode CacheLimits}, checked. */
export interface CheckedLimits {
  readonly maxEntries: number | undefined;
  readonly maxBytes: number | undefined;
  readonly sizeOf: CacheLimits["sizeOf"];
  readonly ttlMs: number | undefined;
  /** `undefined`: as long as any other; 0: not at all. */
  readonly negativeTtlMs: number | undefined;
  readonly isTree: boolean;
}

/**
 * Checks what was said of a cache.
 *
 * @throws {HeadwaterError} `INVALID_ARGUMENT`.
 */
export function checkLimits(name: string, limits: CacheLimits): CheckedLimits {
  const { maxEntries, maxBytes, ttlMs, negative = true } = limits;
  const refuse = (what: string, remedy: string): never => {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot create cache "${name}": ${what}; ${remedy}`,
    );
  };
  if (
    maxEntries === undefined ? maxBytes === undefined : !isCount(maxEntries)
  ) {
    refuse(`maxEntries is ${maxEntries}`, "give a positive integer");
  }
  if (ttlMs !== undefined && !isTime(ttlMs)) {
    refuse(`ttlMs is ${ttlMs}`, "give a positive number of ms");
  }
  const negativeTtlMs = typeof negative === "object"
    ? negative.ttlMs
    : negative
    ? undefined
    : 0;
  if (typeof negative === "object" && !isTime(negative.ttlMs)) {
    refuse(
      `negative.ttlMs is ${negative.ttlMs}`,
      "give a positive number of ms, or negative: false",
    );
  }
  return {
    maxEntries,
    maxBytes: maxBytes === undefined
      ? undefined
      : toBytes(maxBytes, `maxBytes of cache "${name}"`),
    sizeOf: limits.sizeOf,
    ttlMs,
    negativeTtlMs,
    isTree: limits.tree ?? false,
  };
}

function isTime(value: unknown): boolean {
  return typeof value === "number" && value > 0;
}

/** Whether a bound is one. */
export function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}

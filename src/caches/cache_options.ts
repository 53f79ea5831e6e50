/**
 * What can be said of one cache.
 *
 * @module
 */

import { requireBounds } from "../runtime/bounds.ts";
import { type ByteSize, toBytes } from "../runtime/bytes.ts";
import { HeadwaterError, show } from "../runtime/errors.ts";
import { MAX_QUEUED_LOADS, REVALIDATE_JITTER_MS } from "../runtime/limits.ts";
import { type OptionNames, requireNames } from "../runtime/option_names.ts";
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
   * always, never, or for a shorter time than others. A longer one than
   * {@linkcode ttlMs} is as good as that.
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

  /**
   * How many loads of this cache may run at a time; more wait, in order. A load
   * must not call its own cache then: it could wait for itself.
   *
   * @default {no limit: what limits them is what they load from}
   */
  readonly maxConcurrentLoads?: number | undefined;

  /**
   * How many loads may wait, where they are limited. Beyond, a call is refused:
   * `OVERLOADED`.
   *
   * @default {10_000}
   */
  readonly maxQueuedLoads?: number | undefined;

  /**
   * How long, in ms, an entry may still be served after the whole cache was
   * cleared, by `invalidateAll` or because rows were missed, while it is loaded
   * anew in the background. Until it is, what is returned may be older than the
   * process's position; never after a `waitFor`, a transaction of this process,
   * or a call of a stream's handler, nor once the key is invalidated itself;
   * nor to a cached method that calls this one, as what it returns is kept.
   *
   * The background load may run when its caller's call is over: don't give the
   * method arguments that end with it, such as a transaction.
   *
   * @default {not at all}
   */
  readonly staleWhileRevalidateMs?: number | undefined;

  /**
   * By how much a background load is put off at most, at random, in ms, so that
   * processes that were cleared together don't load together.
   *
   * @default {half of staleWhileRevalidateMs, 1000 at most}
   */
  readonly revalidateJitterMs?: number | undefined;

  /**
   * Whether the bounds are meant as they are written: no `cacheFactor` changes
   * them.
   *
   * @default {false}
   */
  readonly fixedSize?: boolean | undefined;
}

/** The names of {@linkcode CacheLimits}. */
export const LIMIT_OPTIONS: OptionNames<CacheLimits> = {
  maxEntries: true,
  maxBytes: true,
  sizeOf: true,
  ttlMs: true,
  negative: true,
  tree: true,
  maxConcurrentLoads: true,
  maxQueuedLoads: true,
  staleWhileRevalidateMs: true,
  revalidateJitterMs: true,
  fixedSize: true,
};

/** What can be changed of a cache that is in use. */
export type ResizableLimits = Pick<CacheLimits, "maxEntries" | "maxBytes">;

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
  readonly maxConcurrentLoads: number | undefined;
  readonly maxQueuedLoads: number;
  /** 0: nothing old is served. */
  readonly staleMs: number;
  readonly jitterMs: number;
  readonly isFixed: boolean;
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
    refuse(
      `maxEntries is ${show(maxEntries)}`,
      maxEntries === undefined
        ? "give maxEntries, maxBytes or both"
        : "give a positive integer",
    );
  }
  if (ttlMs !== undefined && !isTime(ttlMs)) {
    refuse(`ttlMs is ${show(ttlMs)}`, "give a positive number of ms");
  }
  const negativeTtlMs = typeof negative === "object"
    ? Math.min(negative.ttlMs, ttlMs ?? Infinity)
    : negative
    ? undefined
    : 0;
  if (typeof negative === "object") {
    const action = `create cache "${name}" with a time for what is not there`;
    requireNames(action, { ttlMs: true }, negative);
  }
  if (typeof negative === "object" && !isTime(negative.ttlMs)) {
    refuse(
      `negative.ttlMs is ${show(negative.ttlMs)}`,
      "give a positive number of ms, or negative: false",
    );
  }
  requireBounds(`create cache "${name}"`, {
    maxConcurrentLoads: limits.maxConcurrentLoads,
    maxQueuedLoads: limits.maxQueuedLoads,
    staleWhileRevalidateMs: limits.staleWhileRevalidateMs,
    revalidateJitterMs: limits.revalidateJitterMs,
  });
  const { staleWhileRevalidateMs: staleMs = 0 } = limits;
  return {
    maxEntries,
    maxBytes: maxBytes === undefined
      ? undefined
      : toBytes(maxBytes, `maxBytes of cache "${name}"`),
    sizeOf: limits.sizeOf,
    ttlMs,
    negativeTtlMs,
    isTree: limits.tree ?? false,
    maxConcurrentLoads: limits.maxConcurrentLoads,
    maxQueuedLoads: limits.maxQueuedLoads ?? MAX_QUEUED_LOADS,
    staleMs,
    jitterMs: limits.revalidateJitterMs ??
      Math.min(REVALIDATE_JITTER_MS, staleMs / 2),
    isFixed: limits.fixedSize ?? false,
  };
}

function isTime(value: unknown): boolean {
  return typeof value === "number" && value > 0;
}

/** Whether a bound is one. */
export function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}

/**
 * One amount of memory for many caches.
 *
 * @module
 */

import { type ByteSize, toBytes } from "../runtime/bytes.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import { CACHE_MIN_SHARE } from "../runtime/limits.ts";
import { type OptionNames, requireNames } from "../runtime/option_names.ts";
import { MemoryBudget } from "./memory_budget.ts";

/** How a {@linkcode CacheMemory} is shared. */
export interface CacheMemoryOptions {
  /**
   * The part of an equal share that a cache keeps, however long its entries
   * have not been used: from 0 to 1.
   *
   * @default {0.1}
   */
  readonly minShare?: number | undefined;
}

/** The names of {@linkcode CacheMemoryOptions}. */
export const MEMORY_OPTIONS: OptionNames<CacheMemoryOptions> = {
  minShare: true,
};

/** What a {@linkcode CacheMemory} holds. */
export interface CacheMemoryStats {
  /** What all entries take now. */
  readonly bytes: number;
  /** What they may take. */
  readonly maxBytes: number;
  /** How many caches share it; a change cache is one for each instance. */
  readonly caches: number;
}

/**
 * An amount of memory that caches share. Where it is not enough, the entry goes
 * that was used least recently of all, whichever cache has it; but none of a
 * cache that takes less than its minimum.
 *
 * Give one to several stores of a process to have them share it; a store that
 * is given an amount only makes its own.
 *
 * @example Usage
 * ```ts
 * import { equal } from "node:assert/strict";
 * import { CacheMemory } from "headwater/caches";
 *
 * const cacheMemory = new CacheMemory("256MiB");
 * equal(cacheMemory.stats.maxBytes, 268_435_456);
 * // WriterStore.open({ …, cacheMemory }); SlavedStore.connect({ …, cacheMemory })
 * ```
 */
export class CacheMemory {
  /**
   * Constructs one that nobody uses yet.
   *
   * @param size How much: bytes, or a text such as `"256MiB"`.
   * @param options How it is shared.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for what is no size or no share.
   */
  constructor(size: ByteSize, options: CacheMemoryOptions = {}) {
    requireNames("share memory between caches", MEMORY_OPTIONS, options);
    const { minShare = CACHE_MIN_SHARE } = options;
    const maxBytes = toBytes(size, "cacheMemory");
    budgets.set(this, new MemoryBudget(maxBytes, checkShare(minShare)));
  }

  /** What it holds. */
  get stats(): CacheMemoryStats {
    const { bytes, maxBytes, caches } = budgetOf(this);
    return { bytes, maxBytes, caches };
  }

  /**
   * Changes it, now; what there is no room for goes.
   *
   * @param size How much.
   * @param options How it is shared; by default as before.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for what is no size or no share;
   *   then nothing has changed.
   */
  resize(size: ByteSize, options: CacheMemoryOptions = {}): void {
    const budget = budgetOf(this);
    requireNames("share memory between caches", MEMORY_OPTIONS, options);
    const { minShare = budget.minShare } = options;
    const maxBytes = toBytes(size, "cacheMemory");
    budget.resize(maxBytes, checkShare(minShare));
  }
}

/** What caches see of one, and users don't. */
const budgets = new WeakMap<CacheMemory, MemoryBudget>();

/** What the caches that share it work with. */
export function budgetOf(memory: CacheMemory): MemoryBudget {
  return budgets.get(memory) as MemoryBudget;
}

function checkShare(minShare: number): number {
  if (minShare >= 0 && minShare <= 1) return minShare;
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot share memory between caches: minShare is ${minShare}; ` +
      "give a number from 0 to 1",
  );
}

/**
 * What a store and a plain cache know of each other.
 *
 * @module
 */

import type { ResizableLimits } from "./cache_options.ts";
import type { CacheStats } from "./cache_stats.ts";
import type { MemoryBudget } from "./memory_budget.ts";

/** What a store asks of a cache that no stream invalidates. */
export interface PlainCache {
  /** What it is called. */
  readonly name: string;
  /** What it has done so far. */
  stats(): CacheStats;
  /**
   * Changes how much it may hold, in two steps: the second can't fail any more,
   * and drops what there is no room for.
   *
   * @throws {HeadwaterError} `INVALID_ARGUMENT` if a bound is none.
   */
  prepareResize(bounds: ResizableLimits): (factor?: number) => void;
  /** Every cache is cleared. One that isn't told of writes keeps what it has. */
  cleared(): void;
  /** Gives its memory back, and keeps nothing more. */
  close(): void;
}

/** What such a cache is given by its store. */
export interface Place {
  /** What the cache is called. */
  readonly name: string;
  /** What its bounds are multiplied with. */
  readonly factor: number;
  /** What it shares with other caches. */
  readonly memory: MemoryBudget | undefined;
  /** Lists it among the store's. */
  readonly takeIn: (cache: PlainCache) => void;
}

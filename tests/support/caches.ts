// Caches by themselves.

import type { CacheLimits } from "../../src/caches/cache_options.ts";
import {
  KeyedCache,
  type KeyedCacheOptions,
} from "../../src/caches/keyed_cache.ts";
import { type Clock, systemClock } from "../../src/runtime/clock.ts";
import { silentLogger } from "../../src/runtime/logger.ts";

/** A cache of one method. */
export function keyedCache(
  name: string,
  limits: CacheLimits,
  clock: Clock = systemClock,
  more: Partial<KeyedCacheOptions> = {},
): KeyedCache {
  const logger = silentLogger;
  return new KeyedCache({ ...limits, name, clock, logger, ...more });
}

/** The event loop's next turn: what has been resolved has been heard of. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

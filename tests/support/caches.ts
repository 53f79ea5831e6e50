// Caches by themselves.

import type { CacheLimits } from "../../src/caches/cache_options.ts";
import { KeyedCache } from "../../src/caches/keyed_cache.ts";
import { type Clock, systemClock } from "../../src/runtime/clock.ts";
import { silentLogger } from "../../src/runtime/logger.ts";

/** A cache of one method. */
export function keyedCache(
  name: string,
  limits: CacheLimits,
  clock: Clock = systemClock,
): KeyedCache {
  return new KeyedCache({ ...limits, name, clock, logger: silentLogger });
}

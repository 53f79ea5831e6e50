/**
 * A cache's figures, put together.
 *
 * @module
 */

import type { CacheBounds } from "./cache_bounds.ts";
import type { CacheStats } from "./cache_stats.ts";
import type { EntryTable } from "./entry_table.ts";
import type { LoadRunner } from "./load_runner.ts";
import type { LoadTimes } from "./load_times.ts";
import type { StaleEntries } from "./stale_entries.ts";

/** What a cache counts itself. */
type Counts = Pick<
  CacheStats,
  | "name"
  | "hits"
  | "misses"
  | "evictions"
  | "invalidations"
  | "expirations"
  | "fenced"
  | "failures"
  | "loading"
>;

/** What a cache is made of. */
interface CacheParts {
  readonly entries: EntryTable;
  readonly bounds: CacheBounds;
  readonly stale: StaleEntries | undefined;
  readonly runner: LoadRunner;
  readonly times: LoadTimes;
}

/** What a cache has done so far. */
export function statsOf(
  counts: Counts,
  { entries, bounds, stale, runner, times }: CacheParts,
): CacheStats {
  const { maxEntries, maxBytes } = bounds.scaled;
  return {
    ...counts,
    entries: entries.size,
    maxEntries,
    bytes: entries.countsBytes
      ? entries.bytes + (stale?.bytes ?? 0)
      : undefined,
    maxBytes,
    queued: runner.queued,
    stale: stale?.size ?? 0,
    staleHits: stale?.hits ?? 0,
    loadMsP50: times.quantile(0.5),
    loadMsP99: times.quantile(0.99),
  };
}

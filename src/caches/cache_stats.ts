/**
 * What caches count.
 *
 * @module
 */

/**
 * What a cache has done so far. What a kind of cache doesn't do is 0: a TTL cache
 * loads nothing.
 */
export interface CacheStats {
  /** The cache's name: of a method's, its name on the wire. */
  readonly name: string;
  /**
   * Entries it holds now, those still loading included. Of a dictionary cache as
   * its `maxEntries` counts; of a change cache its entities, of all instances.
   */
  readonly entries: number;
  /** Entries it may hold; `undefined` if only bytes bound it. */
  readonly maxEntries: number | undefined;
  /**
   * Bytes it takes, where they are counted: with `maxBytes`, or with the store's
   * `cacheMemory`. Where no `sizeOf` says so they are estimated, as an estimate of
   * each entry costs more than to keep it: `undefined` where nobody asked for it.
   */
  readonly bytes: number | undefined;
  /** Bytes it may take. */
  readonly maxBytes: number | undefined;
  /** Calls that found their entry; of a change cache, questions it could answer. */
  readonly hits: number;
  /** Calls that did not, and loaded. */
  readonly misses: number;
  /** Entries that had to go for lack of room. */
  readonly evictions: number;
  /** Entries that were dropped as wrong: by key, by group, or with the whole cache. */
  readonly invalidations: number;
  /** Entries that went because their time was over. */
  readonly expirations: number;
  /** Loads that ended after their entry had gone, and were not kept. */
  readonly fenced: number;
  /** Loads that failed. */
  readonly failures: number;
  /** Loads that run or wait now. */
  readonly loading: number;
  /** Loads that wait, where `maxConcurrentLoads` run. */
  readonly queued: number;
  /** Entries of before it was cleared that may still be served. */
  readonly stale: number;
  /** Calls that were served one of those. */
  readonly staleHits: number;
  /** How long loads took, in ms: half of them at most; `undefined` before the first. */
  readonly loadMsP50: number | undefined;
  /** How long loads took, in ms: 99 of 100 at most. */
  readonly loadMsP99: number | undefined;
}

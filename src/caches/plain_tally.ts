/**
 * Counting what a plain cache does, and telling it where somebody listens.
 *
 * @module
 */

import * as told from "./cache_events.ts";
import type { CacheStats } from "./cache_stats.ts";
import type { KeyArgument } from "./key_parts.ts";
import { LoadTimes } from "./load_times.ts";
import { plainStats } from "./plain_cache.ts";

/** What a cache knows of itself without counting. */
type Present =
  & Pick<CacheStats, "entries" | "maxEntries" | "bytes">
  & Partial<CacheStats>;

/** What a plain cache has done so far. One without a name tells nobody. */
export class PlainTally {
  hits = 0;
  misses = 0;
  evictions = 0;
  invalidations = 0;
  expirations = 0;
  fenced = 0;
  failures = 0;
  /** How long loads took, of a cache that loads. */
  #times: LoadTimes | undefined;
  readonly #name: string | undefined;

  /**
   * Constructs a tally of nothing.
   *
   * @param name What the cache is called in its store.
   */
  constructor(name: string | undefined) {
    this.#name = name;
  }

  /** An entry was found; without a key, what was asked of several. */
  hit(key: KeyArgument): void {
    this.hits += 1;
    if (this.#name === undefined || !told.isHitHeard()) return;
    told.tellHit(this.#name, listOf(key));
  }

  /** None was found. */
  miss(key: KeyArgument): void {
    this.misses += 1;
    if (this.#name === undefined || !told.isMissHeard()) return;
    told.tellMiss(this.#name, listOf(key));
  }

  /** An entry has gone for lack of room. */
  evicted(...key: readonly KeyArgument[]): void {
    this.evictions += 1;
    if (this.#name !== undefined) told.tellEvicted(this.#name, key);
  }

  /** Entries have gone as wrong: those of a key, or all of them. */
  invalidated(key: readonly KeyArgument[] | null, entries: number): void {
    this.invalidations += entries;
    if (this.#name === undefined) return;
    told.tellInvalidation(this.#name, key, entries);
  }

  /** A load has ended, after so many ms. */
  loaded(key: KeyArgument, ms: number, isLoaded: boolean): void {
    if (!isLoaded) this.failures += 1;
    if (this.#name === undefined) return;
    this.#times ??= new LoadTimes();
    this.#times.add(ms);
    told.tellLoad(this.#name, [key], ms, isLoaded);
  }

  /** A load has ended after its key was invalidated. */
  notKept(key: KeyArgument): void {
    this.fenced += 1;
    if (this.#name !== undefined) told.tellFenced(this.#name, [key]);
  }

  /** What a store lists. */
  stats(name: string, present: Present): CacheStats {
    return plainStats({
      name,
      hits: this.hits,
      misses: this.misses,
      evictions: this.evictions,
      invalidations: this.invalidations,
      expirations: this.expirations,
      fenced: this.fenced,
      failures: this.failures,
      loadMsP50: this.#times?.quantile(0.5),
      loadMsP99: this.#times?.quantile(0.99),
      ...present,
    });
  }
}

function listOf(key: KeyArgument): KeyArgument[] {
  return key === undefined ? [] : [key];
}

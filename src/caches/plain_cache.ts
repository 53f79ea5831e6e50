/**
 * What a cache that no stream invalidates has of a store: a name, a factor, a
 * part of its memory, and a place among its figures.
 *
 * @module
 */

import { HeadwaterError, quote } from "../runtime/errors.ts";
import type { OptionNames } from "../runtime/option_names.ts";
import type { CacheStats } from "./cache_stats.ts";
import { CACHES } from "./cached.ts";
import type { Place } from "./place.ts";

/** Who may have caches that no stream invalidates: a store. */
export interface PlainCacheOwner {
  /**
   * Gives them their places.
   *
   * @internal
   */
  readonly [CACHES]: {
    /** The place of a cache of that name. */
    place(name: string): Place;
  };
}

/** Whose a cache is, that can be used by itself as well. */
export interface PlainCacheOptions {
  /**
   * The store that it belongs to: `this` in a `Store`, or a writer or slaved
   * store. Then it is listed and measured among the store's caches, tells its
   * events, has the store's factors, and takes part in its `cacheMemory`, where
   * what was used least recently of all goes first; with the store it is emptied,
   * and keeps nothing more. The store knows it until then: make it once, not for
   * each request.
   *
   * @default {none: it stands alone}
   */
  readonly store?: PlainCacheOwner | undefined;

  /**
   * What it is called among the store's caches: not as one of its methods' caches,
   * or a cache group. Several may share a name, and are measured as one.
   */
  readonly name?: string | undefined;

  /**
   * Whether its bounds are meant as they are written: no factor of the store
   * changes them.
   *
   * @default {false}
   */
  readonly fixedSize?: boolean | undefined;
}

/** The names of {@linkcode PlainCacheOptions}. */
export const PLAIN_OPTIONS: OptionNames<PlainCacheOptions> = {
  store: true,
  name: true,
  fixedSize: true,
};

/**
 * The place that options ask for; `undefined` if the cache is to stand alone.
 *
 * @param action What can't be done without: `create a TTL cache`.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for a store without a name, or a
 *   name without a store; or a name that the store has for something else.
 */
export function placeOf(
  action: string,
  { store, name }: PlainCacheOptions,
): Place | undefined {
  if (store === undefined && name === undefined) return undefined;
  if (store === undefined) {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot ${action} named ${
        quote(String(name))
      }: it belongs to no store; ` +
        'give the option "store", too',
    );
  }
  if (typeof name === "string" && name !== "") return store[CACHES].place(name);
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot ${action} of a store without a name; give the option "name"`,
  );
}

/** What any cache counts, and what not all do. */
type PlainCounts =
  & Pick<CacheStats, "name" | "entries" | "maxEntries" | "bytes">
  & Pick<CacheStats, "hits" | "misses" | "evictions" | "invalidations">
  & Partial<CacheStats>;

/** A cache's figures, where those that it doesn't have are 0. */
export function plainStats(counts: PlainCounts): CacheStats {
  return {
    maxBytes: undefined,
    expirations: 0,
    fenced: 0,
    failures: 0,
    loading: 0,
    queued: 0,
    stale: 0,
    staleHits: 0,
    loadMsP50: undefined,
    loadMsP99: undefined,
    ...counts,
  };
}

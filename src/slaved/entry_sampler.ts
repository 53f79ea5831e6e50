/**
 * Choosing entries of caches.
 *
 * @module
 */

import type { KeyArgument } from "../caches/key_parts.ts";
import type { KeyedCache } from "../caches/keyed_cache.ts";
import type { Random } from "../runtime/random.ts";

/** An entry that was chosen. */
export interface SampledEntry {
  readonly cache: KeyedCache;
  readonly key: readonly KeyArgument[];
  /** The entry itself: another load of the same key is another entry. */
  readonly promise: Promise<unknown>;
}

/** Entries that are looked at before others may have the event loop. */
const MAX_STEPS = 1_000;

/** Goes through caches in turn, and takes a share of their entries. */
export class EntrySampler {
  readonly #caches: () => readonly KeyedCache[];
  readonly #random: Random;
  readonly #share: number;
  /** Where it stands in each cache. */
  readonly #places = new Map<
    KeyedCache,
    Iterator<readonly KeyArgument[], void>
  >();
  #turn = 0;

  /**
   * Constructs one that stands at the beginning.
   *
   * @param caches The caches that there are.
   * @param share From 0 to 1.
   */
  constructor(
    caches: () => readonly KeyedCache[],
    random: Random,
    share: number,
  ) {
    this.#caches = caches;
    this.#random = random;
    this.#share = share;
  }

  /** The next entry; `undefined` if there was none among those it looked at. */
  next(): SampledEntry | undefined {
    const caches = this.#caches();
    for (let step = 0; step < MAX_STEPS && caches.length > 0; step += 1) {
      const cache = caches[this.#turn % caches.length] as KeyedCache;
      const place = this.#places.get(cache) ?? cache.keys();
      this.#places.set(cache, place);
      const { value: key } = place.next();
      if (key !== undefined && this.#random.fraction() >= this.#share) continue;
      this.#turn += 1;
      const promise = key && cache.peek(key);
      if (key !== undefined && promise !== undefined) {
        return { cache, key, promise };
      }
      // At its end, or in what was there before the cache was cleared.
      this.#places.delete(cache);
    }
    return undefined;
  }
}

/**
 * Choosing entries of caches.
 *
 * @module
 */

import type { KeyArgument } from "../caches/key_parts.ts";
import { peekEntry, walkEntries } from "../caches/entry_parts.ts";
import type { KeyedCache } from "../caches/keyed_cache.ts";
import type { Random } from "../runtime/random.ts";

/** An entry that was chosen. */
export interface SampledEntry {
  readonly cache: KeyedCache;
  readonly key: readonly KeyArgument[];
  /** The entry itself: another load of the same key is another entry. */
  readonly promise: Promise<unknown>;
}

/** Entries that are gone over in one turn of the event loop: about a ms. */
const MAX_STEPS = 20_000;
/** Entries that are chosen at a time. */
const MAX_CHOSEN = 1_000;

/** Where it stands in a cache. */
interface Place {
  /** Keys that were chosen, the next one last. */
  chosen: (readonly KeyArgument[])[];
  /** From the back, to be gone on with. */
  walk: Iterator<readonly KeyArgument[] | undefined, void> | undefined;
  isOldestFirst: boolean;
}

/**
 * Goes through caches in turn, and takes a share of their entries.
 *
 * By turns it sets out from the front, where what is used is, and goes on from
 * where it got to from the back. What it rests at there is seldom used meanwhile;
 * if it is, it moves to the front, and the way begins at the back again. So an
 * entry is met at the front, or when those behind it are through.
 */
export class EntrySampler {
  readonly #caches: () => readonly KeyedCache[];
  readonly #isChosen: () => boolean;
  readonly #places = new WeakMap<KeyedCache, Place>();
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
    this.#isChosen = () => random.fraction() < share;
  }

  /** The next entry; `undefined` if there was none among those it looked at. */
  next(): SampledEntry | undefined {
    const caches = this.#caches();
    for (let tried = 0; tried < caches.length; tried += 1) {
      this.#turn = (this.#turn + 1) % caches.length;
      const cache = caches[this.#turn] as KeyedCache;
      const place = this.#places.get(cache) ??
        { chosen: [], walk: undefined, isOldestFirst: false };
      this.#places.set(cache, place);
      if (place.chosen.length === 0) this.#choose(cache, place);
      while (place.chosen.length > 0) {
        const key = place.chosen.pop() ?? [];
        const promise = peekEntry(cache.entries, key);
        if (promise !== undefined) return { cache, key, promise };
      }
    }
    return undefined;
  }

  #choose(cache: KeyedCache, place: Place): void {
    const { isOldestFirst } = place;
    place.isOldestFirst = !isOldestFirst;
    const walk = isOldestFirst && place.walk !== undefined
      ? place.walk
      : walkEntries(cache.entries, isOldestFirst, this.#isChosen);
    if (isOldestFirst) place.walk = walk;
    for (let step = 0; step < MAX_STEPS; step += 1) {
      const { value, done } = walk.next();
      if (value !== undefined) place.chosen.push(value);
      if (place.chosen.length === MAX_CHOSEN) return;
      if (!done) continue;
      if (isOldestFirst) place.walk = undefined;
      return;
    }
  }
}

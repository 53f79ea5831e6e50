/**
 * Entries in the order in which they expire.
 *
 * @module
 */

import { Heap } from "../runtime/heap.ts";
import type { CheckedLimits } from "./cache_options.ts";

/** One entry, and until when it may be served. */
export interface Expiring<Key> {
  readonly key: Key;
  readonly promise: Promise<unknown>;
  /** From this moment on it may not, by the monotonic clock. */
  readonly atMs: number;
}

/**
 * Knows which entries have had their time.
 *
 * - Entries that have gone otherwise stay here until their time; if they are
 *   more than those that are left, they are thrown out.
 */
export class ExpiryQueue<Key> {
  readonly #items = new Heap<Expiring<Key>>();

  /** The queue of a cache; `undefined` if its entries have no time. */
  static of<Key>(
    { ttlMs, negativeTtlMs }: CheckedLimits,
  ): ExpiryQueue<Key> | undefined {
    return ttlMs ?? negativeTtlMs ? new ExpiryQueue() : undefined;
  }

  /** How many there are. */
  get size(): number {
    return this.#items.size;
  }

  /**
   * Adds an entry.
   *
   * @param item The entry.
   * @param isKept Whether one is still the entry of its key.
   * @param entries How many entries there are.
   */
  add(
    item: Expiring<Key>,
    isKept: (item: Expiring<Key>) => boolean,
    entries: number,
  ): void {
    if (this.size > 2 * entries + 64) this.#items.retain(isKept);
    this.#items.push(item, item.atMs);
  }

  /** The next one whose time is over, which is then forgotten. */
  take(nowMs: number): Expiring<Key> | undefined {
    return this.#items.lowest <= nowMs ? this.#items.take() : undefined;
  }

  /** Forgets all. */
  clear(): void {
    this.#items.clear();
  }
}

/** Where the entries are. */
interface Expirable<Key> {
  holds(key: Key, promise: Promise<unknown>): boolean;
  delete(key: Key): boolean;
}

/** Drops the entries whose time is over; says how many. */
export function dropExpired<Key>(
  queue: ExpiryQueue<Key>,
  entries: Expirable<Key>,
  nowMs: number,
): number {
  let dropped = 0;
  for (;;) {
    const item = queue.take(nowMs);
    if (item === undefined) return dropped;
    if (!entries.holds(item.key, item.promise)) continue;
    entries.delete(item.key);
    dropped += 1;
  }
}

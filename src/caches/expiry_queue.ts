/**
 * Entries in the order in which they expire.
 *
 * @module
 */

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
 * - Cost: loads come nearly in the order in which they expire, so that adding
 *   one looks at few others.
 * - Entries that have gone otherwise stay here until their time; if they are
 *   more than those that are left, they are thrown out.
 */
export class ExpiryQueue<Key> {
  #items: Expiring<Key>[] = [];
  #head = 0;

  /** How many there are. */
  get size(): number {
    return this.#items.length - this.#head;
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
    if (this.size > 2 * entries + 64) {
      this.#items = this.#items.slice(this.#head).filter(isKept);
      this.#head = 0;
    }
    let at = this.#items.length;
    while (at > this.#head && (this.#items[at - 1]?.atMs ?? 0) > item.atMs) {
      at -= 1;
    }
    if (at === this.#items.length) this.#items.push(item);
    else this.#items.splice(at, 0, item);
  }

  /** The next one whose time is over, which is then forgotten. */
  take(nowMs: number): Expiring<Key> | undefined {
    const item = this.#items[this.#head];
    if (item === undefined || item.atMs > nowMs) return undefined;
    this.#head += 1;
    if (this.#head > 1_000 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  /** Forgets all. */
  clear(): void {
    this.#items = [];
    this.#head = 0;
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

/**
 * What goes next, among entries that each have a time.
 *
 * @module
 */

import { Heap } from "../runtime/heap.ts";

/** What has a time at which it goes; the time may move to later by itself. */
export interface Expiring {
  /** When it goes, in monotonic ms. */
  readonly expiresMs: number;
}

/** The heap is not looked through before it has as many as these. */
const MIN_LENGTH = 64;

/**
 * A heap of times. Entries that are gone, or that live longer by now, are found
 * when their time comes, and all together once they are more than the others.
 */
export class ExpiryHeap<Entry extends Expiring> {
  /** By a time that is not later than the entry's own. */
  readonly #dues = new Heap<Entry>();
  readonly #isThere: (entry: Entry) => boolean;

  /**
   * Constructs an empty heap.
   *
   * @param isThere Whether an entry still counts.
   */
  constructor(isThere: (entry: Entry) => boolean) {
    this.#isThere = isThere;
  }

  /**
   * Takes an entry in.
   *
   * @param entry The entry.
   * @param ms When it goes.
   * @param count How many entries there are that still count.
   */
  push(entry: Entry, ms: number, count: number): void {
    if (this.#dues.size >= Math.max(MIN_LENGTH, 2 * count)) {
      this.#dues.retain(this.#isThere);
    }
    this.#dues.push(entry, ms);
  }

  /** Takes out one that is to go at a time, or before; `undefined` if there is none. */
  due(nowMs: number): Entry | undefined {
    while (this.#dues.lowest <= nowMs) {
      const entry = this.#dues.take() as Entry;
      if (!this.#isThere(entry)) continue;
      if (entry.expiresMs <= nowMs) return entry;
      this.#dues.push(entry, entry.expiresMs);
    }
    return undefined;
  }

  /** Takes everything out. */
  clear(): void {
    this.#dues.clear();
  }
}

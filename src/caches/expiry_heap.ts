/**
 * What goes next, among entries that each have a time.
 *
 * @module
 */

/** What has a time at which it goes; the time may move to later by itself. */
export interface Expiring {
  /** When it goes, in monotonic ms. */
  readonly expiresMs: number;
}

interface Due<Entry> {
  readonly entry: Entry;
  /** Not later than the entry's own time. */
  readonly ms: number;
}

/** The heap is not looked through before it has as many as these. */
const MIN_LENGTH = 64;

/**
 * A heap of times. Entries that are gone, or that live longer by now, are found
 * when their time comes, and all together once they are more than the others.
 */
export class ExpiryHeap<Entry extends Expiring> {
  #dues: Due<Entry>[] = [];
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
    if (this.#dues.length >= Math.max(MIN_LENGTH, 2 * count)) {
      this.#dues = this.#dues.filter((due) => this.#isThere(due.entry))
        .sort((a, b) => a.ms - b.ms);
    }
    this.#add({ entry, ms });
  }

  /** Takes out one that is to go at a time, or before; `undefined` if there is none. */
  due(nowMs: number): Entry | undefined {
    while (true) {
      const [first] = this.#dues;
      if (first === undefined || first.ms > nowMs) return undefined;
      this.#removeFirst();
      const { entry } = first;
      if (!this.#isThere(entry)) continue;
      if (entry.expiresMs <= nowMs) return entry;
      this.#add({ entry, ms: entry.expiresMs });
    }
  }

  /** Takes everything out. */
  clear(): void {
    this.#dues = [];
  }

  #add(due: Due<Entry>): void {
    const dues = this.#dues;
    let index = dues.length;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = dues[parent] as Due<Entry>;
      if (above.ms <= due.ms) break;
      dues[index] = above;
      index = parent;
    }
    dues[index] = due;
  }

  #removeFirst(): void {
    const dues = this.#dues;
    const last = dues.pop();
    if (last === undefined || dues.length === 0) return;
    let index = 0;
    while (true) {
      let child = 2 * index + 1;
      if (child >= dues.length) break;
      const [left, right] = [dues[child], dues[child + 1]];
      if (right !== undefined && right.ms < (left as Due<Entry>).ms) child += 1;
      const lower = dues[child] as Due<Entry>;
      if (lower.ms >= last.ms) break;
      dues[index] = lower;
      index = child;
    }
    dues[index] = last;
  }
}

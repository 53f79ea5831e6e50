/**
 * What has the lowest rank, again and again.
 *
 * @module
 */

interface Ranked<Item> {
  readonly item: Item;
  readonly rank: number;
}

/**
 * A binary heap: the item of the lowest rank first; of those with the same rank,
 * any.
 *
 * - Cost: O(log n) to add or to take one.
 */
export class Heap<Item> {
  #items: Ranked<Item>[] = [];

  /** How many items there are. */
  get size(): number {
    return this.#items.length;
  }

  /** The lowest rank; infinite if there is nothing. */
  get lowest(): number {
    return this.#items[0]?.rank ?? Infinity;
  }

  /** Adds an item. */
  push(item: Item, rank: number): void {
    const items = this.#items;
    const added = { item, rank };
    let index = items.length;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = items[parent] as Ranked<Item>;
      if (above.rank <= rank) break;
      items[index] = above;
      index = parent;
    }
    items[index] = added;
  }

  /** Takes out the item of the lowest rank. */
  take(): Item | undefined {
    const items = this.#items;
    const [first] = items;
    const last = items.pop();
    if (last === undefined || items.length === 0) return first?.item;
    let index = 0;
    while (true) {
      let child = 2 * index + 1;
      if (child >= items.length) break;
      const [left, right] = [items[child], items[child + 1]];
      if (right !== undefined && right.rank < (left as Ranked<Item>).rank) {
        child += 1;
      }
      const lower = items[child] as Ranked<Item>;
      if (lower.rank >= last.rank) break;
      items[index] = lower;
      index = child;
    }
    items[index] = last;
    return first?.item;
  }

  /** Takes out all that are not to be kept. */
  retain(isKept: (item: Item) => boolean): void {
    this.#items = this.#items.filter(({ item }) => isKept(item))
      .sort((a, b) => a.rank - b.rank);
  }

  /** Takes everything out. */
  clear(): void {
    this.#items = [];
  }
}

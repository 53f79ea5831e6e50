/**
 * The order in which entries were last used.
 *
 * @module
 */

const MIN_SLOTS = 16;
/** Stands before the first and after the last; nothing else has its number. */
export const ANCHOR = 0;

/**
 * A ring of numbered slots: beside the anchor's `older` stands what was used
 * last, beside its `newer` what is to go first.
 *
 * The links are numbers in two arrays, which grow with what there is. Links
 * between objects would bring two more of them into the processor's caches at
 * each hit, and pass the garbage collector's write barrier.
 */
export class Recency {
  #newer = new Uint32Array(MIN_SLOTS);
  #older = new Uint32Array(MIN_SLOTS);
  /** The first of the slots that are free again; each leads to the next by `newer`. */
  #free = ANCHOR;
  #used = 1;

  /** What was not used for longest; {@linkcode ANCHOR} if there is nothing. */
  get oldest(): number {
    return this.#newer[ANCHOR] as number;
  }

  /** What stands beside a slot in the order. */
  next(slot: number, isOldestFirst: boolean): number {
    return (isOldestFirst ? this.#newer : this.#older)[slot] as number;
  }

  /** Takes a slot, as the one used last. */
  add(): number {
    const slot = this.#take();
    const last = this.#older[ANCHOR] as number;
    this.#newer[slot] = ANCHOR;
    this.#older[slot] = last;
    this.#newer[last] = slot;
    this.#older[ANCHOR] = slot;
    return slot;
  }

  /** Gives a slot back. */
  remove(slot: number): void {
    this.#unlink(slot);
    this.#newer[slot] = this.#free;
    this.#free = slot;
  }

  /** A slot is used. */
  use(slot: number): void {
    const newers = this.#newer;
    const olders = this.#older;
    const last = olders[ANCHOR] as number;
    if (last === slot) return;
    const newer = newers[slot] as number;
    const older = olders[slot] as number;
    newers[older] = newer;
    olders[newer] = older;
    newers[slot] = ANCHOR;
    olders[slot] = last;
    newers[last] = slot;
    olders[ANCHOR] = slot;
  }

  /** A slot is to go first. */
  demote(slot: number): void {
    this.#unlink(slot);
    const { oldest } = this;
    this.#newer[slot] = oldest;
    this.#older[slot] = ANCHOR;
    this.#older[oldest] = slot;
    this.#newer[ANCHOR] = slot;
  }

  /** Gives all slots back. */
  clear(): void {
    this.#newer = new Uint32Array(MIN_SLOTS);
    this.#older = new Uint32Array(MIN_SLOTS);
    this.#free = ANCHOR;
    this.#used = 1;
  }

  #unlink(slot: number): void {
    const newer = this.#newer[slot] as number;
    const older = this.#older[slot] as number;
    this.#newer[older] = newer;
    this.#older[newer] = older;
  }

  #take(): number {
    const free = this.#free;
    if (free !== ANCHOR) {
      this.#free = this.#newer[free] as number;
      return free;
    }
    if (this.#used === this.#newer.length) this.#grow();
    const slot = this.#used;
    this.#used += 1;
    return slot;
  }

  #grow(): void {
    const length = this.#newer.length * 2;
    const newer = new Uint32Array(length);
    const older = new Uint32Array(length);
    newer.set(this.#newer);
    older.set(this.#older);
    this.#newer = newer;
    this.#older = older;
  }
}

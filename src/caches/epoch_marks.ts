/**
 * Where in a cache's order of use the epochs of its memory's budget began.
 *
 * @module
 */

import { ANCHOR } from "./recency.ts";

/** Marks of one cache at a time; beyond, every second is taken out. */
const MAX_MARKS = 64;

/** Stands in the order of use: what comes after it was used in its epoch or later. */
export class EpochMark {
  /** Moves on while nothing comes after it. */
  epoch: number;
  /** Where it stands in the order of use. */
  slot: number = ANCHOR;

  /** Constructs a mark of an epoch. */
  constructor(epoch: number) {
    this.epoch = epoch;
  }
}

/** The marks of one cache, the oldest first. */
export class EpochMarks {
  #marks: EpochMark[] = [];
  /** How often the cache had been used when the last one was made. */
  #uses = 0;
  #oldest = 0;

  /** The epoch in which what comes before the first was used, or an earlier one. */
  get oldest(): number {
    return this.#oldest;
  }

  /**
   * There is nothing: what comes is used in this epoch.
   *
   * @returns The marks there were, which are to be taken out.
   */
  restart(epoch: number): readonly EpochMark[] {
    const removed = this.#marks;
    this.#marks = [];
    this.#oldest = epoch;
    return removed;
  }

  /**
   * An epoch begins.
   *
   * @param uses How often the cache has been used.
   * @returns The mark that is to be put at the recent end, if one is needed; and
   *   those that are to be taken out.
   */
  begin(
    epoch: number,
    uses: number,
  ): { readonly added: EpochMark; readonly removed: EpochMark[] } | undefined {
    const last = this.#marks.at(-1);
    if (last !== undefined && uses === this.#uses) {
      last.epoch = epoch;
      return undefined;
    }
    this.#uses = uses;
    const removed: EpochMark[] = [];
    if (this.#marks.length >= MAX_MARKS) {
      removed.push(...this.#marks.filter((_, index) => index % 2 === 0));
      this.#marks = this.#marks.filter((_, index) => index % 2 === 1);
    }
    const added = new EpochMark(epoch);
    this.#marks.push(added);
    return { added, removed };
  }

  /** The oldest has come to the end: what comes after it is the oldest now. */
  passed(mark: EpochMark): void {
    const [first] = this.#marks;
    if (first !== mark) return;
    this.#marks.shift();
    this.#oldest = Math.max(this.#oldest, mark.epoch);
  }
}

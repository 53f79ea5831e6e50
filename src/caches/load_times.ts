/**
 * How long loads take.
 *
 * @module
 */

/** Four buckets an octave, from 1 µs to 2^30 µs (18 min). */
const BUCKETS_PER_OCTAVE = 4;
const BUCKETS = 30 * BUCKETS_PER_OCTAVE + 1;

/** A histogram of times, exact to a fifth, in 1 KiB. */
export class LoadTimes {
  readonly #counts = new Float64Array(BUCKETS);
  #count = 0;

  /** How many there were. */
  get count(): number {
    return this.#count;
  }

  /** Takes one in. */
  add(ms: number): void {
    const octaves = Math.log2(Math.max(1, ms * 1_000));
    const bucket = Math.min(
      BUCKETS - 1,
      Math.round(octaves * BUCKETS_PER_OCTAVE),
    );
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#count += 1;
  }

  /**
   * The time that a share of them took at most, in ms.
   *
   * @param share From 0 to 1.
   * @returns `undefined` if there were none.
   */
  quantile(share: number): number | undefined {
    if (this.#count === 0) return undefined;
    let left = Math.ceil(share * this.#count);
    let bucket = 0;
    while (bucket < BUCKETS - 1) {
      left -= this.#counts[bucket] ?? 0;
      if (left <= 0) break;
      bucket += 1;
    }
    return 2 ** (bucket / BUCKETS_PER_OCTAVE) / 1_000;
  }
}

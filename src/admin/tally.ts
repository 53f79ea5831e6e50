/**
 * Comparing two large sets that come in different orders, without keeping either.
 *
 * @module
 */

const BUCKETS = 4096;

/**
 * Counts members of two sets by token. Where every member of the one is known
 * to be in the other, equal counts mean that there are no others; unequal ones
 * tell under which tokens to look for them.
 */
export class Tally {
  readonly #counts = new Int32Array(BUCKETS);

  /** Counts a member of the one set (+1) or of the other (-1). */
  count(token: number, by: 1 | -1): void {
    const bucket = bucketOf(token);
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + by;
  }

  /** Whether the counts differ anywhere. */
  get isUneven(): boolean {
    return this.#counts.some((count) => count !== 0);
  }

  /** Whether they differ where the token is counted. */
  isSuspect(token: number): boolean {
    return this.#counts[bucketOf(token)] !== 0;
  }
}

function bucketOf(token: number): number {
  return Math.abs(token % BUCKETS);
}

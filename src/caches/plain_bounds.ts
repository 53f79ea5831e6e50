/**
 * How much a plain cache may hold at the moment.
 *
 * @module
 */

import { HeadwaterError } from "../runtime/errors.ts";
import { isCount, type ResizableLimits } from "./cache_options.ts";

/** Bounds by what they are called: `maxEntries`, `maxSize`. */
type Bounds<Name extends string> = Readonly<Record<Name, number>>;

/** The bounds of a plain cache, as they were written and as they are. */
export class PlainBounds<Name extends string> {
  readonly #isFixed: boolean;
  #written: Bounds<Name>;
  #factor: number;
  #now: Bounds<Name>;
  #isClosed = false;

  /**
   * Constructs bounds.
   *
   * @param written As they are written; checked.
   * @param factor What they are multiplied with.
   * @param isFixed Whether they aren't.
   */
  constructor(written: Bounds<Name>, factor = 1, isFixed = false) {
    this.#isFixed = isFixed;
    this.#written = written;
    this.#factor = factor;
    this.#now = this.#scale();
  }

  /** What there may be; a bound that is one stays one, however small the factor. */
  get now(): Bounds<Name> {
    return this.#now;
  }

  /** Changes what was written; what is `undefined` stays. Checked. */
  write(changes: Readonly<Partial<Record<Name, number | undefined>>>): void {
    const given = Object.entries(changes)
      .filter(([, value]) => value !== undefined);
    this.#written = { ...this.#written, ...Object.fromEntries(given) };
    this.#now = this.#scale();
  }

  /**
   * Changes what a store can change of any cache.
   *
   * @param cache The cache's name.
   * @param bounds What is to change.
   * @param entries Which bound is one of entries.
   * @returns Makes the change, which can't fail any more.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` if a bound is none, or of bytes.
   */
  prepare(
    cache: string,
    { maxEntries, maxBytes }: ResizableLimits,
    entries: Name,
  ): (factor?: number) => void {
    if (maxBytes !== undefined) {
      throw new HeadwaterError(
        "INVALID_ARGUMENT",
        `Cannot bound the bytes of cache "${cache}": it is no method's, and ` +
          "has a bound of entries only; open the store with cacheMemory",
      );
    }
    if (maxEntries !== undefined && !isCount(maxEntries)) {
      throw new HeadwaterError(
        "INVALID_ARGUMENT",
        `Cannot resize cache "${cache}": maxEntries is ${maxEntries}; ` +
          "give a positive integer",
      );
    }
    return (factor = this.#factor) => {
      this.#factor = factor;
      const bound = maxEntries ?? this.#written[entries];
      this.#written = { ...this.#written, [entries]: bound };
      this.#now = this.#scale();
    };
  }

  /** There may be nothing any more. */
  close(): void {
    this.#isClosed = true;
    this.#now = this.#scale();
  }

  #scale(): Bounds<Name> {
    const factor = this.#isFixed ? 1 : this.#factor;
    const scaled: Record<Name, number> = { ...this.#written };
    for (const name in scaled) {
      const wanted = Math.max(1, Math.floor(scaled[name] * factor));
      const bound = Math.min(Number.MAX_SAFE_INTEGER, wanted);
      scaled[name] = this.#isClosed ? 0 : bound;
    }
    return scaled;
  }
}

/**
 * How much one cache may hold at the moment.
 *
 * @module
 */

import { HeadwaterError } from "../runtime/errors.ts";
import {
  type CacheLimits,
  type CheckedLimits,
  checkLimits,
  type ResizableLimits,
} from "./cache_options.ts";
import type { TableBounds } from "./entry_table.ts";
import type { MemoryBudget } from "./memory_budget.ts";

/** What bounds a cache. */
export interface BoundsOptions extends CacheLimits {
  /** Its name on the wire. */
  readonly name: string;
  /** Whether its bytes are counted, though it has no bound of its own. */
  readonly countsBytes?: boolean | undefined;
  /** What it shares with other caches; then its bytes are counted. */
  readonly memory?: MemoryBudget | undefined;
  /** What its bounds are multiplied with. */
  readonly factor?: number | undefined;
}

/** The bounds of a cache, as they were written and as they are. */
export class CacheBounds {
  readonly #options: BoundsOptions;
  readonly #countsBytes: boolean;
  #limits: CheckedLimits;
  #factor: number;

  /**
   * Checks bounds.
   *
   * @throws {HeadwaterError} `INVALID_ARGUMENT` if one is none.
   */
  constructor(options: BoundsOptions) {
    this.#options = options;
    this.#limits = checkLimits(options.name, options);
    this.#factor = options.factor ?? 1;
    this.#countsBytes = options.countsBytes === true ||
      options.memory !== undefined || this.#limits.maxBytes !== undefined;
  }

  /** What was written. */
  get limits(): CheckedLimits {
    return this.#limits;
  }

  /** What it may hold; a bound that is one stays one, however small the factor. */
  get scaled(): { readonly maxEntries?: number; readonly maxBytes?: number } {
    const { maxEntries, maxBytes, isFixed } = this.#limits;
    const factor = isFixed ? 1 : this.#factor;
    const scale = (bound: number) => Math.max(1, Math.floor(bound * factor));
    return {
      ...(maxEntries === undefined ? {} : { maxEntries: scale(maxEntries) }),
      ...(maxBytes === undefined ? {} : { maxBytes: scale(maxBytes) }),
    };
  }

  /** The same, for the entries. */
  get table(): TableBounds {
    const { maxEntries, maxBytes } = this.scaled;
    const uncounted = this.#countsBytes ? Number.MAX_SAFE_INTEGER : undefined;
    return {
      maxEntries,
      maxBytes: maxBytes ?? uncounted,
      isTree: this.#limits.isTree,
    };
  }

  /**
   * Changes them.
   *
   * @param bounds What is to change.
   * @returns Makes the change, which can't fail any more; it takes what all is
   *   multiplied with from now on.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` if a bound is none, or bytes are
   *   to be bounded that have not been counted so far.
   */
  prepare(bounds: ResizableLimits): (factor?: number) => void {
    const { maxEntries, maxBytes } = checkLimits(this.#options.name, {
      ...this.#options,
      maxEntries: this.#limits.maxEntries,
      maxBytes: this.#limits.maxBytes,
      ...bounds,
    });
    if (maxBytes !== undefined && !this.#countsBytes) {
      throw new HeadwaterError(
        "INVALID_ARGUMENT",
        `Cannot bound the bytes of cache "${this.#options.name}": they have ` +
          "not been counted; give it maxBytes from the beginning",
      );
    }
    return (factor = this.#factor) => {
      this.#factor = factor;
      this.#limits = { ...this.#limits, maxEntries, maxBytes };
    };
  }
}

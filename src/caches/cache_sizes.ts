/**
 * How much all caches of a store may hold.
 *
 * @module
 */

import { type ByteSize, toBytes } from "../runtime/bytes.ts";
import { HeadwaterError, quote } from "../runtime/errors.ts";
import { type OptionNames, requireNames } from "../runtime/option_names.ts";
import { type Random, systemRandom } from "../runtime/random.ts";
import {
  CACHE_FACTOR_OPTIONS,
  type CacheFactorOptions,
  CacheFactors,
} from "./cache_factors.ts";
import { budgetOf, CacheMemory } from "./cache_memory.ts";
import type { ResizableLimits } from "./cache_options.ts";
import type { MemoryBudget } from "./memory_budget.ts";

/** How much all caches of a store may hold. */
export interface CacheSizeOptions extends CacheFactorOptions {
  /**
   * Memory that the caches share, beside bounds of their own: bytes, a text such
   * as `"256MiB"`, or a `CacheMemory` of `headwater/caches` that other stores
   * of the process are given, too. What was used least recently of all goes first,
   * be it of a method's cache, a change cache, or one that was given the store.
   *
   * @default {each cache has its own bounds only}
   */
  readonly cacheMemory?: ByteSize | CacheMemory | undefined;
}

/** What `resizeCaches` changes; what is left out stays as it is. */
export interface ResizeCachesOptions extends CacheFactorOptions {
  /**
   * The memory that the caches share. A store that had none when it was opened
   * can't be given any.
   */
  readonly cacheMemory?: ByteSize | undefined;

  /**
   * New bounds of single caches, by name, in the place of those written. Those
   * that are no method's have `maxEntries` only; a change cache's are its entities.
   */
  readonly caches?: Readonly<Record<string, ResizableLimits>> | undefined;
}

/** The names of {@linkcode ResizeCachesOptions}. */
export const RESIZE_OPTIONS: OptionNames<ResizeCachesOptions> = {
  ...CACHE_FACTOR_OPTIONS,
  cacheMemory: true,
  caches: true,
};

/** The names of {@linkcode ResizableLimits}. */
const BOUND_OPTIONS: OptionNames<ResizableLimits> = {
  maxEntries: true,
  maxBytes: true,
};

/** A cache whose size can be changed. */
interface ResizableCache {
  readonly name: string;
  prepareResize(bounds: ResizableLimits): (factor?: number) => void;
}

/** What sizes the caches of one store. */
export class CacheSizes {
  readonly factors: CacheFactors;
  readonly memory: MemoryBudget | undefined;
  readonly random: Random;

  /**
   * Checks what was said.
   *
   * @param options What the program says.
   * @param variables What the environment says.
   * @param random Says by how much background loads are put off.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for what can't be.
   */
  constructor(
    options: CacheSizeOptions,
    variables: Readonly<Record<string, string>> = {},
    random: Random = systemRandom,
  ) {
    const { cacheMemory } = options;
    this.factors = new CacheFactors(options, variables);
    const isGiven = cacheMemory === undefined ||
      cacheMemory instanceof CacheMemory;
    const memory = isGiven ? cacheMemory : new CacheMemory(cacheMemory);
    this.memory = memory && budgetOf(memory);
    this.random = random;
  }

  /**
   * Changes it for the caches that there are, and those to come.
   *
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for what can't be; then nothing
   *   has changed.
   */
  resize(changes: ResizeCachesOptions, known: readonly ResizableCache[]): void {
    requireNames("resize caches", RESIZE_OPTIONS, changes);
    const { cacheMemory, caches = {} } = changes;
    for (const [name, bounds] of Object.entries(caches)) {
      requireNames(`resize cache ${quote(name)}`, BOUND_OPTIONS, bounds ?? {});
      if (known.some((cache) => cache.name === name)) continue;
      throw new HeadwaterError(
        "INVALID_ARGUMENT",
        `Cannot resize cache ${quote(name)}: there is none; the caches are ` +
          `${known.map(({ name }) => name).join(", ") || "none"}`,
      );
    }
    const factors = this.factors.prepare(changes);
    const memory = cacheMemory === undefined
      ? undefined
      : this.#prepareMemory(cacheMemory);
    const bounds = known.map((cache) =>
      cache.prepareResize(caches[cache.name] ?? {})
    );
    factors();
    memory?.();
    for (const [index, cache] of known.entries()) {
      bounds[index]?.(this.factors.of(cache.name));
    }
  }

  #prepareMemory(size: ByteSize): () => void {
    const { memory } = this;
    const maxBytes = toBytes(size, "cacheMemory");
    if (memory !== undefined) {
      return () => memory.resize(maxBytes, memory.minShare);
    }
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot give caches ${size} to share: they have not counted their bytes; ` +
        "open the store with cacheMemory",
    );
  }
}

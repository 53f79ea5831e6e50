/**
 * By how much caches are larger or smaller than was written.
 *
 * @module
 */

import { HeadwaterError, quote, show } from "../runtime/errors.ts";
import type { OptionNames } from "../runtime/option_names.ts";

/** What the variables that set factors begin with. */
export const FACTOR_VARIABLE = "HEADWATER_CACHE_FACTOR";

/** By how much caches are larger or smaller than was written. */
export interface CacheFactorOptions {
  /**
   * What the bounds of every cache are multiplied with: `maxEntries` and
   * `maxBytes`, a TTL cache's `maxSize`, a change cache's `maxEntities` and
   * `maxPositions`. The environment variable `HEADWATER_CACHE_FACTOR` takes
   * precedence.
   *
   * @default {1: as they are written}
   */
  readonly cacheFactor?: number | undefined;

  /**
   * Factors of single caches, by name, in the place of `cacheFactor`. Case and
   * whatever is no letter, digit or `_` are of no account. An environment
   * variable `HEADWATER_CACHE_FACTOR_NAME` takes precedence.
   */
  readonly cacheFactors?: Readonly<Record<string, number>> | undefined;
}

/** The names of {@linkcode CacheFactorOptions}. */
export const CACHE_FACTOR_OPTIONS: OptionNames<CacheFactorOptions> = {
  cacheFactor: true,
  cacheFactors: true,
};

/** The factors of a process: what the options say, and before that the environment. */
export class CacheFactors {
  /** Of the environment; no option changes them. */
  readonly #fixed: ReadonlyMap<string, number>;
  readonly #fixedGlobal: number | undefined;
  #global: number;
  #named: ReadonlyMap<string, number>;

  /**
   * Constructs factors.
   *
   * @param options What the program says.
   * @param variables Environment variables, by name.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for what is no positive number.
   */
  constructor(
    options: CacheFactorOptions,
    variables: Readonly<Record<string, string>>,
  ) {
    const fixed: Record<string, number> = {};
    let global: number | undefined;
    for (const [variable, text] of Object.entries(variables)) {
      if (text === "") continue;
      if (variable === FACTOR_VARIABLE) global = check(variable, Number(text));
      else if (variable.startsWith(`${FACTOR_VARIABLE}_`)) {
        const name = variable.slice(FACTOR_VARIABLE.length + 1);
        fixed[name] = check(variable, Number(text));
      }
    }
    this.#fixedGlobal = global;
    this.#fixed = byName(fixed);
    this.#global = checkGlobal(options);
    this.#named = checkNamed(options);
  }

  /** The factor of a cache. */
  of(name: string): number {
    const canonical = canonicalName(name);
    return this.#fixed.get(canonical) ?? this.#named.get(canonical) ??
      this.#fixedGlobal ?? this.#global;
  }

  /**
   * Changes what the program says.
   *
   * @param options What changes; `cacheFactors` as a whole.
   * @returns Makes the change, which can't fail any more.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for what is no positive number.
   */
  prepare(options: CacheFactorOptions): () => void {
    const global = options.cacheFactor === undefined
      ? this.#global
      : checkGlobal(options);
    const named = options.cacheFactors === undefined
      ? this.#named
      : checkNamed(options);
    return () => {
      this.#global = global;
      this.#named = named;
    };
  }
}

/**
 * A name as an environment variable can have it. Unlike Synapse, which takes
 * out the digit 0 as well, this tells `page_1` from `page_10`.
 */
export function canonicalName(name: string): string {
  return name.replace(/[^A-Za-z0-9_]/g, "").toLowerCase();
}

function checkGlobal({ cacheFactor = 1 }: CacheFactorOptions): number {
  return check("cacheFactor", cacheFactor);
}

function checkNamed(
  { cacheFactors = {} }: CacheFactorOptions,
): Map<string, number> {
  for (const [name, factor] of Object.entries(cacheFactors)) {
    check(`cacheFactors[${quote(name)}]`, factor);
  }
  return byName(cacheFactors);
}

function byName(
  factors: Readonly<Record<string, number>>,
): Map<string, number> {
  return new Map(
    Object.entries(factors).map(([name, factor]) => [
      canonicalName(name),
      factor,
    ]),
  );
}

function check(what: string, factor: number): number {
  if (Number.isFinite(factor) && factor > 0) return factor;
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot size caches: ${what} is ${show(factor)}; give a positive number`,
  );
}

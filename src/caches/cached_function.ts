/**
 * Caches of functions, for builds without standard decorators.
 *
 * @module
 */

import { HeadwaterError, quote } from "../runtime/errors.ts";
import { requireNames } from "../runtime/option_names.ts";
import { bindCached } from "./bind_cached.ts";
import type { CacheBound } from "./cache_options.ts";
import { CACHES, type CachesOwner } from "./cached.ts";
import {
  CACHED_OPTIONS,
  type CachedOptions,
  type KeyOfOptions,
  type LeavesOut,
  type UncachedArgsOptions,
} from "./cached_options.ts";
import type { KeyArgument } from "./key_parts.ts";

/** Whose the cache is. */
export interface CachedFunctionOwner {
  /** The store whose invalidations reach the cache. */
  readonly store: CachesOwner;
}

/**
 * Gives a function a cache: what `cached` does, as a plain function.
 *
 * @param options The store, the cache's bounds, its name and its keys.
 * @param load Loads an entry.
 * @returns The function with its cache before it.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` if neither it nor the options have a
 *   name, or for an option that can't be.
 *
 * @example Usage
 * ```ts
 * import { Store } from "headwater";
 * import { cachedFunction } from "headwater/caches";
 *
 * interface Database {
 *   users: { id: string; name: string };
 * }
 *
 * class Users extends Store<Database> {
 *   readonly getUserById = cachedFunction(
 *     { store: this, name: "getUserById", maxEntries: 50_000 },
 *     (id: string) =>
 *       this.db.selectFrom("users").selectAll().where("id", "=", id)
 *         .executeTakeFirst(),
 *   );
 * }
 * ```
 */
export function cachedFunction<Args extends readonly unknown[], Value>(
  options: CachedFunctionOwner & CacheBound & KeyOfOptions<Args>,
  load: (...args: Args) => Promise<Value>,
): (...args: Args) => Promise<Value>;
/** {@linkcode cachedFunction}, of a function some of whose arguments are no part of the key. */
export function cachedFunction<
  Args extends readonly unknown[],
  Value,
  const Positions extends readonly number[],
>(
  options: CachedFunctionOwner & CacheBound & UncachedArgsOptions<Positions>,
  load: ((...args: Args) => Promise<Value>) & LeavesOut<Args, Positions>,
): (...args: Args) => Promise<Value>;
/** {@linkcode cachedFunction}, of a function whose arguments are the key. */
export function cachedFunction<Args extends readonly KeyArgument[], Value>(
  options: CachedFunctionOwner & CacheBound & CachedOptions,
  load: (...args: Args) => Promise<Value>,
): (...args: Args) => Promise<Value>;
export function cachedFunction<Args extends readonly unknown[], Value>(
  options:
    & CachedFunctionOwner
    & CachedOptions
    & Partial<KeyOfOptions<Args>>
    & Partial<UncachedArgsOptions>,
  load: (...args: Args) => Promise<Value>,
): (...args: Args) => Promise<Value> {
  const { store, name = load.name } = options;
  if (name === "") {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      'Cannot cache a function without a name; give the option "name"',
    );
  }
  const names = { ...CACHED_OPTIONS, store: true } as const;
  requireNames(`cache function ${quote(name)}`, names, options);
  const cache = store[CACHES].create(name, options);
  return bindCached({ owner: store, method: load }, cache, options);
}

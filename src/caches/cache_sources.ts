/**
 * Where a cache's entries come from: for those who load one past the cache.
 *
 * @module
 */

import type { KeyArgument } from "./key_parts.ts";
import type { KeyedCache } from "./keyed_cache.ts";

/** What loads the entries of a cache. */
export interface CacheSource {
  /** The store that the method belongs to. */
  readonly owner: object;
  /** Calls the method itself; `undefined` if its arguments don't follow from a key. */
  readonly load:
    | ((key: readonly KeyArgument[]) => Promise<unknown>)
    | undefined;
}

const sources = new WeakMap<KeyedCache, CacheSource>();

/** Says where a cache's entries come from. */
export function bindSource(cache: KeyedCache, source: CacheSource): void {
  sources.set(cache, source);
}

/** Where a cache's entries come from; `undefined` if nobody said. */
export function sourceOf(cache: KeyedCache): CacheSource | undefined {
  return sources.get(cache);
}

/**
 * The arguments that a key was made of; those that don't belong to it are
 * `undefined`.
 *
 * @param key The key.
 * @param uncachedArgs The positions of those that don't.
 */
export function argumentsOf(
  key: readonly KeyArgument[],
  uncachedArgs: readonly number[] = [],
): KeyArgument[] {
  const args: KeyArgument[] = [];
  for (const part of key) {
    while (uncachedArgs.includes(args.length)) args.push(undefined);
    args.push(part);
  }
  return args;
}

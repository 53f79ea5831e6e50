/**
 * What can be said of a cached method.
 *
 * @module
 */

import type { KeyPart } from "../streams/builtin_streams.ts";
import type { CacheLimits } from "./cache_options.ts";
import type { CachedMethod } from "./cached_method.ts";
import type { KeyArgument } from "./key_parts.ts";

/** Options of `cached`. */
export interface CachedOptions extends CacheLimits {
  /**
   * The cache's name in the `caches` stream, the same in every process.
   *
   * @default {the method's name}
   */
  readonly name?: string | undefined;

  /**
   * What is invalidated with an entry of this cache: entries of caches that
   * depend on it. It is asked in every process, for each invalidation of this
   * cache, whether or not the entry is there; it must not depend on anything else.
   *
   * @param key The arguments of the entry, those that a prefix gives, or `null`
   *   for the whole cache.
   */
  readonly onInvalidate?:
    | ((
      key: readonly KeyPart[] | null,
    ) => Iterable<
      readonly [
        cache: string | CachedMethod,
        key: readonly KeyArgument[] | null,
      ]
    >)
    | undefined;
}

/** Options of `cached` where some arguments don't belong to the key. */
export interface UncachedArgsOptions extends CachedOptions {
  /**
   * The positions, from 0, of arguments that don't belong to the key, such as a
   * transaction. An `AbortSignal` among them is each caller's own: who aborts
   * waits no more, and the method's own signal aborts once nobody waits.
   */
  readonly uncachedArgs: readonly number[];
}

/** Options of `cached` where the key is made of the arguments. */
export interface KeyOfOptions<Args extends readonly unknown[]>
  extends CachedOptions {
  /** Makes an entry's key of the arguments; must depend on nothing else. */
  readonly keyOf: (...args: Args) => KeyArgument | readonly KeyArgument[];
}

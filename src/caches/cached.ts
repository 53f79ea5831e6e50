/**
 * The decorator that gives a method a cache.
 *
 * @module
 */

import { HeadwaterError } from "../runtime/errors.ts";
import type { KeyPart } from "../streams/builtin_streams.ts";
import { setCacheName } from "./cached_method.ts";
import type { CacheRegistry } from "./cache_registry.ts";
import { KeyedCache } from "./keyed_cache.ts";

/** Options of {@linkcode cached}. */
export interface CachedOptions {
  /** How many entries the cache may hold; the least recently used goes first. */
  readonly maxEntries: number;

  /**
   * The cache's name in the `caches` stream, the same in every process.
   *
   * @default {the method's name}
   */
  readonly name?: string | undefined;
}

/** Where an object's cached methods find their registry. */
export const CACHES: unique symbol = Symbol("headwater.caches");

/** An object whose methods may be cached: a store. */
export interface CachesOwner {
  /** The registry that the object's caches belong to. */
  readonly [CACHES]: CacheRegistry;
}

/** A method that can have a cache: its arguments can be a key, its result a promise. */
export type CacheableMethod<
  This,
  Args extends readonly KeyPart[],
  Value,
> = (this: This, ...args: Args) => Promise<Value>;

/**
 * Gives a store's method a cache, one for each attached store.
 *
 * - Concurrent calls with the same arguments share one load.
 * - A rejected load is not kept.
 * - The value is shared by all callers: treat it as read-only.
 * - An invalidated entry is never served to a call that comes after, even if
 *   its load was still running: see {@linkcode KeyedCache}.
 *
 * @param options The cache's bound and its name.
 * @returns A standard (TC39) method decorator.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for a static or private method.
 *
 * @example Usage
 * ```ts
 * import { cached, Store } from "headwater";
 *
 * interface Database {
 *   users: { id: string; name: string };
 * }
 *
 * class Users extends Store<Database> {
 *   @cached({ maxEntries: 50_000 })
 *   async getUserById(id: string): Promise<{ name: string } | undefined> {
 *     return await this.db.selectFrom("users").selectAll().where("id", "=", id)
 *       .executeTakeFirst();
 *   }
 * }
 * ```
 */
export function cached(options: CachedOptions): <
  This extends CachesOwner,
  Args extends KeyPart[],
  Value,
>(
  method: CacheableMethod<This, Args, Value>,
  context: ClassMethodDecoratorContext<
    This,
    CacheableMethod<This, Args, Value>
  >,
) => CacheableMethod<This, Args, Value> {
  return (method, context) => {
    const { name: property } = context;
    if (context.static || context.private || typeof property !== "string") {
      throw new HeadwaterError(
        "INVALID_ARGUMENT",
        `Cannot cache method "${String(property)}": ` +
          "it is static, private or named by a symbol; decorate a public method",
      );
    }
    const name = options.name ?? property;
    // Never called on an attached store; it stands for the method where a
    // group or a subclass names it through the class.
    const placeholder: typeof method = function (...args) {
      return method.apply(this, args);
    };
    setCacheName(placeholder, name);
    context.addInitializer(function () {
      // A subclass that overrides the method without @cached means it.
      if (Reflect.get(this, property) !== placeholder) return;
      const cache = new KeyedCache(name, options.maxEntries);
      this[CACHES].register(cache);
      const bound = bindCached(this, method, cache);
      setCacheName(bound, name);
      Object.defineProperty(this, property, { value: bound });
    });
    return placeholder;
  };
}

/**
 * Not `async`, and nothing awaited: a hit gives the kept promise itself, in
 * less than half the time. The rest parameter is only indexed, which is free.
 */
function bindCached<This, Args extends KeyPart[], Value>(
  owner: This,
  method: CacheableMethod<This, Args, Value>,
  cache: KeyedCache,
): (...args: Args) => Promise<Value> {
  return (...args) => {
    const entry = cache.get(args) as Promise<Value> | undefined;
    if (entry !== undefined) return entry;
    try {
      return cache.load(args, () => Promise.resolve(method.apply(owner, args)));
    } catch (error) {
      // What is thrown before the load begins is a rejection like any other.
      return Promise.reject(error);
    }
  };
}

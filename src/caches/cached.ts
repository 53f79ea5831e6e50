/**
 * The decorator that gives a method a cache.
 *
 * @module
 */

import { HeadwaterError } from "../runtime/errors.ts";
import { requireNames } from "../runtime/option_names.ts";
import { bindCached, keyFunction } from "./bind_cached.ts";
import {
  CACHED_OPTIONS,
  type CachedOptions,
  type KeyOfOptions,
  type LeavesOut,
  type NoArgument,
  type TakesKeys,
  type UncachedArgsOptions,
} from "./cached_options.ts";
import type { CacheBound } from "./cache_options.ts";
import { bindCache } from "./cached_method.ts";
import type { CacheRegistry } from "./cache_registry.ts";
import type { KeyArgument } from "./key_parts.ts";

/** Where an object's cached methods find their registry. */
export const CACHES: unique symbol = Symbol("headwater.caches");

/** An object whose methods may be cached: a store. */
export interface CachesOwner {
  /**
   * The registry that the object's caches belong to.
   *
   * @internal
   */
  readonly [CACHES]: CacheRegistry;
}

/** A method that can have a cache: its arguments can be a key, its result a promise. */
export type CacheableMethod<
  This,
  Args extends readonly unknown[],
  Value,
> = (this: This, ...args: Args) => Promise<Value>;

/** A decorator of methods with these arguments. */
export type CacheDecorator<Args extends readonly unknown[]> = <
  This extends CachesOwner,
  Given extends Args,
  Value,
>(
  method: CacheableMethod<This, Given, Value>,
  context: ClassMethodDecoratorContext<
    This,
    CacheableMethod<This, Given, Value>
  >,
) => CacheableMethod<This, Given, Value>;

/** A decorator of methods whose arguments are their keys. */
export type KeyDecorator = <
  This extends CachesOwner,
  Args extends readonly (KeyArgument | NoArgument)[],
  Value,
>(
  method: CacheableMethod<This, Args, Value> & TakesKeys<Args>,
  context: ClassMethodDecoratorContext<
    This,
    CacheableMethod<This, Args, Value>
  >,
) => CacheableMethod<This, Args, Value>;

/** A decorator of methods some of whose arguments are no part of their keys. */
export type LeavingDecorator<Positions extends readonly number[]> = <
  This extends CachesOwner,
  Args extends readonly unknown[],
  Value,
>(
  method: CacheableMethod<This, Args, Value> & LeavesOut<Args, Positions>,
  context: ClassMethodDecoratorContext<
    This,
    CacheableMethod<This, Args, Value>
  >,
) => CacheableMethod<This, Args, Value>;

/**
 * Gives a store's method a cache, one for each attached store.
 *
 * - The arguments are the key: texts, finite numbers, bigints, booleans, `null`
 *   and `undefined`. Others are left out by `uncachedArgs`, or made into a key
 *   by `keyOf`.
 * - Concurrent calls with the same arguments share one load.
 * - A rejected load is not kept.
 * - The value is shared by all callers: treat it as read-only.
 * - An invalidated entry is never served to a call that comes after, even if
 *   its load was still running: see {@linkcode KeyedCache}.
 *
 * @param options The cache's bounds, its name and its keys.
 * @returns A standard (TC39) method decorator. Where the build has none, use
 *   `cachedFunction` of `headwater/caches`.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for a static or private method, or
 *   an option that can't be.
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
export function cached<Args extends readonly unknown[]>(
  options: KeyOfOptions<Args> & CacheBound,
): CacheDecorator<Args>;
/** {@linkcode cached}, of a method some of whose arguments are no part of the key. */
export function cached<const Positions extends readonly number[]>(
  options: UncachedArgsOptions<Positions> & CacheBound,
): LeavingDecorator<Positions>;
/** {@linkcode cached}, of a method whose arguments are the key. */
export function cached(
  options: CachedOptions & CacheBound,
): KeyDecorator;
export function cached(
  options: CachedOptions & Partial<UncachedArgsOptions>,
): CacheDecorator<readonly unknown[]> {
  return (method, context) => {
    const { name: property } = context;
    if (context.static || context.private || typeof property !== "string") {
      throw new HeadwaterError(
        "INVALID_ARGUMENT",
        `Cannot cache method "${String(property)}": ` +
          "it is static, private or named by a symbol; decorate a public method",
      );
    }
    requireNames(`cache method "${property}"`, CACHED_OPTIONS, options);
    const name = options.name ?? property;
    const { keyOf, uncachedArgs } = options as
      & Partial<KeyOfOptions<unknown[]>>
      & Partial<UncachedArgsOptions>;
    // Never called on an attached store; it stands for the method where a
    // group or a subclass names it through the class.
    const placeholder: typeof method = function (...args) {
      return Reflect.apply(method, this, args);
    };
    bindCache(placeholder, {
      name,
      isTree: options.tree ?? false,
      keyOf: keyOf && keyFunction(name, { keyOf }),
    });
    context.addInitializer(function () {
      // A subclass that overrides the method without @cached means it.
      if (Reflect.get(this, property) !== placeholder) return;
      const cache = this[CACHES].create(name, options);
      const loader = { owner: this, method };
      const bound = bindCached(loader, cache, { keyOf, uncachedArgs });
      Object.defineProperty(this, property, { value: bound });
    });
    return placeholder;
  };
}

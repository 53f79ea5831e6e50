/**
 * Methods that have a cache, what it is called, and what of their arguments
 * belongs to its keys.
 *
 * @module
 */

import { HeadwaterError, quote } from "../runtime/errors.ts";
import type { KeyPart } from "../streams/builtin_streams.ts";
import { checkKey, type KeyArgument, toWireKey } from "./key_parts.ts";
import type { KeyedCache } from "./keyed_cache.ts";
import type { SharedLoads } from "./shared_loads.ts";

/** A method that `@cached` has decorated. Its arguments are its cache's key. */
// deno-lint-ignore no-explicit-any -- any arguments: what they may be is checked where it is decorated
export type CachedMethod<Args extends readonly any[] = any> = (
  ...args: Args
) => Promise<unknown>;

/**
 * What of a method's arguments can be part of a key, in order: all of them but
 * those that are no {@linkcode KeyArgument} by their type, such as a signal.
 */
export type KeyArguments<Args extends readonly unknown[]> = number extends
  Args["length"] ? (Args extends readonly KeyArgument[] ? Args : never)
  : Args extends readonly [] ? []
  : Args extends readonly [infer First, ...infer Rest]
    ? [First] extends [KeyArgument] ? [First, ...KeyArguments<Rest>]
    : KeyArguments<Rest>
  : Args extends readonly [(infer First)?, ...infer Rest]
    ? [First] extends [KeyArgument] ? [First?, ...KeyArguments<Rest>]
    : KeyArguments<Rest>
  : never;

/**
 * What names an entry: what of the arguments can be part of a key, or all of
 * them, where none can be part of one or not.
 */
export type NamingArguments<Args extends readonly unknown[]> =
  | KeyArguments<Args>
  | (true extends { [Index in keyof Args]-?: IsHalfKey<Args[Index]> }[number]
    ? never
    : Args);

/** Whether some of what an argument may be can be part of a key, and some can't. */
export type IsHalfKey<Arg> = [Arg] extends [KeyArgument] ? false
  : [Extract<Arg, KeyArgument>] extends [never] ? false
  : true;

/** The beginnings of a key, with one part at least. */
export type KeyPrefix<Key extends readonly unknown[]> = Key extends readonly []
  ? never
  : Key extends readonly [infer First, ...infer Rest]
    ? [First] | [First, ...KeyPrefix<Rest>]
  : Key extends readonly [(infer First)?, ...infer Rest]
    ? number extends Key["length"] ? Key
    : [First] | [First, ...KeyPrefix<Rest>]
  : never;

/** What is known of a method that has a cache. */
export interface CacheBinding {
  /** The cache's name on the wire. */
  readonly name: string;
  /** Whether its entries can be invalidated by prefix. */
  readonly isTree: boolean;
  /** The key that arguments stand for, where it isn't the arguments themselves. */
  readonly keyOf?:
    | ((...args: unknown[]) => readonly KeyArgument[])
    | undefined;
  /** The positions of arguments that don't belong to the key. */
  readonly uncachedArgs?: readonly number[] | undefined;
  /** Its loads that may be aborted, of a method of an attached store. */
  readonly loads?: SharedLoads | undefined;
  /** The cache itself, of a method of an attached store. */
  readonly cache?: KeyedCache | undefined;
}

const bindings = new WeakMap<object, CacheBinding>();

/** Says that a method has a cache. */
export function bindCache(method: object, binding: CacheBinding): void {
  bindings.set(method, binding);
}

/** What is known of a method's cache, if it has one. */
export function findCacheBinding(method: unknown): CacheBinding | undefined {
  return bindings.get(Object(method));
}

/**
 * What is known of a method's cache.
 *
 * @param method A decorated method.
 * @param action What is to be done with it, for the error.
 * @throws {HeadwaterError} `NOT_CACHED` if it has none.
 */
export function cacheBindingOf(
  method: CachedMethod,
  action = "invalidate",
): CacheBinding {
  const binding = findCacheBinding(method);
  if (binding !== undefined) return binding;
  const shown = typeof method === "function" ? method.name : String(method);
  throw new HeadwaterError(
    "NOT_CACHED",
    `Cannot ${action} "${shown}": it has no cache; decorate it with @cached`,
  );
}

/**
 * The name of a method's cache.
 *
 * @param cache A decorated method, or a cache's name.
 * @param action What is to be done with it, for the error.
 * @throws {HeadwaterError} `NOT_CACHED` if the method is not decorated.
 */
export function cacheNameOf(
  cache: string | CachedMethod,
  action = "invalidate",
): string {
  return typeof cache === "string" ? cache : cacheBindingOf(cache, action).name;
}

/**
 * The key on the wire that arguments of a method stand for.
 *
 * @param cache A decorated method, or a cache's name.
 * @param args The arguments.
 * @throws {HeadwaterError} `NOT_CACHED`, `KEY_INVALID`.
 */
export function wireKeyOf(
  cache: string | CachedMethod,
  args: readonly KeyArgument[],
): KeyPart[] {
  const name = cacheNameOf(cache);
  const keyOf = typeof cache === "string"
    ? undefined
    : cacheBindingOf(cache).keyOf;
  const key = keyOf === undefined ? args : keyOf(...args);
  checkKey(name, key);
  return toWireKey(key);
}

/**
 * The key on the wire of an entry that a group, or another cache's entry,
 * stands for.
 *
 * @param cache A decorated method, or a cache's name.
 * @param key The entry's key.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` of a method whose keys `keyOf`
 *   makes: its arguments can't be known from a key; `NOT_CACHED`, `KEY_INVALID`.
 */
export function namedKeyOf(
  cache: string | CachedMethod,
  key: readonly KeyArgument[],
): KeyPart[] {
  if (typeof cache === "string" || cacheBindingOf(cache).keyOf === undefined) {
    return wireKeyOf(cache, key);
  }
  const name = cacheNameOf(cache);
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot invalidate an entry of ${
      quote(name)
    } by its method: its keys are ` +
      `made by keyOf; give its name and the key, [${quote(name)}, [...]]`,
  );
}

/**
 * The beginning of keys on the wire.
 *
 * @param cache A decorated method, or a cache's name.
 * @param prefix The first of its arguments.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` of a method whose entries are not
 *   found by one; `NOT_CACHED`, `KEY_INVALID`.
 */
export function wirePrefixOf(
  cache: string | CachedMethod,
  prefix: readonly KeyArgument[],
): KeyPart[] {
  const name = cacheNameOf(cache);
  if (typeof cache !== "string") requireTree(cacheBindingOf(cache));
  checkKey(name, prefix);
  const key = toWireKey(prefix);
  if (key.length > 0) return key;
  throw new HeadwaterError(
    "KEY_INVALID",
    `Cannot invalidate "${name}" by an empty prefix; give the first argument, ` +
      "or use invalidateAll",
  );
}

function requireTree({ name, isTree, keyOf }: CacheBinding): void {
  if (isTree && keyOf === undefined) return;
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot invalidate ${quote(name)} by prefix: ` +
      (isTree
        ? "its keys are made by keyOf; give its name and the beginning of a key"
        : "its entries are not found by one; decorate it with tree: true"),
  );
}

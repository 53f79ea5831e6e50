/**
 * Putting a cache before a method.
 *
 * @module
 */

import { HeadwaterError } from "../runtime/errors.ts";
import { abortable } from "../runtime/waiting.ts";
import { bindCache } from "./cached_method.ts";
import { argumentsOf, bindSource } from "./cache_sources.ts";
import type { KeyArgument } from "./key_parts.ts";
import type { KeyedCache } from "./keyed_cache.ts";
import { SharedLoads } from "./shared_loads.ts";

/** What of a method's arguments makes its keys: all of them by default. */
export interface KeyShape {
  /** The positions of arguments that don't belong to the key, from 0. */
  readonly uncachedArgs?: readonly number[] | undefined;
  /** Makes the key. */
  // deno-lint-ignore no-explicit-any -- the arguments of any method
  readonly keyOf?: ((...args: any[]) => unknown) | undefined;
}

/** A method, and whose it is. */
export interface Loader<Args extends readonly unknown[], Value> {
  readonly owner: object;
  readonly method: (this: never, ...args: Args) => Promise<Value>;
}

/**
 * The method with its cache before it.
 *
 * @param loader What loads an entry.
 * @param cache Where entries are kept.
 * @param shape What makes a key.
 */
export function bindCached<Args extends readonly unknown[], Value>(
  loader: Loader<Args, Value>,
  cache: KeyedCache,
  shape: KeyShape,
): (...args: Args) => Promise<Value> {
  const keyOf = keyFunction(cache.name, shape);
  const loads = new SharedLoads();
  const bound = keyOf === undefined
    ? bindPlain(loader, cache)
    : bindShaped(loader, cache, shape, keyOf, loads);
  const { owner, method } = loader;
  bindSource(cache, {
    owner,
    load: shape.keyOf !== undefined
      ? undefined
      : async (key) =>
        await Reflect.apply(
          method,
          owner,
          argumentsOf(key, shape.uncachedArgs) as unknown as Args,
        ),
  });
  bindCache(bound, {
    name: cache.name,
    isTree: cache.isTree,
    cache,
    keyOf: shape.keyOf === undefined ? undefined : keyOf,
    uncachedArgs: shape.uncachedArgs,
    loads,
  });
  return bound;
}

/**
 * What makes the keys of a method whose arguments aren't the key themselves.
 *
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for positions that can't be.
 */
export function keyFunction(
  name: string,
  { uncachedArgs, keyOf }: KeyShape,
): ((...args: unknown[]) => readonly KeyArgument[]) | undefined {
  if (keyOf !== undefined && uncachedArgs !== undefined) {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot cache method "${name}": it has both keyOf and uncachedArgs; ` +
        "leave those arguments out in keyOf",
    );
  }
  if (keyOf !== undefined) {
    return (...args) => {
      const key = keyOf(...args);
      // A copy: the caller may use the array again while the entry is loaded.
      return (Array.isArray(key) ? [...key] : [key]) as readonly KeyArgument[];
    };
  }
  if (uncachedArgs === undefined) return undefined;
  for (const position of uncachedArgs) {
    if (Number.isSafeInteger(position) && position >= 0) continue;
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot cache method "${name}": ${position} in uncachedArgs is no ` +
        "position of an argument; count from 0",
    );
  }
  const left = new Set(uncachedArgs);
  return (...args) =>
    args.filter((_, position) => !left.has(position)) as KeyArgument[];
}

/**
 * Not `async`, and nothing awaited: a hit gives the kept promise itself, in
 * less than half the time. The arguments go on one by one, or spread: a list
 * that is handed on as such is made for every call, hits included.
 */
function bindPlain<Args extends readonly unknown[], Value>(
  { owner, method }: Loader<Args, Value>,
  cache: KeyedCache,
): (...args: Args) => Promise<Value> {
  const findOrLoad = (...args: Args): Promise<Value> => {
    const key = args as unknown as readonly KeyArgument[];
    const entry = cache.get(key) as Promise<Value> | undefined;
    if (entry !== undefined) return entry;
    try {
      return cache.load(
        key,
        () => Promise.resolve(Reflect.apply(method, owner, args)),
      );
    } catch (error) {
      // What is thrown before the load begins is a rejection like any other.
      return Promise.reject(error);
    }
  };
  return (...args) => {
    const entry = args.length === 1
      ? cache.getOne(args[0] as KeyArgument)
      : args.length === 2
      ? cache.getTwo(args[0] as KeyArgument, args[1] as KeyArgument)
      : undefined;
    return entry === undefined ? findOrLoad(...args) : entry as Promise<Value>;
  };
}

/** Among the arguments beside the key there may be the signal of a caller. */
function bindShaped<Args extends readonly unknown[], Value>(
  { owner, method }: Loader<Args, Value>,
  cache: KeyedCache,
  { uncachedArgs }: KeyShape,
  keyOf: (...args: unknown[]) => readonly KeyArgument[],
  loads: SharedLoads,
): (...args: Args) => Promise<Value> {
  const isBeside = (position: number) =>
    uncachedArgs === undefined || uncachedArgs.includes(position);
  const load = (args: Args, key: readonly KeyArgument[], at: number) =>
    loads.begin<Value>((signal) => {
      const given = args.map((argument, position) =>
        position === at ? signal : argument
      );
      return cache.load(key, () => {
        // It may have waited for longer than anybody has for it.
        signal.throwIfAborted();
        return Promise.resolve(Reflect.apply(method, owner, given));
      }, signal);
    }, (loading) => cache.abandon(key, loading));
  return (...args) => {
    try {
      const key = keyOf(...args);
      const at = args.findIndex((argument, position) =>
        argument instanceof AbortSignal && isBeside(position)
      );
      const signal = args[at] as AbortSignal | undefined;
      signal?.throwIfAborted();
      const entry = cache.get(key) as Promise<Value> | undefined;
      if (entry === undefined) return loads.wait(load(args, key, at), signal);
      // A load that a list has begun is nobody's to abort, but may be left.
      return loads.has(entry)
        ? loads.wait(entry, signal)
        : abortable(entry, cache.isLoading ? signal : undefined);
    } catch (error) {
      return Promise.reject(error);
    }
  };
}

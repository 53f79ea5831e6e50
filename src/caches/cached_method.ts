/**
 * Methods that have a cache, and what it is called.
 *
 * @module
 */

import { HeadwaterError } from "../runtime/errors.ts";
import type { KeyPart } from "../streams/builtin_streams.ts";

/** A method that `@cached` has decorated. Its arguments are its cache's key. */
// deno-lint-ignore no-explicit-any -- any arguments: what they may be is checked where it is decorated
export type CachedMethod<Args extends readonly KeyPart[] = any> = (
  ...args: Args
) => Promise<unknown>;

const names = new WeakMap<object, string>();

/** Gives a method's cache its name. */
export function setCacheName(method: object, name: string): void {
  names.set(method, name);
}

/**
 * The name of a method's cache.
 *
 * @param cache A decorated method, or a cache's name.
 * @throws {HeadwaterError} `NOT_CACHED` if the method is not decorated.
 */
export function cacheNameOf(cache: string | CachedMethod): string {
  if (typeof cache === "string") return cache;
  const name = names.get(Object(cache));
  if (name !== undefined) return name;
  const shown = typeof cache === "function" ? cache.name : String(cache);
  throw new HeadwaterError(
    "NOT_CACHED",
    `Cannot invalidate "${shown}": it has no cache; decorate it with @cached`,
  );
}

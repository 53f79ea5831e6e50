/**
 * What an invalidation stands for, without doing it.
 *
 * @module
 */

import type { KeyPart } from "../streams/builtin_streams.ts";
import { expandGroup } from "./cache_groups.ts";
import type { CacheRegistry } from "./cache_registry.ts";
import { cacheNameOf, wireKeyOf } from "./cached_method.ts";

/** One invalidation: of a cache's key, of all keys that begin so, or (`null`) of a cache. */
export type ReachedKey = readonly [
  cache: string,
  key: readonly KeyPart[] | null,
];

/** An invalidation that a row stands for, and how it came to it. */
export interface Reached {
  readonly key: ReachedKey;
  /** The row first, then the caches that others depend on. */
  readonly via: readonly ReachedKey[];
}

/**
 * All that a row stands for: what a group expands to, and what depends on it.
 *
 * @param registry Knows groups and caches.
 * @param row A name on the wire and its key.
 * @returns `undefined` if that can't be known: then every cache is cleared.
 */
export function reachOf(
  registry: CacheRegistry,
  row: ReachedKey,
): readonly Reached[] | undefined {
  const [name, key] = row;
  try {
    if (registry.kindOf(name) !== "group") {
      return withDependents(registry, [{ key: row, via: [] }]);
    }
    const expanded = expandGroup(registry.group(name), key);
    return withDependents(
      registry,
      expanded.map((reached) => ({ key: reached, via: [row] })),
    );
  } catch {
    return undefined;
  }
}

function withDependents(
  registry: CacheRegistry,
  first: readonly Reached[],
): Reached[] {
  const all: Reached[] = [];
  const seen = new Set<string>();
  const pending = [...first];
  for (let next = pending.shift(); next !== undefined; next = pending.shift()) {
    const id = JSON.stringify(next.key);
    if (seen.has(id)) continue;
    seen.add(id);
    all.push(next);
    const [name, key] = next.key;
    for (const dependentsOf of registry.dependentsOf(name)) {
      for (const [cache, parts] of dependentsOf(key)) {
        const dependent = parts && wireKeyOf(cache, parts);
        pending.push({
          key: [cacheNameOf(cache), dependent],
          via: [...next.via, next.key],
        });
      }
    }
  }
  return all;
}

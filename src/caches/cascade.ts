/**
 * Invalidating what depends on what is invalidated.
 *
 * @module
 */

import type { KeyPart } from "../streams/builtin_streams.ts";
import { cacheNameOf, namedKeyOf } from "./cached_method.ts";
import type { CachedOptions } from "./cached_options.ts";
import type { KeyedCache } from "./keyed_cache.ts";

/** What depends on an entry, or on a whole cache. */
export type Dependents = NonNullable<CachedOptions["onInvalidate"]>;

/** What a cascade works with. */
export interface CascadeOptions {
  /**
   * Invalidates an entry, or a whole cache.
   *
   * @param name The cache's.
   * @param cause The name of the cache that it depends on.
   */
  readonly invalidate: (
    name: string,
    key: readonly KeyPart[] | null,
    cause: string,
  ) => void;
  /** Called where it can't be known what depends on a cache. */
  readonly failed: (name: string, error: unknown) => void;
}

/** Knows what depends on which cache, and invalidates it likewise. */
export class Cascade {
  readonly #options: CascadeOptions;
  readonly #dependents = new Map<KeyedCache, Dependents>();
  /** Invalidations that are under way, against those that come back to themselves. */
  readonly #running = new Set<string>();

  /** Constructs one in which nothing depends on anything. */
  constructor(options: CascadeOptions) {
    this.#options = options;
  }

  /** Has the invalidations of a cache go on to what depends on it. */
  add(cache: KeyedCache, dependents: Dependents): void {
    this.#dependents.set(cache, dependents);
    cache.cascade = (key) => this.#run(cache.name, key, dependents);
  }

  /** What depends on a cache; `undefined` if nothing does. */
  of(cache: KeyedCache): Dependents | undefined {
    return this.#dependents.get(cache);
  }

  #run(
    name: string,
    key: readonly KeyPart[] | null,
    dependents: Dependents,
  ): void {
    const id = JSON.stringify([name, key]);
    if (this.#running.has(id)) return;
    this.#running.add(id);
    try {
      for (const [cache, parts] of dependents(key)) {
        const dependent = cacheNameOf(cache);
        const own = parts && namedKeyOf(cache, parts);
        this.#options.invalidate(dependent, own, name);
      }
    } catch (error) {
      this.#options.failed(name, error);
    } finally {
      this.#running.delete(id);
    }
  }
}

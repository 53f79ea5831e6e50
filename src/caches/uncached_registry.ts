/**
 * Caches that keep nothing: a store that is attached to them reads the database.
 *
 * @module
 */

import { CacheRegistry } from "./cache_registry.ts";
import type { CachedOptions } from "./cached_options.ts";
import { checkKey, type KeyArgument } from "./key_parts.ts";
import { KeyedCache } from "./keyed_cache.ts";
import type { LoadTime } from "./load_runner.ts";
import { beginLoad } from "./load_scope.ts";
import { silentLogger } from "../runtime/logger.ts";
import { systemClock } from "../runtime/clock.ts";

/** Gives stores caches that keep nothing, in the order they ask for them. */
export class UncachedRegistry extends CacheRegistry {
  readonly #created: KeyedCache[] = [];

  /** Constructs an empty one. */
  constructor() {
    super([], silentLogger);
  }

  /** The caches that were asked for. */
  get created(): readonly KeyedCache[] {
    return this.#created;
  }

  override create(name: string, options: CachedOptions): KeyedCache {
    const cache = new UncachedCache({
      ...options,
      name,
      clock: systemClock,
      logger: silentLogger,
    });
    this.#created.push(cache);
    return cache;
  }
}

/** Finds nothing, and keeps no load. */
class UncachedCache extends KeyedCache {
  override get(_parts: readonly KeyArgument[]): undefined {
    return undefined;
  }

  override load<Value>(
    parts: readonly KeyArgument[],
    start: () => Promise<Value>,
  ): Promise<Value> {
    checkKey(this.name, parts);
    return beginLoad(start);
  }

  override keep<Value>(
    _parts: readonly KeyArgument[],
    start: (time: LoadTime) => Promise<Value>,
  ): Promise<Value> {
    return start(this.runner.now());
  }
}

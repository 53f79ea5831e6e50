/**
 * A change cache that a stream fills: one for each instance.
 *
 * @module
 */

import { messageOf } from "../runtime/errors.ts";
import type { Logger } from "../runtime/logger.ts";
import type { CacheStats } from "./cache_stats.ts";
import { CACHES } from "./cached.ts";
import { ChangeCache } from "./change_cache.ts";
import type { DefinedChangeCache } from "./change_definition.ts";
import { PlainBounds } from "./plain_bounds.ts";
import type { Place, PlainCache } from "./place.ts";
import { placeOf, type PlainCacheOwner, plainStats } from "./plain_cache.ts";

type Entity = string | number;

/** How much is remembered of each instance. */
interface FilledLimits {
  readonly maxPositions: number;
  readonly maxEntities: number;
}

/** One declared cache, by instance. */
export class FilledChanges {
  /** What was declared. */
  readonly definition: DefinedChangeCache;
  /** What is known of each instance. */
  readonly caches: Map<string, ChangeCache<Entity>> = new Map();
  readonly #logger: Logger;
  readonly #place: Place | undefined;
  readonly #bounds: PlainBounds<"maxEntries" | "maxPositions">;
  /** What a store sees of the caches, by instance. */
  readonly #parts = new Map<string, PlainCache>();
  /** What those have done that others have replaced. */
  #past: CacheStats;
  #isClosed = false;

  /**
   * Constructs one that knows of no instance.
   *
   * @param definition What was declared.
   * @param logger Hears of rows whose entities can't be found.
   * @param store Whose it is; it lists them all as one.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` if the store has something else
   *   of that name.
   */
  constructor(
    definition: DefinedChangeCache,
    logger: Logger,
    store?: PlainCacheOwner,
  ) {
    const { name, maxPositions, maxEntities, fixedSize } = definition;
    this.definition = definition;
    this.#logger = logger;
    this.#place = store &&
      placeOf(`declare change cache "${name}"`, { store, name });
    this.#bounds = new PlainBounds(
      { maxPositions, maxEntries: maxEntities },
      this.#place?.factor,
      fixedSize,
    );
    this.#past = sum(name, []);
    this.#place?.takeIn({
      name,
      stats: () => this.#stats(),
      prepareResize: (limits) => {
        const change = this.#bounds.prepare(name, limits, "maxEntries");
        return (factor) => {
          change(factor);
          for (const cache of this.caches.values()) cache.resize(this.limits);
        };
      },
      // It is told what is not known, instance by instance.
      cleared: () => {},
      close: () => this.#close(),
    });
  }

  /** How much is remembered of each instance. */
  get limits(): FilledLimits {
    const { maxPositions, maxEntries } = this.#bounds.now;
    return { maxPositions, maxEntities: maxEntries };
  }

  /** The entities that rows tell a change of; `undefined` if that can't be known. */
  entitiesOf(rows: readonly unknown[]): Set<Entity> | undefined {
    const found = new Set<Entity>();
    try {
      for (const row of rows) {
        for (const entity of this.definition.entities(row)) found.add(entity);
      }
      return found;
    } catch (error) {
      const { name } = this.definition;
      this.#logger(
        "error",
        "a row's entities not found: all may have changed",
        {
          cache: name,
          error: messageOf(error),
        },
      );
      return undefined;
    }
  }

  /** Begins anew with an instance, whose every change after a token will be told. */
  begin(
    instance: string,
    earliestKnown: number,
    prefill: Iterable<readonly [Entity, number]> = [],
  ): void {
    if (this.#isClosed) return;
    const { name } = this.definition;
    this.#replace(instance);
    const options = { earliestKnown, prefill, ...this.limits };
    const place = this.#place;
    const store = place && {
      [CACHES]: {
        place: () => ({
          ...place,
          // What its limits are multiplied with already.
          factor: 1,
          takeIn: (part: PlainCache) => void this.#parts.set(instance, part),
        }),
      },
    };
    const cache = new ChangeCache(
      store ? { ...options, store, name } : options,
    );
    this.caches.set(instance, cache);
  }

  /** Notes what a transaction's rows tell. */
  mark(instance: string, token: number, rows: readonly unknown[]): void {
    const cache = this.caches.get(instance);
    if (cache === undefined) {
      this.begin(instance, token);
      return;
    }
    const entities = this.entitiesOf(rows);
    if (entities === undefined) cache.allChanged(token);
    else for (const entity of entities) cache.changed(entity, token);
  }

  #replace(instance: string): void {
    const part = this.#parts.get(instance);
    if (part === undefined) return;
    part.close();
    this.#past = sum(this.definition.name, [this.#past, part.stats()]);
  }

  /** All instances together. */
  #stats(): CacheStats {
    const { name } = this.definition;
    const parts = [...this.#parts.values()].map((part) => part.stats());
    const { maxEntities } = this.limits;
    const isCounted = this.#place?.memory !== undefined;
    return {
      ...sum(name, [this.#past, ...parts]),
      maxEntries: maxEntities * Math.max(1, parts.length),
      bytes: isCounted
        ? parts.reduce((bytes, part) => bytes + (part.bytes ?? 0), 0)
        : undefined,
    };
  }

  #close(): void {
    // They say of everything that it may have changed.
    for (const part of this.#parts.values()) part.close();
    this.#isClosed = true;
  }
}

/** What several caches have done, as if they were one. */
function sum(name: string, parts: readonly CacheStats[]): CacheStats {
  const of = (count: (part: CacheStats) => number) =>
    parts.reduce((total, part) => total + count(part), 0);
  return plainStats({
    name,
    entries: of(({ entries }) => entries),
    maxEntries: undefined,
    bytes: undefined,
    hits: of(({ hits }) => hits),
    misses: of(({ misses }) => misses),
    evictions: of(({ evictions }) => evictions),
    invalidations: of(({ invalidations }) => invalidations),
  });
}

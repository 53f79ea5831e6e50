/**
 * Asking what has changed since a position.
 *
 * @module
 */

import type { Position, WaitTarget } from "../tokens/position.ts";
import { parseToken, type Token } from "../tokens/token.ts";
import type { ChangeCache, ChangeCacheStats } from "./change_cache.ts";

/**
 * What a store has seen change in a stream.
 *
 * It tells of what the store has applied: of changes after `since` that are
 * contained in its position. To ask once more later, note the store's position
 * *before* reading what it is about; what is noted after may miss a change.
 *
 * Where nobody knows (a position from before the time that is remembered, one of
 * an instance that the store does not follow, or one that lacks an instance that
 * it does), everything may have changed.
 */
export interface Changes<Entity extends string | number = string> {
  /** Up to where nothing is known, by instance. */
  readonly earliestKnown: Position;
  /** What it has done so far, all instances together. */
  readonly stats: ChangeCacheStats;
  /**
   * Whether an entity may have changed after a position.
   *
   * @throws {HeadwaterError} As `waitFor` for what is no position of this log.
   */
  hasChanged(entity: Entity, since: WaitTarget): boolean;
  /**
   * Those of some entities that may have changed after a position.
   *
   * @throws {HeadwaterError} As `waitFor` for what is no position of this log.
   */
  changedSince(entities: Iterable<Entity>, since: WaitTarget): Set<Entity>;
  /**
   * Every entity that has changed after a position, those of one instance in the
   * order of their last change; `undefined` if it isn't known.
   *
   * @throws {HeadwaterError} As `waitFor` for what is no position of this log.
   */
  allChangedSince(since: WaitTarget): Entity[] | undefined;
  /**
   * Whether any entity at all may have changed after a position.
   *
   * @throws {HeadwaterError} As `waitFor` for what is no position of this log.
   */
  hasAnyChanged(since: WaitTarget): boolean;
  /** Where an entity changed last, by instance; without those where it isn't known. */
  lastChange(entity: Entity): Position;
}

/** Reads a position, as users give it. */
export type ParsePosition = (target: WaitTarget) => Position;

/**
 * Puts the caches of all instances together. Tokens of two instances don't
 * compare, so each has a cache of its own; an entity has changed if it has in
 * any of them.
 */
export class InstanceChanges<Entity extends string | number>
  implements Changes<Entity> {
  readonly #caches: ReadonlyMap<string, ChangeCache<Entity>>;
  readonly #parse: ParsePosition;

  /**
   * Constructs a view of caches, by instance; they may come and go.
   *
   * @param parse Reads positions.
   */
  constructor(
    caches: ReadonlyMap<string, ChangeCache<Entity>>,
    parse: ParsePosition,
  ) {
    this.#caches = caches;
    this.#parse = parse;
  }

  get earliestKnown(): Position {
    return new Map(Array.from(
      this.#caches,
      ([instance, cache]) => [instance, parseToken(cache.earliestKnown)],
    ));
  }

  get stats(): ChangeCacheStats {
    const sum = { entities: 0, positions: 0, hits: 0, misses: 0 };
    for (const { stats } of this.#caches.values()) {
      sum.entities += stats.entities;
      sum.positions += stats.positions;
      sum.hits += stats.hits;
      sum.misses += stats.misses;
    }
    return sum;
  }

  hasChanged(entity: Entity, since: WaitTarget): boolean {
    const asked = this.#ask(since);
    return asked === undefined ||
      asked.some(([cache, token]) => cache.hasChanged(entity, token));
  }

  changedSince(entities: Iterable<Entity>, since: WaitTarget): Set<Entity> {
    const all = new Set(entities);
    const asked = this.#ask(since);
    if (asked === undefined) return all;
    const changed = new Set<Entity>();
    for (const [cache, token] of asked) {
      // A cache that knows of no change gives all back: here others may know some.
      if (!cache.hasAnyChanged(token)) continue;
      for (const entity of cache.changedSince(all, token)) changed.add(entity);
    }
    return changed;
  }

  allChangedSince(since: WaitTarget): Entity[] | undefined {
    const changed = new Set<Entity>();
    for (const [cache, token] of this.#ask(since) ?? [UNKNOWN]) {
      const some = cache?.allChangedSince(token);
      if (some === undefined) return undefined;
      for (const entity of some) changed.add(entity);
    }
    return [...changed];
  }

  hasAnyChanged(since: WaitTarget): boolean {
    const asked = this.#ask(since);
    return asked === undefined ||
      asked.some(([cache, token]) => cache.hasAnyChanged(token));
  }

  lastChange(entity: Entity): Position {
    const tokens = new Map<string, Token>();
    for (const [instance, cache] of this.#caches) {
      const token = cache.lastChange(entity);
      if (token !== undefined) tokens.set(instance, parseToken(token));
    }
    return tokens;
  }

  /** Whom to ask, and about which token; `undefined` if nobody here knows an instance. */
  #ask(
    since: WaitTarget,
  ): (readonly [ChangeCache<Entity>, number])[] | undefined {
    const position = this.#parse(since);
    for (const instance of position.keys()) {
      if (!this.#caches.has(instance)) return undefined;
    }
    return Array.from(
      this.#caches,
      ([instance, cache]) => [cache, position.get(instance) ?? 0],
    );
  }
}

const UNKNOWN = [undefined, 0] as const;

/**
 * What has changed since a token, kept in memory.
 *
 * @module
 */

import { requireBounds } from "../runtime/bounds.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import {
  MAX_CHANGE_POSITIONS,
  MAX_CHANGED_ENTITIES,
} from "../runtime/limits.ts";
import { type OptionNames, requireNames } from "../runtime/option_names.ts";
import { ChangeMemory } from "./change_memory.ts";
import { type Change, ChangeOrder } from "./change_order.ts";
import type { MemoryBudget } from "./memory_budget.ts";
import { PlainBounds } from "./plain_bounds.ts";
import type { Place } from "./place.ts";
import {
  placeOf,
  PLAIN_OPTIONS,
  type PlainCacheOptions,
} from "./plain_cache.ts";
import { takePart } from "./plain_member.ts";
import { PlainTally } from "./plain_tally.ts";
import { bytesOfPlain } from "./size_of.ts";

/** What a change takes besides the entity's name. */
const CHANGE_BYTES = 95;

/** How much a {@linkcode ChangeCache} remembers. */
export interface ChangeCacheLimits {
  /**
   * Tokens whose changes are remembered, however many entities each of them
   * changed. Beyond, the lowest token is forgotten, and `earliestKnown` is it.
   *
   * @default {10000}
   */
  readonly maxPositions?: number | undefined;

  /**
   * Entities that are remembered. Beyond, the lowest tokens are forgotten, each
   * with all that it changed.
   *
   * @default {100000}
   */
  readonly maxEntities?: number | undefined;
}

/** Options of {@linkcode ChangeCache}. */
export interface ChangeCacheOptions<Entity>
  extends ChangeCacheLimits, PlainCacheOptions {
  /**
   * The token after which every change will be told: nothing is known of those
   * at it, or before it.
   */
  readonly earliestKnown: number;

  /**
   * What has changed since, and when; in any order.
   *
   * @default {nothing}
   */
  readonly prefill?:
    | Iterable<readonly [entity: Entity, token: number]>
    | undefined;
}

/** The names of {@linkcode ChangeCacheOptions}. */
export const CHANGE_OPTIONS: OptionNames<ChangeCacheOptions<unknown>> = {
  ...PLAIN_OPTIONS,
  maxPositions: true,
  maxEntities: true,
  earliestKnown: true,
  prefill: true,
};

/** What a change cache has done so far. */
export interface ChangeCacheStats {
  /** Entities it knows a change of. */
  readonly entities: number;
  /** Tokens that they changed at. */
  readonly positions: number;
  /** Questions it could answer. */
  readonly hits: number;
  /** Questions from before `earliestKnown`. */
  readonly misses: number;
}

/**
 * Entities and the token of each one's last change: answers "may this have
 * changed since?" without asking the database.
 *
 * It may say that something has changed that has not, and never the other way
 * round: every change after `earliestKnown` must be told to it, and whoever asks
 * about a token before that is told that everything may have changed.
 *
 * - Cost: marking and asking about one entity are O(1), as long as tokens come
 *   about in order; {@linkcode allChangedSince} is O(matched).
 * - Concurrency: synchronous throughout.
 *
 * Tokens of two instances don't compare: use a cache for each.
 *
 * @example Rooms that have changed
 * ```ts
 * import { equal } from "node:assert/strict";
 * import { ChangeCache } from "headwater/caches";
 *
 * const rooms = new ChangeCache({ earliestKnown: 10 });
 * rooms.changed("kitchen", 12);
 * equal(rooms.hasChanged("kitchen", 11), true);
 * equal(rooms.hasChanged("kitchen", 12), false);
 * equal(rooms.hasChanged("garden", 11), false);
 * equal(rooms.hasChanged("garden", 9), true); // Nobody knows.
 * ```
 */
export class ChangeCache<Entity extends string | number = string> {
  readonly #changes = new Map<Entity, Change<Entity>>();
  readonly #order = new ChangeOrder<Entity>();
  #earliestKnown: number;
  readonly #bounds: PlainBounds<"maxEntries" | "maxPositions">;
  readonly #tally: PlainTally;
  #memory: ChangeMemory | undefined;
  /** The lowest token asked about since an epoch of its memory began; 0 without one. */
  #askedFrom = 0;
  #isPlaced = false;
  #hits = 0;
  #misses = 0;

  /**
   * Constructs a cache.
   *
   * @param options From which token on it is told everything, and how much it remembers.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for a token or a limit that can't be.
   */
  constructor(options: ChangeCacheOptions<Entity>) {
    const {
      maxPositions = MAX_CHANGE_POSITIONS,
      maxEntities = MAX_CHANGED_ENTITIES,
    } = options;
    requireNames("create a change cache", CHANGE_OPTIONS, options);
    requireBounds("create a change cache", options);
    requireToken(options.earliestKnown);
    this.#earliestKnown = options.earliestKnown;
    const place = placeOf("create a change cache", options);
    const bounds = { maxPositions, maxEntries: maxEntities };
    this.#bounds = new PlainBounds(bounds, place?.factor, options.fixedSize);
    this.#tally = new PlainTally(place?.name);
    if (place !== undefined) this.#join(place);
    for (const [entity, token] of options.prefill ?? []) {
      this.changed(entity, token);
    }
  }

  /** The token after which every change is known. Grows as changes are forgotten. */
  get earliestKnown(): number {
    return this.#earliestKnown;
  }

  /** What it has done so far. */
  get stats(): ChangeCacheStats {
    return {
      entities: this.#changes.size,
      positions: this.#order.positions,
      hits: this.#hits,
      misses: this.#misses,
    };
  }

  /** Whether an entity may have changed after a token. */
  hasChanged(entity: Entity, token: number): boolean {
    if (!this.#isKnown(token, entity)) return true;
    const change = this.#changes.get(entity);
    return change !== undefined && change.token > token;
  }

  /**
   * Those of some entities that may have changed after a token: all of them if
   * the token is before {@linkcode earliestKnown}, or no change is known at all.
   */
  changedSince(entities: Iterable<Entity>, token: number): Set<Entity> {
    if (!this.#isKnown(token) || this.#order.newest === undefined) {
      return new Set(entities);
    }
    const changed = new Set<Entity>();
    if (entities instanceof Set && this.#addNewer(changed, entities, token)) {
      return changed;
    }
    for (const entity of entities) {
      const change = this.#changes.get(entity);
      if (change !== undefined && change.token > token) changed.add(entity);
    }
    return changed;
  }

  /**
   * Every entity that has changed after a token, in the order of its last
   * change; `undefined` if the token is before {@linkcode earliestKnown}.
   */
  allChangedSince(token: number): Entity[] | undefined {
    if (!this.#isKnown(token)) return undefined;
    const changed: Entity[] = [];
    let change = this.#order.newest;
    while (change !== undefined && change.token > token) {
      changed.push(change.entity);
      change = change.older;
    }
    return changed.reverse();
  }

  /** Whether any entity at all may have changed after a token. */
  hasAnyChanged(token: number): boolean {
    if (!this.#isKnown(token)) return true;
    const { newest } = this.#order;
    return newest !== undefined && newest.token > token;
  }

  /** The token of an entity's last change; `undefined` if it isn't known. */
  lastChange(entity: Entity): number | undefined {
    return this.#changes.get(entity)?.token;
  }

  /**
   * Notes a change. One that is not after {@linkcode earliestKnown}, or not
   * after the entity's last, says nothing new.
   *
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for a token that can't be.
   */
  changed(entity: Entity, token: number): void {
    requireToken(token);
    if (token <= this.#earliestKnown) return;
    let change = this.#changes.get(entity);
    const isNew = change === undefined;
    if (change === undefined) {
      change = { entity, token, older: undefined, newer: undefined };
      this.#changes.set(entity, change);
    } else {
      if (change.token >= token) return;
      this.#order.remove(change);
      change.token = token;
    }
    this.#order.add(change);
    if (isNew) this.#memory?.add(bytesOf(entity));
    this.#makeRoom();
  }

  /**
   * Notes that everything may have changed up to a token: nothing is known any
   * more of what was at it, or before it.
   *
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for a token that can't be.
   */
  allChanged(token: number): void {
    requireToken(token);
    if (token <= this.#earliestKnown) return;
    const { size } = this.#changes;
    this.#forget(token);
    this.#tally.invalidated(null, size - this.#changes.size);
  }

  /**
   * Changes how much it remembers, at once.
   *
   * @param limits Those that change.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for a limit that can't be.
   */
  resize(limits: ChangeCacheLimits): void {
    requireBounds("resize a change cache", limits);
    const { maxPositions, maxEntities: maxEntries } = limits;
    this.#bounds.write({ maxPositions, maxEntries });
    this.#makeRoom();
  }

  #join(place: Place): void {
    const { memory } = place;
    this.#isPlaced = true;
    if (memory !== undefined) this.#memory = this.#takeMemory(memory);
    takePart(place, {
      bounds: this.#bounds,
      tally: this.#tally,
      memory: this.#memory,
      entries: () => this.#changes.size,
      makeRoom: () => this.#makeRoom(),
      // Nobody tells it anything then.
      clear: () => this.allChanged(Number.MAX_SAFE_INTEGER),
      // Whoever tells it of changes tells it of those that are not known, too.
      isTold: false,
    });
  }

  #takeMemory(memory: MemoryBudget): ChangeMemory {
    const holder = {
      oldest: () => this.#order.oldest?.token,
      askedFrom: () => this.#askedFrom,
      beginAsking: () => {
        this.#askedFrom = this.#order.newest?.token ?? this.#earliestKnown;
      },
      forgetOldest: () => this.#evict(),
    };
    holder.beginAsking();
    return new ChangeMemory(memory, holder);
  }

  /** Written so that what is no number at all is not known either. */
  #isKnown(token: number, entity?: Entity): boolean {
    const isKnown = token >= this.#earliestKnown;
    if (isKnown) this.#hits += 1;
    else this.#misses += 1;
    if (this.#isPlaced) this.#noteAsked(token, isKnown, entity);
    return isKnown;
  }

  /** Notes a question for the store. */
  #noteAsked(token: number, isKnown: boolean, entity?: Entity): void {
    if (!isKnown) {
      this.#tally.miss(entity);
      return;
    }
    if (token < this.#askedFrom) this.#askedFrom = token;
    this.#tally.hit(entity);
  }

  /**
   * Adds those of a set that are among the newest, and says whether these were
   * all: it gives up once it has seen as many as there are to look up.
   */
  #addNewer(
    changed: Set<Entity>,
    entities: ReadonlySet<Entity>,
    token: number,
  ): boolean {
    let change = this.#order.newest;
    for (let seen = 0; seen < entities.size; seen += 1) {
      if (change === undefined || change.token <= token) return true;
      if (entities.has(change.entity)) changed.add(change.entity);
      change = change.older;
    }
    return change === undefined || change.token <= token;
  }

  #makeRoom(): void {
    const { maxPositions, maxEntries } = this.#bounds.now;
    while (
      this.#order.positions > maxPositions || this.#changes.size > maxEntries
    ) {
      this.#evict();
    }
  }

  /** Forgets the lowest token, with all that changed at it. */
  #evict(): void {
    const { oldest } = this.#order;
    if (oldest !== undefined) this.#forget(oldest.token, true);
  }

  /** Forgets all up to a token. */
  #forget(token: number, isEvicted = false): void {
    let { oldest } = this.#order;
    while (oldest !== undefined && oldest.token <= token) {
      const { entity, newer } = oldest;
      this.#changes.delete(entity);
      this.#order.remove(oldest);
      this.#memory?.remove(bytesOf(entity));
      if (isEvicted) this.#tally.evicted(entity);
      oldest = newer;
    }
    this.#earliestKnown = token;
  }
}

function bytesOf(entity: string | number): number {
  return bytesOfPlain(CHANGE_BYTES, entity, undefined);
}

function requireToken(token: number): void {
  if (Number.isSafeInteger(token) && token >= 0) return;
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot note a change at token ${String(token)}: ` +
      "give an integer, 0 or more",
  );
}

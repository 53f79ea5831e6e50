/**
 * Dictionaries that are known in part.
 *
 * @module
 */

import { requireBounds } from "../runtime/bounds.ts";
import { MAX_DICTIONARY_ENTRIES } from "../runtime/limits.ts";
import { type OptionNames, requireNames } from "../runtime/option_names.ts";
import { ChangeCache } from "./change_cache.ts";
import {
  bytesOf,
  type Dictionary,
  type Entry,
  isEmpty,
  weightOf,
} from "./dictionary_entry.ts";
import { EntryOrder, NOWHERE } from "./entry_order.ts";
import { PlainBounds } from "./plain_bounds.ts";
import {
  placeOf,
  PLAIN_OPTIONS,
  type PlainCacheOptions,
} from "./plain_cache.ts";
import type { PlainKey } from "./plain_key.ts";
import { takePart } from "./plain_member.ts";
import { PlainTally } from "./plain_tally.ts";

/** Options of {@linkcode DictionaryCache}. */
export interface DictionaryCacheOptions extends PlainCacheOptions {
  /**
   * How much it may hold: each sub-key that is known by itself counts 1, known
   * to be absent too, and each full dictionary as many as it has sub-keys, 1 at
   * least. The least recently used goes first.
   *
   * @default {10000}
   */
  readonly maxEntries?: number | undefined;

  /**
   * Invalidated keys that are remembered, to tell whether what was loaded
   * meanwhile is stale. Beyond, loads that began before are not stored,
   * whichever key they are of.
   *
   * @default {10000}
   */
  readonly maxInvalidations?: number | undefined;
}

/** The names of {@linkcode DictionaryCacheOptions}. */
export const DICTIONARY_OPTIONS: OptionNames<DictionaryCacheOptions> = {
  ...PLAIN_OPTIONS,
  maxEntries: true,
  maxInvalidations: true,
};

/** What is known of a dictionary. */
export interface KnownDictionary<SubKey, Value> {
  /** Whether this is all of it: what is not in {@linkcode values} is not there. */
  readonly isFull: boolean;
  /** What is there: shared by all callers, treat it as read-only. */
  readonly values: ReadonlyMap<SubKey, Value>;
  /** Sub-keys that are known not to be there. */
  readonly absent: ReadonlySet<SubKey>;
}

/** What is known of some sub-keys of a dictionary. */
export interface KnownSubKeys<SubKey, Value>
  extends KnownDictionary<SubKey, Value> {
  /** Those of which nothing is known: what has to be loaded. */
  readonly missing: readonly SubKey[];
}

/** What a dictionary cache has done so far. */
export interface DictionaryCacheStats {
  /** How much it holds, as `maxEntries` counts. */
  readonly entries: number;
  /** Gets that found all that they asked for. */
  readonly hits: number;
  /** Gets that did not. */
  readonly misses: number;
  /** Updates that were not stored, as their key was invalidated meanwhile. */
  readonly fenced: number;
}

/**
 * Keeps dictionaries by key, in full or some sub-keys of them: the state of a
 * room, of which one caller wants everything, and another the name only.
 *
 * Promise 4, no stale fill: a load notes {@linkcode generation} before it
 * begins, and gives it to {@linkcode update}, which stores nothing if the key
 * has been invalidated since.
 *
 * One that belongs to a store is cleared when every cache of the store is, as
 * rows were missed: whoever invalidates it hears of writes by them.
 *
 * A full dictionary and single sub-keys go separately: those that are asked for
 * by themselves stay when the full dictionary has to go.
 *
 * @example A load
 * ```ts
 * import { equal } from "node:assert/strict";
 * import { DictionaryCache } from "headwater/caches";
 *
 * const states = new DictionaryCache<string, string, string>();
 * const { generation } = states;
 * const loaded = new Map([["name", "Kitchen"]]); // … from the database
 * states.update(generation, "room", loaded, ["name", "topic"]);
 * const known = states.get("room", ["name", "topic", "avatar"]);
 * equal(known.values.get("name"), "Kitchen");
 * equal(known.absent.has("topic"), true);
 * equal(known.missing.join(), "avatar");
 * ```
 */
export class DictionaryCache<
  Key extends string | number,
  SubKey extends PlainKey,
  Value,
> {
  readonly #dictionaries = new Map<Key, Dictionary<Key, SubKey, Value>>();
  readonly #order: EntryOrder<Entry<Key, SubKey, Value>>;
  readonly #bounds: PlainBounds<"maxEntries">;
  readonly #tally: PlainTally;
  readonly #countsBytes: boolean;
  /** Key → the generation that it was last invalidated in. */
  readonly #invalidated: ChangeCache<Key>;
  #generation = 0;
  /** How much there is, as `maxEntries` counts. */
  #held = 0;

  /**
   * Constructs an empty cache.
   *
   * @param options How much it holds.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for a bound or a name that can't be.
   */
  constructor(options: DictionaryCacheOptions = {}) {
    requireNames("create a dictionary cache", DICTIONARY_OPTIONS, options);
    requireBounds("create a dictionary cache", options);
    const { maxEntries = MAX_DICTIONARY_ENTRIES, maxInvalidations } = options;
    this.#invalidated = new ChangeCache({
      earliestKnown: 0,
      maxPositions: maxInvalidations,
      maxEntities: maxInvalidations,
    });
    const place = placeOf("create a dictionary cache", options);
    const bounds = { maxEntries };
    this.#bounds = new PlainBounds(bounds, place?.factor, options.fixedSize);
    this.#tally = new PlainTally(place?.name);
    this.#order = new EntryOrder(place?.memory, (entry) => this.#evict(entry));
    this.#countsBytes = place?.memory !== undefined;
    if (place === undefined) return;
    takePart(place, {
      bounds: this.#bounds,
      tally: this.#tally,
      memory: this.#countsBytes ? this.#order : undefined,
      entries: () => this.#held,
      makeRoom: () => this.#makeRoom(),
      clear: () => this.clear(),
      // Whoever invalidates it hears of writes by the store.
      isTold: true,
    });
  }

  /**
   * Grows with each invalidation. Read it before a load begins: before its
   * query is sent.
   */
  get generation(): number {
    return this.#generation;
  }

  /** What it has done so far. */
  get stats(): DictionaryCacheStats {
    const { hits, misses, fenced } = this.#tally;
    return { entries: this.#held, hits, misses, fenced };
  }

  /** All that is known of a key. */
  get(key: Key): KnownDictionary<SubKey, Value>;
  /** What is known of some sub-keys; `isFull` if the full dictionary was asked for some. */
  get(key: Key, subKeys: Iterable<SubKey>): KnownSubKeys<SubKey, Value>;
  get(
    key: Key,
    subKeys?: Iterable<SubKey>,
  ): KnownDictionary<SubKey, Value> {
    const dictionary = this.#dictionaries.get(key);
    return subKeys === undefined
      ? this.#getAll(key, dictionary)
      : this.#getSome(key, dictionary, subKeys);
  }

  /**
   * Stores what was loaded, unless the key has been invalidated since the load
   * began.
   *
   * @param generation What {@linkcode generation} was before the load began.
   * @param key The key.
   * @param values What is there. Copied.
   * @param fetched The sub-keys that were asked for: those without a value are
   *   remembered as absent. Without it `values` are all that there is.
   * @returns Whether it was stored.
   */
  update(
    generation: number,
    key: Key,
    values: Iterable<readonly [SubKey, Value]>,
    fetched?: Iterable<SubKey>,
  ): boolean {
    if (this.#invalidated.hasChanged(key, generation)) {
      this.#tally.notKept(key);
      return false;
    }
    const loaded = new Map(values);
    let owner = this.#dictionaries.get(key);
    if (owner === undefined) {
      owner = { key, full: undefined, parts: new Map() };
      this.#dictionaries.set(key, owner);
    }
    if (fetched === undefined) this.#keepFull(owner, loaded);
    else {
      for (const subKey of new Set([...fetched, ...loaded.keys()])) {
        this.#keepPart(owner, subKey, loaded);
      }
    }
    this.#settle(owner);
    return true;
  }

  /** Drops all that is known of a key. */
  invalidate(key: Key): void {
    this.#generation += 1;
    this.#invalidated.changed(key, this.#generation);
    const dictionary = this.#dictionaries.get(key);
    if (dictionary === undefined) return;
    this.#dictionaries.delete(key);
    const before = this.#held;
    for (const entry of dictionary.parts.values()) this.#drop(entry);
    if (dictionary.full !== undefined) this.#drop(dictionary.full);
    this.#tally.invalidated([key], before - this.#held);
  }

  /** Drops everything. */
  clear(): void {
    this.#generation += 1;
    this.#invalidated.allChanged(this.#generation);
    this.#dictionaries.clear();
    this.#order.clear();
    const held = this.#held;
    this.#held = 0;
    this.#tally.invalidated(null, held);
  }

  #getAll(
    key: Key,
    dictionary: Dictionary<Key, SubKey, Value> | undefined,
  ): KnownDictionary<SubKey, Value> {
    if (dictionary?.full !== undefined) {
      this.#tally.hit(key);
      this.#order.use(dictionary.full);
      const { values } = dictionary.full;
      return { isFull: true, values, absent: new Set() };
    }
    this.#tally.miss(key);
    const values = new Map<SubKey, Value>();
    const absent = new Set<SubKey>();
    for (const [subKey, entry] of dictionary?.parts ?? []) {
      this.#order.use(entry);
      tell(subKey, entry.values, values, absent);
    }
    return { isFull: false, values, absent };
  }

  #getSome(
    key: Key,
    dictionary: Dictionary<Key, SubKey, Value> | undefined,
    subKeys: Iterable<SubKey>,
  ): KnownSubKeys<SubKey, Value> {
    const values = new Map<SubKey, Value>();
    const absent = new Set<SubKey>();
    const missing: SubKey[] = [];
    // Not noted as used: those who want some must not keep all of it in here.
    const full = dictionary?.full?.values;
    let isFull = false;
    for (const subKey of new Set(subKeys)) {
      const part = dictionary?.parts.get(subKey);
      if (part !== undefined) {
        this.#order.use(part);
        tell(subKey, part.values, values, absent);
      } else if (dictionary !== undefined && full !== undefined) {
        isFull = true;
        tell(subKey, full, values, absent);
        this.#keepPart(dictionary, subKey, full);
      } else missing.push(subKey);
    }
    // What was kept by itself may have pushed out all else that was known of it.
    if (dictionary !== undefined && isFull) this.#settle(dictionary);
    if (missing.length === 0) this.#tally.hit(key);
    else this.#tally.miss(key);
    return { isFull, values, absent, missing };
  }

  #keepFull(
    owner: Dictionary<Key, SubKey, Value>,
    values: ReadonlyMap<SubKey, Value>,
  ): void {
    if (owner.full !== undefined) this.#drop(owner.full);
    const entry = { owner, values, subKey: undefined, slot: NOWHERE };
    owner.full = entry;
    this.#keep(entry, this.#countsBytes ? bytesOf(entry) : 0);
  }

  #keepPart(
    owner: Dictionary<Key, SubKey, Value>,
    subKey: SubKey,
    loaded: ReadonlyMap<SubKey, Value>,
  ): void {
    const before = owner.parts.get(subKey);
    if (before !== undefined) this.#drop(before);
    const values = new Map<SubKey, Value>();
    if (loaded.has(subKey)) values.set(subKey, loaded.get(subKey) as Value);
    const entry = { owner, values, subKey: { is: subKey }, slot: NOWHERE };
    owner.parts.set(subKey, entry);
    this.#keep(entry, this.#countsBytes ? bytesOf(entry) : 0);
  }

  /** Takes in what its dictionary has already; it may go at once. */
  #keep(entry: Entry<Key, SubKey, Value>, bytes: number): void {
    this.#held += weightOf(entry);
    if (
      weightOf(entry) > this.#bounds.now.maxEntries ||
      !this.#order.canHold(bytes)
    ) {
      // All others would go first, in vain.
      this.#evict(entry);
      return;
    }
    this.#order.add(entry, bytes);
    this.#makeRoom();
  }

  #makeRoom(): void {
    while (this.#held > this.#bounds.now.maxEntries) this.#order.dropOldest();
  }

  #evict(entry: Entry<Key, SubKey, Value>): void {
    this.#drop(entry);
    const { owner: { key }, subKey } = entry;
    if (subKey === undefined) this.#tally.evicted(key);
    else this.#tally.evicted(key, subKey.is);
  }

  /** Takes an entry out of all that it is in. */
  #drop(entry: Entry<Key, SubKey, Value>): void {
    this.#order.remove(entry);
    this.#held -= weightOf(entry);
    const { owner, subKey } = entry;
    if (subKey === undefined) {
      if (owner.full === entry) owner.full = undefined;
    } else if (owner.parts.get(subKey.is) === entry) {
      owner.parts.delete(subKey.is);
    }
    if (isEmpty(owner) && this.#dictionaries.get(owner.key) === owner) {
      this.#dictionaries.delete(owner.key);
    }
  }

  /** What was replaced may have been all that was known of it. */
  #settle(owner: Dictionary<Key, SubKey, Value>): void {
    if (isEmpty(owner)) this.#dictionaries.delete(owner.key);
    else this.#dictionaries.set(owner.key, owner);
  }
}

/** Puts what is known of a sub-key where it belongs. */
function tell<SubKey, Value>(
  subKey: SubKey,
  known: ReadonlyMap<SubKey, Value>,
  values: Map<SubKey, Value>,
  absent: Set<SubKey>,
): void {
  if (known.has(subKey)) values.set(subKey, known.get(subKey) as Value);
  else absent.add(subKey);
}

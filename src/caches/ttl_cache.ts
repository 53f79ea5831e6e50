/**
 * Entries that live for a time of their own.
 *
 * @module
 */

import { requireBounds } from "../runtime/bounds.ts";
import { type Clock, systemClock } from "../runtime/clock.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import { MAX_EXPIRING_ENTRIES } from "../runtime/limits.ts";
import { type OptionNames, requireNames } from "../runtime/option_names.ts";
import { EntryOrder, NOWHERE } from "./entry_order.ts";
import { ExpiryHeap } from "./expiry_heap.ts";
import { PlainBounds } from "./plain_bounds.ts";
import {
  placeOf,
  PLAIN_OPTIONS,
  type PlainCacheOptions,
} from "./plain_cache.ts";
import type { PlainKey } from "./plain_key.ts";
import { takePart } from "./plain_member.ts";
import { PlainTally } from "./plain_tally.ts";
import { bytesOfPlain } from "./size_of.ts";

/** What an entry takes besides its key and its value; measured, as the others. */
const ENTRY_BYTES = 230;

/** Options of {@linkcode TtlCache}. */
export interface TtlCacheOptions<Key extends PlainKey, Value>
  extends PlainCacheOptions {
  /** How long an entry lives unless it is set with a time of its own, in ms. */
  readonly ttlMs: number;

  /**
   * Entries that it may hold. Beyond, the one that was inserted first goes.
   *
   * @default {10000}
   */
  readonly maxEntries?: number | undefined;

  /**
   * The sum of the entries' sizes that it may hold. Beyond, those that were
   * inserted first go; one that is larger by itself is not kept at all.
   *
   * @default {no bound}
   */
  readonly maxSize?: number | undefined;

  /**
   * How large an entry is: 0 or more, in whatever unit `maxSize` is.
   *
   * @default {each is 1}
   */
  readonly sizeOf?: ((value: Value, key: Key) => number) | undefined;

  /**
   * Whether an entry's time begins anew each time that it is got.
   *
   * @default {false}
   */
  readonly refreshOnGet?: boolean | undefined;

  /**
   * Tells the time: its monotonic one, which a change of the wall clock does not
   * move.
   *
   * @default {the machine's}
   */
  readonly clock?: Clock | undefined;
}

/** The names of {@linkcode TtlCacheOptions}. */
export const TTL_OPTIONS: OptionNames<TtlCacheOptions<PlainKey, unknown>> = {
  ...PLAIN_OPTIONS,
  ttlMs: true,
  maxEntries: true,
  maxSize: true,
  sizeOf: true,
  refreshOnGet: true,
  clock: true,
};

/** An entry of a {@linkcode TtlCache}, and how long it lives. */
export interface ExpiringEntry<Value> {
  /** What was set. */
  readonly value: Value;
  /** When it is gone, in ms of the clock's monotonic time. */
  readonly expiresMs: number;
  /** The time that it was given, in ms. */
  readonly ttlMs: number;
}

/** What a cache of expiring entries has done so far. */
export interface TtlCacheStats {
  /** Entries it holds now. */
  readonly entries: number;
  /** The sum of their sizes. */
  readonly size: number;
  /** Gets that found their entry. */
  readonly hits: number;
  /** Gets that did not. */
  readonly misses: number;
  /** Entries that went at their time. */
  readonly expirations: number;
  /** Entries that had to go for lack of room. */
  readonly evictions: number;
}

interface Entry<Key, Value> {
  readonly key: Key;
  readonly value: Value;
  readonly size: number;
  readonly ttlMs: number;
  expiresMs: number;
  slot: number;
}

/**
 * A map whose entries go at their time: at `expiresMs` an entry is gone, not
 * after it.
 *
 * - An entry that is set again keeps its place: what was inserted first goes
 *   first, however often it is got.
 * - Cost: O(1) for what has not expired; O(log n) for each entry that is set.
 *   There is no timer: what has expired goes when the cache is next used.
 *
 * It is not told of writes: for values that may be as old as their time.
 *
 * @example A minute
 * ```ts
 * import { equal } from "node:assert/strict";
 * import { TtlCache } from "headwater/caches";
 *
 * const keys = new TtlCache<string, string>({ ttlMs: 60_000 });
 * keys.set("example.org", "ed25519:abc");
 * keys.set("example.com", "ed25519:def", 1_000);
 * equal(keys.get("example.org"), "ed25519:abc");
 * ```
 */
export class TtlCache<Key extends PlainKey, Value> {
  readonly #options: TtlCacheOptions<Key, Value>;
  readonly #clock: Clock;
  readonly #entries = new Map<Key, Entry<Key, Value>>();
  readonly #expiries = new ExpiryHeap<Entry<Key, Value>>(
    (entry) => this.#entries.get(entry.key) === entry,
  );
  readonly #bounds: PlainBounds<"maxEntries" | "maxSize">;
  readonly #tally: PlainTally;
  /** Who was used when, of a cache that shares memory. */
  readonly #order: EntryOrder<Entry<Key, Value>> | undefined;
  #size = 0;

  /**
   * Constructs an empty cache.
   *
   * @param options How long entries live, and how many.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for a bound or a name that can't be.
   */
  constructor(options: TtlCacheOptions<Key, Value>) {
    requireNames("create a TTL cache", TTL_OPTIONS, options);
    requireBounds("create a TTL cache", options);
    requireTtl(options.ttlMs);
    const place = placeOf("create a TTL cache", options);
    const { maxEntries = MAX_EXPIRING_ENTRIES, maxSize = Infinity } = options;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    const bounds = { maxEntries, maxSize };
    this.#bounds = new PlainBounds(bounds, place?.factor, options.fixedSize);
    this.#tally = new PlainTally(place?.name);
    if (place === undefined) return;
    if (place.memory !== undefined) {
      this.#order = new EntryOrder(place.memory, (entry) => {
        this.#evict(entry);
      });
    }
    takePart(place, {
      bounds: this.#bounds,
      tally: this.#tally,
      memory: this.#order,
      entries: () => this.size,
      makeRoom: () => this.#makeRoom(),
      clear: () => this.clear(),
      isTold: false,
    });
  }

  /** Entries it holds now. */
  get size(): number {
    this.#expire();
    return this.#entries.size;
  }

  /** What it has done so far. */
  get stats(): TtlCacheStats {
    this.#expire();
    const { hits, misses, expirations, evictions } = this.#tally;
    const entries = this.#entries.size;
    const size = this.#size;
    return { entries, size, hits, misses, expirations, evictions };
  }

  /** An entry's value; `undefined` if there is none. */
  get(key: Key): Value | undefined {
    return this.#find(key)?.value;
  }

  /** An entry with its time; `undefined` if there is none. */
  getWithExpiry(key: Key): ExpiringEntry<Value> | undefined {
    const entry = this.#find(key);
    if (entry === undefined) return undefined;
    const { value, expiresMs, ttlMs } = entry;
    return { value, expiresMs, ttlMs };
  }

  /** Whether there is an entry. Counts as no get. */
  has(key: Key): boolean {
    this.#expire();
    return this.#entries.has(key);
  }

  /**
   * Sets an entry; what had the key goes.
   *
   * @param key Its key.
   * @param value Its value.
   * @param ttlMs How long it lives, in ms; the cache's `ttlMs` by default.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for a time or a size that can't be.
   */
  set(key: Key, value: Value, ttlMs: number = this.#options.ttlMs): void {
    requireTtl(ttlMs);
    const size = this.#options.sizeOf?.(value, key) ?? 1;
    requireSize(size);
    const nowMs = this.#expire();
    const expiresMs = nowMs + ttlMs;
    const before = this.#entries.get(key);
    const bytes = this.#order && bytesOfPlain(ENTRY_BYTES, key, value);
    const entry = { key, value, size, expiresMs, ttlMs, slot: NOWHERE };
    if (!this.#canHold(size, bytes)) {
      // All others would go first, in vain.
      if (before !== undefined) this.#drop(before);
      this.#tally.evicted(key);
      return;
    }
    if (before !== undefined) this.#order?.remove(before);
    this.#size += size - (before?.size ?? 0);
    // In a Map, a key that is set again keeps its place.
    this.#entries.set(key, entry);
    this.#expiries.push(entry, expiresMs, this.#entries.size);
    if (bytes !== undefined) this.#order?.add(entry, bytes);
    this.#makeRoom();
  }

  /** Takes an entry out; `undefined` if there was none. */
  delete(key: Key): Value | undefined {
    this.#expire();
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#drop(entry);
    this.#tally.invalidated([key], 1);
    return entry.value;
  }

  /** Takes every entry out. */
  clear(): void {
    const { size } = this.#entries;
    this.#entries.clear();
    this.#expiries.clear();
    this.#order?.clear();
    this.#size = 0;
    this.#tally.invalidated(null, size);
  }

  /**
   * Changes how much it may hold, at once.
   *
   * @param limits Those that change.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for a bound that can't be.
   */
  resize(
    limits: Pick<TtlCacheOptions<Key, Value>, "maxEntries" | "maxSize">,
  ): void {
    requireBounds("resize a TTL cache", limits);
    const { maxEntries, maxSize } = limits;
    this.#bounds.write({ maxEntries, maxSize });
    this.#expire();
    this.#makeRoom();
  }

  #find(key: Key): Entry<Key, Value> | undefined {
    const nowMs = this.#expire();
    const entry = this.#entries.get(key);
    if (entry === undefined) this.#tally.miss(key);
    else {
      this.#order?.use(entry);
      this.#tally.hit(key);
      // The heap learns of it when the earlier time has come.
      if (this.#options.refreshOnGet) entry.expiresMs = nowMs + entry.ttlMs;
    }
    return entry;
  }

  #expire(): number {
    const nowMs = this.#clock.monotonicMs();
    for (
      let entry = this.#expiries.due(nowMs);
      entry !== undefined;
      entry = this.#expiries.due(nowMs)
    ) {
      this.#drop(entry);
      this.#tally.expirations += 1;
    }
    return nowMs;
  }

  #canHold(size: number, bytes: number | undefined): boolean {
    return size <= this.#bounds.now.maxSize &&
      (bytes === undefined || this.#order?.canHold(bytes) === true);
  }

  #makeRoom(): void {
    const { maxEntries, maxSize } = this.#bounds.now;
    for (const entry of this.#entries.values()) {
      if (this.#entries.size <= maxEntries && this.#size <= maxSize) return;
      this.#evict(entry);
    }
  }

  #evict(entry: Entry<Key, Value>): void {
    this.#drop(entry);
    this.#tally.evicted(entry.key);
  }

  #drop(entry: Entry<Key, Value>): void {
    this.#entries.delete(entry.key);
    this.#size -= entry.size;
    this.#order?.remove(entry);
  }
}

function requireTtl(ttlMs: number): void {
  if (Number.isFinite(ttlMs) && ttlMs >= 0) return;
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot let an entry live for ${String(ttlMs)} ms; ` +
      "give a number of ms, 0 or more",
  );
}

function requireSize(size: number): void {
  if (Number.isFinite(size) && size >= 0) return;
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot keep an entry of size ${String(size)}; ` +
      "let sizeOf give a number, 0 or more",
  );
}

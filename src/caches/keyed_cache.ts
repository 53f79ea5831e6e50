/**
 * The cache of one method.
 *
 * @module
 */

import type { Clock } from "../runtime/clock.ts";
import { messageOf } from "../runtime/errors.ts";
import type { Logger } from "../runtime/logger.ts";
import type { KeyPart } from "../streams/builtin_streams.ts";
import {
  type CacheLimits,
  type CheckedLimits,
  checkLimits,
} from "./cache_options.ts";
import {
  tellEviction,
  tellFenced,
  tellHit,
  tellInvalidation,
  tellLoad,
  tellMiss,
} from "./cache_events.ts";
import type { CacheStats } from "./cache_stats.ts";
import { partsOf } from "./entry_parts.ts";
import { type EntryKey, EntryTable, type TableBounds } from "./entry_table.ts";
import { type Expiring, ExpiryQueue } from "./expiry_queue.ts";
import { checkKey, type KeyArgument } from "./key_parts.ts";
import type { LoadLog } from "./load_log.ts";
import { LoadTimes } from "./load_times.ts";
import { bytesOf, bytesOfLoad } from "./size_of.ts";

/** What a cache works with. */
export interface KeyedCacheOptions extends CacheLimits {
  /** Its name on the wire. */
  readonly name: string;
  /** Whether its bytes are counted, though it has no bound of its own. */
  readonly countsBytes?: boolean | undefined;
  readonly clock: Clock;
  /** Hears of entries whose size can't be known. */
  readonly logger: Logger;
  /** Takes in each load. */
  readonly loads?: LoadLog | undefined;
}

/**
 * Keeps what a method has loaded, by the method's arguments.
 *
 * Promise 4, no stale fill: what is kept is the load's *promise*, from the
 * moment the load begins; nothing is stored when it ends. An invalidation
 * drops the promise, loaded or not, so that
 *
 * - those who called before share the load they began with;
 * - those who call after find nothing and load anew;
 * - the earlier load's end changes nothing: whatever is done then (its size is
 *   counted, its time begins to run) is done to the entry that is still this
 *   very load's, and to no other.
 *
 * The promise is the entry's generation: no two loads share one. Test:
 * `tests/promises/04_no_stale_fill.test.ts`.
 *
 * - Cost: a hit is one `LRUCache.get` and one addition; it allocates nothing.
 * - Concurrency: synchronous throughout.
 */
export class KeyedCache {
  /** The cache's name on the wire. */
  readonly name: string;
  /** Is told of each invalidation, once the entries are gone; `null` is the whole cache. */
  cascade: ((key: readonly KeyPart[] | null) => void) | undefined;
  readonly #options: KeyedCacheOptions;
  readonly #clock: Clock;
  readonly #times = new LoadTimes();
  readonly #expiry: ExpiryQueue<EntryKey> | undefined;
  readonly #entries: EntryTable;
  #limits: CheckedLimits;
  #hits = 0;
  #misses = 0;
  #evictions = 0;
  #invalidations = 0;
  #expirations = 0;
  #fenced = 0;
  #failures = 0;
  #loading = 0;

  /**
   * Constructs an empty cache.
   *
   * @param options Its name and its bounds.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` if a bound is none.
   */
  constructor(options: KeyedCacheOptions) {
    this.#options = options;
    this.name = options.name;
    this.#clock = options.clock;
    this.#limits = checkLimits(options.name, options);
    const { ttlMs, negativeTtlMs } = this.#limits;
    if (ttlMs !== undefined || negativeTtlMs !== undefined) {
      this.#expiry = new ExpiryQueue();
    }
    const evicted = (key: EntryKey) => {
      this.#evictions += 1;
      tellEviction(this.name, key);
    };
    this.#entries = new EntryTable(this.#bounds, evicted);
  }

  /** Whether its entries can be invalidated by prefix. */
  get isTree(): boolean {
    return this.#limits.isTree;
  }

  /** What it has done so far. */
  get stats(): CacheStats {
    this.#expire();
    return {
      name: this.name,
      entries: this.#entries.size,
      maxEntries: this.#limits.maxEntries,
      bytes: this.#entries.bytes,
      maxBytes: this.#limits.maxBytes,
      hits: this.#hits,
      misses: this.#misses,
      evictions: this.#evictions,
      invalidations: this.#invalidations,
      expirations: this.#expirations,
      fenced: this.#fenced,
      failures: this.#failures,
      loading: this.#loading,
      loadMsP50: this.#times.quantile(0.5),
      loadMsP99: this.#times.quantile(0.99),
    };
  }

  /**
   * The entry of an argument list.
   *
   * @param parts The arguments.
   * @returns The load's promise, or `undefined`; then call {@linkcode load}.
   */
  get(parts: readonly KeyArgument[]): Promise<unknown> | undefined {
    if (this.#expiry !== undefined) this.#expire();
    const key = this.#entries.find(parts);
    if (key === undefined) return undefined;
    const entry = this.#entries.get(key);
    if (entry !== undefined) {
      this.#hits += 1;
      tellHit(this.name, parts);
    }
    return entry;
  }

  /**
   * Loads an entry that {@linkcode get} did not find, and keeps the load.
   *
   * @param parts The arguments.
   * @param start Begins the load.
   * @returns The load's promise. A load that fails is not kept.
   * @throws {HeadwaterError} `KEY_INVALID` if an argument can't be part of a key.
   */
  load<Value>(
    parts: readonly KeyArgument[],
    start: () => Promise<Value>,
  ): Promise<Value> {
    checkKey(this.name, parts);
    this.#misses += 1;
    tellMiss(this.name, parts);
    const beganMs = this.#clock.monotonicMs();
    const loading = start();
    const key = this.#entries.use(parts);
    // The position was no further when the load began: it is still the same turn.
    this.#options.loads?.began(this.name, partsOf(key));
    const bytes = this.#countsBytes ? bytesOfLoad(this.#limits, parts) : 1;
    this.#entries.set(key, loading, bytes);
    this.#loading += 1;
    loading.then((value) => {
      tellLoad(this.name, parts, this.#ended(beganMs), true);
      if (this.#entries.holds(key, loading)) {
        this.#loaded(key, loading, parts, value, beganMs);
      } else {
        this.#fenced += 1;
        tellFenced(this.name, parts);
      }
    }, () => {
      tellLoad(this.name, parts, this.#ended(beganMs), false);
      this.#failures += 1;
      if (this.#entries.holds(key, loading)) this.#entries.delete(key);
    });
    return loading;
  }

  /** The entry of an argument list, which is not thereby used or counted. */
  peek(parts: readonly KeyArgument[]): Promise<unknown> | undefined {
    this.#expire();
    const key = this.#entries.find(parts);
    return key === undefined ? undefined : this.#entries.peek(key);
  }

  /**
   * Goes over its entries, in the order of their use. If it changes meanwhile,
   * some may be left out, or met twice.
   *
   * @param isWanted Is asked at each entry.
   * @returns Argument lists; `undefined` for those that aren't wanted.
   */
  *keys(
    isOldestFirst: boolean,
    isWanted: () => boolean,
  ): Generator<readonly KeyArgument[] | undefined, void> {
    for (const key of this.#entries.keys(isOldestFirst)) {
      yield isWanted() ? partsOf(key) : undefined;
    }
  }

  /** Drops a load that nobody waits for any more, if it is still an entry. */
  abandon(parts: readonly KeyArgument[], loading: Promise<unknown>): void {
    const key = this.#entries.find(parts);
    if (key !== undefined && this.#entries.holds(key, loading)) {
      this.#entries.delete(key);
    }
  }

  /**
   * Drops what a key from the wire names: the entry of an argument list, and of
   * a tree all entries whose arguments begin so.
   */
  invalidate(parts: readonly KeyPart[]): void {
    let dropped = 0;
    for (const key of this.#entries.named(parts)) {
      if (this.#entries.delete(key)) dropped += 1;
    }
    this.#invalidations += dropped;
    tellInvalidation(this.name, parts, dropped);
    this.cascade?.(parts);
  }

  /** {@linkcode invalidate} for a single argument, without a list to hold it. */
  invalidateOne(part: KeyPart): void {
    if (
      part === null || this.cascade !== undefined || !this.#entries.isPlain
    ) this.invalidate([part]);
    else if (this.#entries.delete(part)) {
      this.#invalidations += 1;
      tellInvalidation(this.name, part, 1);
    }
  }

  /** Drops every entry. */
  clear(): void {
    this.flush();
    this.cascade?.(null);
  }

  /** {@linkcode clear}, where every other cache is cleared too. */
  flush(): void {
    const { size } = this.#entries;
    if (size === 0) return;
    this.#invalidations += size;
    this.#entries.clear();
    this.#expiry?.clear();
    tellInvalidation(this.name, null, size);
  }

  /**
   * Changes how much it may hold, now; what there is no room for goes.
   *
   * @param bounds The bounds that are to change.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` if one is none, or bytes are to
   *   be bounded that have not been counted so far.
   */
  resize(bounds: Pick<CacheLimits, "maxEntries" | "maxBytes">): void {
    const changed = { ...this.#options, ...this.#limits, ...bounds };
    const { maxEntries, maxBytes } = checkLimits(this.name, changed);
    this.#limits = { ...this.#limits, maxEntries, maxBytes };
    this.#entries.resize(this.#bounds);
  }

  get #countsBytes(): boolean {
    return this.#entries.bytes !== undefined;
  }

  get #bounds(): TableBounds {
    const { maxEntries, maxBytes, isTree } = this.#limits;
    const uncounted = this.#options.countsBytes
      ? Number.MAX_SAFE_INTEGER
      : undefined;
    return { maxEntries, maxBytes: maxBytes ?? uncounted, isTree };
  }

  /** Its size can be known now, and how long it may stay. */
  #loaded(
    key: EntryKey,
    loading: Promise<unknown>,
    parts: readonly KeyArgument[],
    value: unknown,
    beganMs: number,
  ): void {
    const { ttlMs, negativeTtlMs } = this.#limits;
    const isNegative = value === undefined || value === null;
    if (isNegative && negativeTtlMs === 0) {
      this.#entries.delete(key);
      return;
    }
    const promise = this.#countsBytes
      ? this.#measure(key, parts, value)
      : loading;
    const lifeMs = isNegative ? negativeTtlMs ?? ttlMs : ttlMs;
    if (lifeMs === undefined || this.#expiry === undefined) return;
    const isKept = (item: Expiring<EntryKey>) =>
      this.#entries.holds(item.key, item.promise);
    const atMs = beganMs + lifeMs;
    this.#expiry.add({ key, promise, atMs }, isKept, this.#entries.size);
  }

  #measure(
    key: EntryKey,
    parts: readonly KeyArgument[],
    value: unknown,
  ): Promise<unknown> {
    // lru-cache measures anew only what is another object.
    const promise = Promise.resolve(value);
    try {
      const bytes = bytesOf(this.name, this.#limits, parts, value);
      this.#entries.set(key, promise, bytes);
    } catch (error) {
      this.#entries.delete(key);
      const fields = { cache: this.name, error: messageOf(error) };
      this.#options.logger("error", "entry not kept: no size", fields);
    }
    return promise;
  }

  #ended(beganMs: number): number {
    const ms = this.#clock.monotonicMs() - beganMs;
    this.#loading -= 1;
    this.#times.add(ms);
    return ms;
  }

  #expire(): void {
    if (this.#expiry === undefined) return;
    const now = this.#clock.monotonicMs();
    for (;;) {
      const item = this.#expiry.take(now);
      if (item === undefined) return;
      if (!this.#entries.holds(item.key, item.promise)) continue;
      this.#entries.delete(item.key);
      this.#expirations += 1;
    }
  }
}

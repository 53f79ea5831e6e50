/**
 * The cache of one method.
 *
 * @module
 */

import type { Clock } from "../runtime/clock.ts";
import type { KeyPart } from "../streams/builtin_streams.ts";
import { CacheBounds } from "./cache_bounds.ts";
import type { CheckedLimits, ResizableLimits } from "./cache_options.ts";
import * as told from "./cache_events.ts";
import type { CacheStats } from "./cache_stats.ts";
import type { EntryKey } from "./entry.ts";
import { EntryTable } from "./entry_table.ts";
import { dropExpired, type Expiring, ExpiryQueue } from "./expiry_queue.ts";
import { checkKey, type KeyArgument } from "./key_parts.ts";
import type { KeyedCacheOptions } from "./keyed_cache_options.ts";
import { LoadRunner, type LoadTime } from "./load_runner.ts";
import { LoadTimes } from "./load_times.ts";
import { bytesOfLoad, measure } from "./size_of.ts";
import { statsOf } from "./stats_of.ts";
import { type BackgroundLoad, StaleEntries } from "./stale_entries.ts";

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
 * - Cost: a hit is one `Map.get`, six links and one addition; it allocates nothing.
 * - Concurrency: synchronous throughout.
 */
export class KeyedCache {
  /** The cache's name on the wire. */
  readonly name: string;
  /** Is told of each invalidation, once the entries are gone; `null` is the whole cache. */
  cascade: ((key: readonly KeyPart[] | null) => void) | undefined;
  /** What was there before it was cleared, if that may be served at all. */
  readonly stale: StaleEntries | undefined;
  /** Begins its loads. */
  readonly runner: LoadRunner;
  readonly #options: KeyedCacheOptions;
  readonly #clock: Clock;
  readonly #times = new LoadTimes();
  readonly #bounds: CacheBounds;
  #expiry: ExpiryQueue<EntryKey> | undefined;
  #entries: EntryTable;
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
    this.#bounds = new CacheBounds(options);
    this.runner = new LoadRunner(this.name, this.#limits, this.#clock);
    this.stale = StaleEntries.of(options, this.#limits, {
      adopt: (parts, loading) => this.#adopt(parts, loading),
      follow: (load) => this.#follow(load.loading, load.parts, load.time, load),
    });
    this.#expiry = ExpiryQueue.of(this.#limits);
    this.#entries = this.#createEntries();
  }

  /** Whether its entries can be invalidated by prefix. */
  get isTree(): boolean {
    return this.#limits.isTree;
  }

  /** Whether any entry may still be loading. */
  get isLoading(): boolean {
    return this.#loading > 0;
  }

  /** What it has done so far. */
  get stats(): CacheStats {
    this.#expire();
    return statsOf({
      name: this.name,
      hits: this.#hits,
      misses: this.#misses,
      evictions: this.#evictions,
      invalidations: this.#invalidations,
      expirations: this.#expirations,
      fenced: this.#fenced,
      failures: this.#failures,
      loading: this.#loading,
    }, {
      entries: this.#entries,
      bounds: this.#bounds,
      stale: this.stale,
      runner: this.runner,
      times: this.#times,
    });
  }

  /** The entry of an argument list, or `undefined`; then call {@linkcode load}. */
  get(parts: readonly KeyArgument[]): Promise<unknown> | undefined {
    if (this.#expiry !== undefined) this.#expire();
    const key = this.#entries.find(parts);
    if (key === undefined) return undefined;
    const entry = this.#entries.get(key);
    if (entry !== undefined) {
      this.#hits += 1;
      told.tellHit(this.name, parts);
    }
    return entry;
  }

  /** {@linkcode get} of a single argument, without a list to hold it. */
  getOne(part: KeyArgument): Promise<unknown> | undefined {
    if (this.#expiry !== undefined) this.#expire();
    const entry = this.#entries.getOne(part);
    if (entry !== undefined) {
      this.#hits += 1;
      if (told.isHitHeard()) told.tellHit(this.name, [part]);
    }
    return entry;
  }

  /** {@linkcode get} of two arguments, without a list to hold them. */
  getTwo(
    first: KeyArgument,
    second: KeyArgument,
  ): Promise<unknown> | undefined {
    if (this.#expiry !== undefined) this.#expire();
    const entry = this.#entries.getTwo(first, second);
    if (entry !== undefined) {
      this.#hits += 1;
      if (told.isHitHeard()) told.tellHit(this.name, [first, second]);
    }
    return entry;
  }

  /**
   * Loads an entry that {@linkcode get} did not find, and keeps the load.
   *
   * @param parts The arguments.
   * @param start Begins the load; not at once, if too many run.
   * @param signal Aborts once nobody waits for it.
   * @returns The load's promise. A load that fails is not kept. While an old
   *   entry may be served, that; the load then runs in the background.
   * @throws {HeadwaterError} `KEY_INVALID` if an argument can't be part of a
   *   key; `OVERLOADED` if too many loads wait.
   */
  load<Value>(
    parts: readonly KeyArgument[],
    start: () => Promise<Value>,
    signal?: AbortSignal | undefined,
  ): Promise<Value> {
    checkKey(this.name, parts);
    const run = (time: LoadTime) => this.runner.run(start, time, signal);
    const stale = this.stale?.get(parts);
    if (stale === undefined) return this.keep(parts, run);
    this.stale?.revalidate([parts], (_, time) => [run(time)]);
    return stale as Promise<Value>;
  }

  /** {@linkcode load} of a checked key, where there is no old entry. */
  keep<Value>(
    parts: readonly KeyArgument[],
    start: (time: LoadTime) => Promise<Value>,
    time: LoadTime = this.runner.now(),
  ): Promise<Value> {
    this.#misses += 1;
    told.tellMiss(this.name, parts);
    const loading = start(time);
    this.#adopt(parts, loading);
    this.#follow(loading, parts, time);
    return loading;
  }

  /** Its entries as they are now, to be looked at. */
  get entries(): EntryTable {
    this.#expire();
    return this.#entries;
  }

  /** Gives back the memory that it shares with others. */
  close(): void {
    this.stale?.drop();
    this.#entries.close();
  }

  /** Drops a load that nobody waits for any more, if it is still an entry. */
  abandon(parts: readonly KeyArgument[], loading: Promise<unknown>): void {
    const key = this.#keyOf(parts, loading);
    if (key !== undefined) this.#entries.delete(key);
  }

  /**
   * Drops what a key from the wire names: the entry of an argument list, and of
   * a tree all entries whose arguments begin so.
   */
  invalidate(parts: readonly KeyPart[]): void {
    let dropped = this.stale?.invalidate(parts) ?? 0;
    for (const key of this.#entries.named(parts)) {
      if (this.#entries.delete(key)) dropped += 1;
    }
    this.#invalidations += dropped;
    told.tellInvalidation(this.name, parts, dropped);
    this.cascade?.(parts);
  }

  /** {@linkcode invalidate} for a single argument, without a list to hold it. */
  invalidateOne(part: KeyPart): void {
    if (
      part === null || this.cascade !== undefined ||
      this.stale !== undefined || !this.#entries.isPlain
    ) this.invalidate([part]);
    else if (this.#entries.deleteOne(part)) {
      this.#invalidations += 1;
      told.tellInvalidation(this.name, part, 1);
    }
  }

  /** Drops every entry. */
  clear(): void {
    this.flush(true);
    this.cascade?.(null);
  }

  /** {@linkcode clear}, where all are, and what was there may have been wrong. */
  flush(mayServeOld: boolean): void {
    const { size } = this.#entries;
    this.stale?.cleared(mayServeOld);
    if (size === 0) return;
    this.#invalidations += size;
    // Of two clearings, one after the other, the larger part is served.
    if (!mayServeOld || this.stale === undefined || this.stale.size > size) {
      this.#entries.clear();
      this.#expiry?.clear();
    } else {
      const [entries, expiry] = [this.#entries, this.#expiry];
      this.#expiry = ExpiryQueue.of(this.#limits);
      this.#entries = this.#createEntries();
      this.stale.serve(entries, expiry);
    }
    told.tellInvalidation(this.name, null, size);
  }

  /** {@linkcode prepareResize}, and does it. */
  resize(bounds: ResizableLimits): void {
    this.prepareResize(bounds)();
  }

  /**
   * Changes how much it may hold, in two steps: the second can't fail any more,
   * and drops what there is no room for.
   *
   * @throws {HeadwaterError} `INVALID_ARGUMENT` if a bound is none, or bytes are
   *   to be bounded that have not been counted so far.
   */
  prepareResize(bounds: ResizableLimits): (factor?: number) => void {
    const change = this.#bounds.prepare(bounds);
    return (factor) => {
      change(factor);
      this.#entries.resize(this.#bounds.table);
      this.stale?.makeRoom(this.#entries, this.#bounds);
    };
  }

  get #limits(): CheckedLimits {
    return this.#bounds.limits;
  }

  #createEntries(): EntryTable {
    const owner = {
      evicted: (key: EntryKey) => {
        this.#evictions += 1;
        told.tellEviction(this.name, key);
      },
      hits: () => this.#hits,
    };
    return new EntryTable(this.#bounds.table, owner, this.#options.memory);
  }

  /** Makes a load an entry. */
  #adopt(parts: readonly KeyArgument[], loading: Promise<unknown>): void {
    const key = this.#entries.use(parts);
    const bytes = this.#entries.countsBytes
      ? bytesOfLoad(this.#limits, parts)
      : 1;
    this.#set(key, loading, bytes);
  }

  #set(key: EntryKey, loading: Promise<unknown>, bytes: number): void {
    this.#entries.set(key, loading, bytes);
    this.stale?.makeRoom(this.#entries, this.#bounds);
  }

  /** The key of a load, as long as it is the entry. */
  #keyOf(
    parts: readonly KeyArgument[],
    loading: Promise<unknown>,
  ): EntryKey | undefined {
    const key = this.#entries.find(parts);
    if (key === undefined || !this.#entries.holds(key, loading)) return;
    return key;
  }

  /** Does what is to be done when a load ends, if it is the entry then. */
  #follow(
    loading: Promise<unknown>,
    parts: readonly KeyArgument[],
    time: LoadTime,
    background?: BackgroundLoad,
  ): void {
    this.#loading += 1;
    this.#options.loads?.began(this.name, parts);
    this.stale?.began(loading);
    loading.then((value) => {
      told.tellLoad(this.name, parts, this.#ended(loading, time), true);
      if (background?.loaded()) this.#adopt(parts, loading);
      const key = this.#keyOf(parts, loading);
      if (key !== undefined) {
        return this.#loaded(key, loading, parts, value, time);
      }
      this.#fenced += 1;
      told.tellFenced(this.name, parts);
      this.stale?.discard(parts, loading);
    }, (error) => {
      told.tellLoad(this.name, parts, this.#ended(loading, time), false);
      this.#failures += 1;
      background?.failed(error);
      this.abandon(parts, loading);
      this.stale?.discard(parts, loading);
    });
  }

  /** Its size can be known now, and how long it may stay. */
  #loaded(
    key: EntryKey,
    loading: Promise<unknown>,
    parts: readonly KeyArgument[],
    value: unknown,
    { beganMs }: LoadTime,
  ): void {
    const { ttlMs, negativeTtlMs } = this.#limits;
    const isNegative = value === undefined || value === null;
    if (isNegative && negativeTtlMs === 0) {
      this.#entries.delete(key);
      return;
    }
    if (this.#entries.countsBytes) {
      const bytes = measure(this.#options, this.#limits, parts, value);
      // The user's sizeOf may have called the cache.
      if (!this.#entries.holds(key, loading)) return;
      if (bytes === undefined) this.#entries.delete(key);
      else this.#set(key, loading, bytes);
    }
    const lifeMs = isNegative ? negativeTtlMs ?? ttlMs : ttlMs;
    if (lifeMs === undefined || this.#expiry === undefined) return;
    const isKept = (item: Expiring<EntryKey>) =>
      this.#entries.holds(item.key, item.promise);
    const item = { key, promise: loading, atMs: beganMs + lifeMs };
    this.#expiry.add(item, isKept, this.#entries.size);
  }

  #ended(loading: Promise<unknown>, { beganMs }: LoadTime): number {
    const ms = this.#clock.monotonicMs() - beganMs;
    this.#loading -= 1;
    this.stale?.ended(loading);
    this.#times.add(ms);
    return ms;
  }

  #expire(): void {
    if (this.#expiry === undefined) return;
    const nowMs = this.#clock.monotonicMs();
    this.#expirations += dropExpired(this.#expiry, this.#entries, nowMs);
  }
}

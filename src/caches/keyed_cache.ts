/**
 * The cache of one method.
 *
 * @module
 */

import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import { type Random, systemRandom } from "../runtime/random.ts";
import type { KeyPart } from "../streams/builtin_streams.ts";
import { type BoundsOptions, CacheBounds } from "./cache_bounds.ts";
import type { CheckedLimits, ResizableLimits } from "./cache_options.ts";
import type { CacheStats } from "./cache_stats.ts";
import type { EntryKey } from "./entry.ts";
import { EntryTable } from "./entry_table.ts";
import { dropExpired, type Expiring, ExpiryQueue } from "./expiry_queue.ts";
import { checkKey, type KeyArgument } from "./key_parts.ts";
import { LoadGate } from "./load_gate.ts";
import { LoadTimes } from "./load_times.ts";
import { bytesOfLoad, measure } from "./size_of.ts";
import { type BackgroundLoad, StaleEntries } from "./stale_entries.ts";

/** What a cache works with. */
export interface KeyedCacheOptions extends BoundsOptions {
  readonly clock: Clock;
  /** Says by how much background loads are put off. */
  readonly random?: Random | undefined;
  /** Hears of entries whose size can't be known, and of background loads that fail. */
  readonly logger: Logger;
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
 * - Cost: a hit is one `Map.get`, four links and one addition; it allocates nothing.
 * - Concurrency: synchronous throughout.
 */
export class KeyedCache {
  /** The cache's name on the wire. */
  readonly name: string;
  /** Is told of each invalidation, once the entries are gone; `null` is the whole cache. */
  cascade: ((key: readonly KeyPart[] | null) => void) | undefined;
  /** What was there before it was cleared, if that may be served at all. */
  readonly stale: StaleEntries | undefined;
  readonly #options: KeyedCacheOptions;
  readonly #clock: Clock;
  readonly #times = new LoadTimes();
  readonly #bounds: CacheBounds;
  readonly #gate: LoadGate | undefined;
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
    const { maxConcurrentLoads, maxQueuedLoads, staleMs } = this.#limits;
    if (maxConcurrentLoads !== undefined) {
      const { name } = options;
      this.#gate = new LoadGate({ name, maxConcurrentLoads, maxQueuedLoads });
    }
    if (staleMs > 0) this.stale = this.#createStale();
    this.#expiry = this.#createExpiry();
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
    const { maxEntries, maxBytes } = this.#bounds.scaled;
    return {
      name: this.name,
      entries: this.#entries.size,
      maxEntries,
      bytes: this.#entries.countsBytes
        ? this.#entries.bytes + (this.stale?.bytes ?? 0)
        : undefined,
      maxBytes,
      hits: this.#hits,
      misses: this.#misses,
      evictions: this.#evictions,
      invalidations: this.#invalidations,
      expirations: this.#expirations,
      fenced: this.#fenced,
      failures: this.#failures,
      loading: this.#loading,
      queued: this.#gate?.queued ?? 0,
      stale: this.stale?.size ?? 0,
      staleHits: this.stale?.hits ?? 0,
      loadMsP50: this.#times.quantile(0.5),
      loadMsP99: this.#times.quantile(0.99),
    };
  }

  /** The entry of an argument list, or `undefined`; then call {@linkcode load}. */
  get(parts: readonly KeyArgument[]): Promise<unknown> | undefined {
    if (this.#expiry !== undefined) this.#expire();
    const key = this.#entries.find(parts);
    if (key === undefined) return undefined;
    return this.#count(this.#entries.get(key));
  }

  /** {@linkcode get} of a single argument, without a list to hold it. */
  getOne(part: KeyArgument): Promise<unknown> | undefined {
    if (this.#expiry !== undefined) this.#expire();
    return this.#count(this.#entries.getOne(part));
  }

  /** {@linkcode get} of two arguments, without a list to hold them. */
  getTwo(
    first: KeyArgument,
    second: KeyArgument,
  ): Promise<unknown> | undefined {
    if (this.#expiry !== undefined) this.#expire();
    return this.#count(this.#entries.getTwo(first, second));
  }

  /**
   * Loads an entry that {@linkcode get} did not find, and keeps the load.
   *
   * @param parts The arguments.
   * @param start Begins the load; not at once, if too many run.
   * @returns The load's promise. A load that fails is not kept. While an old
   *   entry may be served, that; the load then runs in the background.
   * @throws {HeadwaterError} `KEY_INVALID` if an argument can't be part of a
   *   key; `OVERLOADED` if too many loads wait.
   */
  load<Value>(
    parts: readonly KeyArgument[],
    start: () => Promise<Value>,
  ): Promise<Value> {
    checkKey(this.name, parts);
    const stale = this.stale?.get(parts);
    if (stale !== undefined) {
      this.stale?.revalidate([parts], () => [this.run(start)]);
      return stale as Promise<Value>;
    }
    return this.keep(parts, () => this.run(start));
  }

  /** Begins a load, at once if few enough run. */
  run<Value>(start: () => Promise<Value>): Promise<Value> {
    return this.#gate === undefined ? start() : this.#gate.run(start);
  }

  /** {@linkcode load} of a checked key, where there is no old entry; at once. */
  keep<Value>(
    parts: readonly KeyArgument[],
    start: () => Promise<Value>,
  ): Promise<Value> {
    this.#misses += 1;
    const beganMs = this.#clock.monotonicMs();
    const loading = start();
    this.#adopt(parts, loading);
    this.#follow(loading, parts, beganMs);
    return loading;
  }

  /** Gives back the memory that it shares with others. */
  close(): void {
    this.stale?.drop();
    this.#entries.close();
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
    for (const key of this.#entries.named(parts)) {
      if (this.#entries.delete(key)) this.#invalidations += 1;
    }
    if (this.stale !== undefined) {
      this.#invalidations += this.stale.invalidate(parts);
    }
    this.cascade?.(parts);
  }

  /** {@linkcode invalidate} for a single argument, without a list to hold it. */
  invalidateOne(part: KeyPart): void {
    if (
      part === null || this.cascade !== undefined ||
      this.stale?.isEmpty === false || !this.#entries.isPlain
    ) this.invalidate([part]);
    else if (this.#entries.deleteOne(part)) this.#invalidations += 1;
  }

  /** Drops every entry. */
  clear(): void {
    this.flush();
    this.cascade?.(null);
  }

  /** {@linkcode clear}, where every other cache is cleared too. */
  flush(): void {
    const { size } = this.#entries;
    this.stale?.cleared();
    if (size === 0) return;
    this.#invalidations += size;
    // Of two clearings, one after the other, the larger part is served.
    if (this.stale === undefined || this.stale.size > size) {
      this.#entries.clear();
      this.#expiry?.clear();
      return;
    }
    const [entries, expiry] = [this.#entries, this.#expiry];
    this.#expiry = this.#createExpiry();
    this.#entries = this.#createEntries();
    this.stale.serve(entries, expiry);
  }

  /**
   * Changes how much it may hold, now; what there is no room for goes.
   *
   * @param bounds The bounds that are to change.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` if one is none, or bytes are to
   *   be bounded that have not been counted so far.
   */
  resize(bounds: ResizableLimits): void {
    this.prepareResize(bounds)();
  }

  /** {@linkcode resize}, in two steps; the second can't fail any more. */
  prepareResize(bounds: ResizableLimits): (factor?: number) => void {
    const change = this.#bounds.prepare(bounds);
    return (factor) => {
      const before = this.#bounds.table;
      change(factor);
      const { table } = this.#bounds;
      const isSame = before.maxEntries === table.maxEntries &&
        before.maxBytes === table.maxBytes;
      if (!isSame) this.#entries.resize(table);
    };
  }

  #count(
    entry: Promise<unknown> | undefined,
  ): Promise<unknown> | undefined {
    if (entry !== undefined) this.#hits += 1;
    return entry;
  }

  get #limits(): CheckedLimits {
    return this.#bounds.limits;
  }

  #createEntries(): EntryTable {
    const owner = {
      evicted: () => void (this.#evictions += 1),
      hits: () => this.#hits,
    };
    return new EntryTable(this.#bounds.table, owner, this.#options.memory);
  }

  #createExpiry(): ExpiryQueue<EntryKey> | undefined {
    const { ttlMs, negativeTtlMs } = this.#limits;
    return ttlMs ?? negativeTtlMs ? new ExpiryQueue() : undefined;
  }

  #createStale(): StaleEntries {
    const { random = systemRandom } = this.#options;
    return new StaleEntries({
      ...this.#options,
      random,
      limits: this.#limits,
      adopt: (parts, loading) => this.#adopt(parts, loading),
      follow: (load) =>
        this.#follow(load.loading, load.parts, load.beganMs, load),
    });
  }

  /** Makes a load an entry. */
  #adopt(parts: readonly KeyArgument[], loading: Promise<unknown>): void {
    const key = this.#entries.use(parts);
    const bytes = this.#entries.countsBytes
      ? bytesOfLoad(this.#limits, parts)
      : 1;
    this.#entries.set(key, loading, bytes);
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
    beganMs: number,
    background?: BackgroundLoad,
  ): void {
    this.#loading += 1;
    this.stale?.began(loading);
    loading.then((value) => {
      this.#ended(loading, beganMs);
      if (background?.loaded()) this.#adopt(parts, loading);
      const key = this.#keyOf(parts, loading);
      if (key !== undefined) {
        this.#loaded(key, loading, parts, value, beganMs);
        return;
      }
      this.#fenced += 1;
      this.stale?.discard(parts, loading);
    }, (error) => {
      this.#ended(loading, beganMs);
      this.#failures += 1;
      background?.failed(error);
      const key = this.#keyOf(parts, loading);
      if (key !== undefined) this.#entries.delete(key);
      this.stale?.discard(parts, loading);
    });
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
    if (this.#entries.countsBytes) {
      const bytes = measure(this.#options, this.#limits, parts, value);
      if (bytes === undefined) this.#entries.delete(key);
      else this.#entries.set(key, loading, bytes);
    }
    const lifeMs = isNegative ? negativeTtlMs ?? ttlMs : ttlMs;
    if (lifeMs === undefined || this.#expiry === undefined) return;
    const isKept = (item: Expiring<EntryKey>) =>
      this.#entries.holds(item.key, item.promise);
    const atMs = beganMs + lifeMs;
    const item = { key, promise: loading, atMs };
    this.#expiry.add(item, isKept, this.#entries.size);
  }

  #ended(loading: Promise<unknown>, beganMs: number): void {
    this.#loading -= 1;
    this.stale?.ended(loading);
    this.#times.add(this.#clock.monotonicMs() - beganMs);
  }

  #expire(): void {
    if (this.#expiry === undefined) return;
    const nowMs = this.#clock.monotonicMs();
    this.#expirations += dropExpired(this.#expiry, this.#entries, nowMs);
  }
}

/**
 * Serving what a cache held before it was cleared, while that is loaded anew.
 *
 * @module
 */

import type { CancelTimer, Clock } from "../runtime/clock.ts";
import { messageOf } from "../runtime/errors.ts";
import type { Logger } from "../runtime/logger.ts";
import { type Random, systemRandom } from "../runtime/random.ts";
import type { KeyPart } from "../streams/builtin_streams.ts";
import type { CacheBounds } from "./cache_bounds.ts";
import type { CheckedLimits } from "./cache_options.ts";
import type { EntryKey } from "./entry.ts";
import type { EntryTable } from "./entry_table.ts";
import type { ExpiryQueue } from "./expiry_queue.ts";
import type { KeyArgument } from "./key_parts.ts";
import type { LoadTime } from "./load_runner.ts";
import { isInLoad, scopeLoads } from "./load_scope.ts";
import { type Claim, StaleLayer } from "./stale_layer.ts";

/** A background load, for the cache to follow. */
export interface BackgroundLoad {
  readonly loading: Promise<unknown>;
  readonly parts: readonly KeyArgument[];
  readonly time: LoadTime;
  /** It has ended: whether it is to be the entry now. */
  readonly loaded: () => boolean;
  readonly failed: (error: unknown) => void;
}

/** What the entries work with. */
export interface StaleEntriesOptions {
  readonly name: string;
  readonly clock: Clock;
  readonly random?: Random | undefined;
  readonly logger: Logger;
}

/** What the entries' cache does for them. */
export interface StaleEntriesOwner {
  /** Takes a background load as the cache's entry. */
  readonly adopt: (
    parts: readonly KeyArgument[],
    loading: Promise<unknown>,
  ) => void;
  /** Is told of each background load that begins. */
  readonly follow: (load: BackgroundLoad) => void;
}

/** Begins the loads of the keys at some indices; gives one for each of them. */
export type BeginLoads = (
  indices: readonly number[],
  time: LoadTime,
) => readonly Promise<unknown>[];

/**
 * What one cache may serve of before it was cleared, and for how long.
 *
 * - Only entries whose load had ended when the cache was cleared.
 * - None beyond its time, its own `ttlMs` or an invalidation that names it;
 *   none once a newer one has been loaded; none at all after {@linkcode drop}.
 * - Together with the new entries no more than the cache may hold: the least
 *   recently used of them go for newer ones.
 * - None to a load, of whichever cache: what is made of it would be kept after it
 *   has gone. A load that asks is given the new one, and with it all others are.
 * - One load at a time replaces an entry. If it fails, the next caller's does.
 */
export class StaleEntries {
  readonly #options: StaleEntriesOptions;
  readonly #limits: CheckedLimits;
  readonly #owner: StaleEntriesOwner;
  readonly #running = new Set<Promise<unknown>>();
  #layer: StaleLayer | undefined;
  #cancelTimer: CancelTimer | undefined;
  #hits = 0;

  /** Constructs none. */
  constructor(
    options: StaleEntriesOptions,
    limits: CheckedLimits,
    owner: StaleEntriesOwner,
  ) {
    this.#options = options;
    this.#limits = limits;
    this.#owner = owner;
    scopeLoads();
  }

  /** Those of a cache; `undefined` if it may serve none. */
  static of(
    options: StaleEntriesOptions,
    limits: CheckedLimits,
    owner: StaleEntriesOwner,
  ): StaleEntries | undefined {
    return limits.staleMs > 0
      ? new StaleEntries(options, limits, owner)
      : undefined;
  }

  /** How many there are. */
  get size(): number {
    return this.#layer?.size ?? 0;
  }

  /** What they take. */
  get bytes(): number {
    return this.#layer?.bytes ?? 0;
  }

  /** How many calls were served one. */
  get hits(): number {
    return this.#hits;
  }

  /** A load of the cache begins. */
  began(loading: Promise<unknown>): void {
    this.#running.add(loading);
  }

  /** A load of the cache has ended. */
  ended(loading: Promise<unknown>): void {
    this.#running.delete(loading);
  }

  /** {@linkcode StaleLayer.discard} */
  discard(parts: readonly KeyArgument[], loading: Promise<unknown>): void {
    this.#layer?.discard(parts, loading);
  }

  /** Drops what there is no room for beside the new entries. */
  makeRoom({ size, bytes }: EntryTable, { scaled }: CacheBounds): void {
    const { maxEntries = Infinity, maxBytes = Infinity } = scaled;
    this.#layer?.trim(maxEntries - size, maxBytes - bytes);
  }

  /**
   * The cache is cleared: whatever is being loaded anew was begun too early.
   *
   * @param mayServe Whether old entries are good for anything.
   */
  cleared(mayServe: boolean): void {
    this.#layer?.releaseAll();
    if (!mayServe) this.drop();
  }

  /** Serves these entries from now on. */
  serve(table: EntryTable, expiry: ExpiryQueue<EntryKey> | undefined): void {
    this.drop();
    const { clock } = this.#options;
    this.#layer = new StaleLayer({
      table,
      expiry,
      running: this.#running,
      clock,
    });
    // A timer that does not keep the process alive.
    this.#cancelTimer = clock.repeat(() => this.drop(), this.#limits.staleMs);
  }

  /**
   * The old entry of an argument list; for a load the one that takes its place,
   * if that is being loaded.
   */
  get(parts: readonly KeyArgument[]): Promise<unknown> | undefined {
    const layer = this.#layer;
    const stale = layer?.find(parts);
    if (layer === undefined || stale === undefined) return undefined;
    if (!isInLoad()) {
      this.#hits += 1;
      return stale;
    }
    const loading = layer.take(parts);
    if (loading !== undefined) this.#owner.adopt(parts, loading);
    return loading;
  }

  /** {@linkcode StaleLayer.invalidate} */
  invalidate(parts: readonly KeyPart[]): number {
    return this.#layer?.invalidate(parts) ?? 0;
  }

  /** Loads old entries anew in the background, those that nobody loads yet. */
  revalidate(
    keys: readonly (readonly KeyArgument[])[],
    begin: BeginLoads,
  ): void {
    const layer = this.#layer;
    const { random = systemRandom } = this.#options;
    const { maxQueuedLoads, jitterMs } = this.#limits;
    // Beyond what may wait, the old entry is served once more.
    if (layer === undefined || layer.delayed >= maxQueuedLoads) return;
    const claims = keys.map((parts) => layer.claim(parts));
    if (claims.every((claim) => claim === undefined)) return;
    const delayMs = Math.floor(random.fraction() * jitterMs);
    if (delayMs === 0) this.#begin(layer, claims, begin);
    else layer.delay(() => this.#begin(layer, claims, begin), delayMs);
  }

  /** Serves none any more. Loads that run become the cache's entries. */
  drop(): void {
    const layer = this.#layer;
    if (layer === undefined) return;
    this.#layer = undefined;
    this.#cancelTimer?.();
    for (const { parts, loading } of layer.drop()) {
      if (loading !== undefined) this.#owner.adopt(parts, loading);
    }
  }

  #begin(
    layer: StaleLayer,
    claims: readonly (Claim | undefined)[],
    begin: BeginLoads,
  ): void {
    const indices = claims.flatMap((claim, index) =>
      claim !== undefined && layer.isValid(claim) ? [index] : []
    );
    if (indices.length === 0) return;
    const time = { beganMs: this.#options.clock.monotonicMs() };
    try {
      const loads = begin(indices, time);
      for (const [at, index] of indices.entries()) {
        const loading = loads[at] as Promise<unknown>;
        this.#follow(layer, claims[index] as Claim, loading, time);
      }
    } catch (error) {
      for (const index of indices) {
        this.#failed(layer, claims[index] as Claim, error);
      }
    }
  }

  #follow(
    layer: StaleLayer,
    claim: Claim,
    loading: Promise<unknown>,
    time: LoadTime,
  ): void {
    claim.loading = loading;
    this.#owner.follow({
      loading,
      parts: claim.parts,
      time,
      loaded: () => {
        const isValid = layer.isValid(claim);
        if (isValid) layer.replaced(claim);
        return isValid;
      },
      failed: (error) => this.#failed(layer, claim, error),
    });
  }

  #failed(layer: StaleLayer, claim: Claim, error: unknown): void {
    layer.release(claim);
    const fields = { cache: this.#options.name, error: messageOf(error) };
    this.#options.logger("warn", "old entry could not be loaded anew", fields);
  }
}

/**
 * What a cache held when it was cleared, while it may still be served.
 *
 * @module
 */

import type { CancelTimer, Clock } from "../runtime/clock.ts";
import type { KeyPart } from "../streams/builtin_streams.ts";
import type { EntryKey } from "./entry.ts";
import type { EntryTable } from "./entry_table.ts";
import { dropExpired, type ExpiryQueue } from "./expiry_queue.ts";
import type { KeyArgument } from "./key_parts.ts";

/** One old entry that somebody loads anew. */
export interface Claim {
  readonly key: EntryKey;
  readonly parts: readonly KeyArgument[];
  /** The old entry: as long as it is there, nothing has invalidated the key. */
  readonly stale: Promise<unknown>;
  /** The load; `undefined` as long as it is put off. */
  loading: Promise<unknown> | undefined;
}

/** What a layer works with. */
export interface StaleLayerOptions {
  /** The entries, as they were. */
  readonly table: EntryTable;
  /** When they would have gone anyway. */
  readonly expiry: ExpiryQueue<EntryKey> | undefined;
  /** Loads that have not ended. */
  readonly running: ReadonlySet<Promise<unknown>>;
  readonly clock: Clock;
}

/**
 * Old entries, each of them good until it is invalidated, loaded anew, or its
 * time is over.
 *
 * An old entry is the generation of the load that is to replace it: whatever
 * happens to the key drops the entry, and a load whose old entry has gone
 * replaces nothing.
 */
export class StaleLayer {
  readonly #options: StaleLayerOptions;
  readonly #claims = new Map<EntryKey, Claim>();
  readonly #delayed = new Set<CancelTimer>();

  /** Constructs a layer of a table that nobody adds to any more. */
  constructor(options: StaleLayerOptions) {
    this.#options = options;
    options.table.retire();
  }

  /** How many old entries there are. */
  get size(): number {
    return this.#options.table.size;
  }

  /** What they take. */
  get bytes(): number {
    return this.#options.table.bytes;
  }

  /** How many loads are put off. */
  get delayed(): number {
    return this.#delayed.size;
  }

  /** The old entry of an argument list, if its load had ended. */
  find(parts: readonly KeyArgument[]): Promise<unknown> | undefined {
    const { table, expiry, running, clock } = this.#options;
    if (expiry !== undefined) dropExpired(expiry, table, clock.monotonicMs());
    const key = table.find(parts);
    const stale = key === undefined ? undefined : table.peek(key);
    return stale === undefined || running.has(stale) ? undefined : stale;
  }

  /** Takes it upon the caller to load an old entry anew; `undefined` if somebody has. */
  claim(parts: readonly KeyArgument[]): Claim | undefined {
    const { table } = this.#options;
    const key = table.find(parts);
    const stale = this.find(parts);
    if (key === undefined || stale === undefined) return undefined;
    // What is asked for stays longest.
    table.get(key);
    const known = this.#claims.get(key);
    if (known !== undefined && this.isValid(known)) return undefined;
    const claim = { key, parts, stale, loading: undefined };
    this.#claims.set(key, claim);
    return claim;
  }

  /** Whether nothing has happened to the key since. */
  isValid(claim: Claim): boolean {
    const { key, stale } = claim;
    return this.#claims.get(key) === claim &&
      this.#options.table.holds(key, stale);
  }

  /** The load has failed: the next caller may try again. */
  release(claim: Claim): void {
    if (this.#claims.get(claim.key) === claim) this.#claims.delete(claim.key);
  }

  /** The load has ended: its value takes the old one's place. */
  replaced({ key }: Claim): void {
    this.#claims.delete(key);
    this.#options.table.delete(key);
  }

  /** Drops the least recently used until there are no more, in number and size. */
  trim(maxEntries: number, maxBytes: number): void {
    const { table } = this.#options;
    while (
      table.size > 0 && (table.size > maxEntries || table.bytes > maxBytes)
    ) table.dropOldest();
  }

  /** Drops an old entry; gives the load that was to replace it, if one runs. */
  take(parts: readonly KeyArgument[]): Promise<unknown> | undefined {
    const key = this.#options.table.find(parts);
    const claim = key === undefined ? undefined : this.#claims.get(key);
    const isRunning = claim !== undefined && this.isValid(claim);
    if (key !== undefined) {
      this.#claims.delete(key);
      this.#options.table.delete(key);
    }
    return isRunning ? claim.loading : undefined;
  }

  /** A load that ran as the cache was cleared has ended: it is no entry. */
  discard(parts: readonly KeyArgument[], loading: Promise<unknown>): void {
    const { table } = this.#options;
    const key = table.find(parts);
    if (key !== undefined && table.holds(key, loading)) table.delete(key);
  }

  /** Drops what a key from the wire names; says how many entries. */
  invalidate(parts: readonly KeyPart[]): number {
    const { table } = this.#options;
    let dropped = 0;
    for (const key of table.named(parts)) {
      this.#claims.delete(key);
      if (table.delete(key)) dropped += 1;
    }
    return dropped;
  }

  /** Whatever is being loaded was begun too early. */
  releaseAll(): void {
    this.#claims.clear();
  }

  /** Puts a load off: does it once, unless the layer is dropped before. */
  delay(action: () => void, delayMs: number): void {
    // A timer that does not keep the process alive.
    const cancel = this.#options.clock.repeat(() => {
      cancel();
      this.#delayed.delete(cancel);
      action();
    }, delayMs);
    this.#delayed.add(cancel);
  }

  /**
   * Drops all old entries.
   *
   * @returns The claims whose load runs: nothing has invalidated those.
   */
  drop(): Claim[] {
    for (const cancel of this.#delayed) cancel();
    this.#delayed.clear();
    const running = [...this.#claims.values()].filter((claim) =>
      claim.loading !== undefined && this.isValid(claim)
    );
    this.#claims.clear();
    this.#options.table.close();
    return running;
  }
}

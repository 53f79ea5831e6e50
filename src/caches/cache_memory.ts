/**
 * One amount of memory for many caches.
 *
 * @module
 */

import { type ByteSize, toBytes } from "../runtime/bytes.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import { CACHE_MIN_SHARE } from "../runtime/limits.ts";

/** Epochs that a whole budget of insertions takes. */
const EPOCHS = 64;

/** What takes memory: the entries of a cache. */
export interface MemoryMember {
  /** What it takes now. */
  readonly bytes: number;
  /** The epoch in which its least recently used entry was used, or an earlier one. */
  readonly oldestEpoch: number;
  /** Whether all of it may go: nothing is loaded into it any more. */
  readonly isRetired: boolean;
  /** Drops what was used least recently: an entry, or what stands for an epoch. */
  dropOldest(): void;
  /** Notes that what is used from now on is used in a later epoch. */
  beginEpoch(epoch: number): void;
}

/** How a {@linkcode CacheMemory} is shared. */
export interface CacheMemoryOptions {
  /**
   * The part of an equal share that a cache keeps, however long its entries
   * have not been used: from 0 to 1.
   *
   * @default {0.1}
   */
  readonly minShare?: number | undefined;
}

/** What a {@linkcode CacheMemory} holds. */
export interface CacheMemoryStats {
  /** What all entries take now. */
  readonly bytes: number;
  /** What they may take. */
  readonly maxBytes: number;
  /** How many caches share it. */
  readonly caches: number;
}

/**
 * An amount of memory that caches share. Where it is not enough, the entry goes
 * that was used least recently of all, whichever cache has it; but none of a
 * cache that takes less than its minimum.
 *
 * Give one to several stores of a process to have them share it; a store that
 * is given an amount only makes its own.
 *
 * A hit tells nobody anything. Instead, after each 64th of the budget that is
 * inserted an epoch begins, and every cache puts a marker at the recent end of
 * its order of use: what is found behind it was used since. What is told apart
 * is therefore as fine as a 64th of the budget.
 *
 * @example Usage
 * ```ts
 * import { equal } from "node:assert/strict";
 * import { CacheMemory } from "headwater/caches";
 *
 * const cacheMemory = new CacheMemory("256MiB");
 * equal(cacheMemory.stats.maxBytes, 268_435_456);
 * // WriterStore.open({ …, cacheMemory }); SlavedStore.connect({ …, cacheMemory })
 * ```
 */
export class CacheMemory {
  readonly #members = new Set<MemoryMember>();
  #maxBytes: number;
  #minShare: number;
  #bytes = 0;
  #epoch = 0;
  /** Bytes inserted since the epoch began. */
  #inserted = 0;
  /** Who has the oldest entries, until that may have changed. */
  #victim: MemoryMember | undefined;

  /**
   * Constructs a budget that nobody uses yet.
   *
   * @param size How much: bytes, or a text such as `"256MiB"`.
   * @param options How it is shared.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for what is no size or no share.
   */
  constructor(size: ByteSize, options: CacheMemoryOptions = {}) {
    this.#maxBytes = toBytes(size, "cacheMemory");
    this.#minShare = checkShare(options.minShare ?? CACHE_MIN_SHARE);
  }

  /** What it holds. */
  get stats(): CacheMemoryStats {
    const caches = [...this.#members].filter(({ isRetired }) => !isRetired);
    return {
      bytes: this.#bytes,
      maxBytes: this.#maxBytes,
      caches: caches.length,
    };
  }

  /**
   * Changes it, now; what there is no room for goes.
   *
   * @param size How much.
   * @param options How it is shared; by default as before.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for what is no size or no share.
   */
  resize(size: ByteSize, options: CacheMemoryOptions = {}): void {
    this.prepare(size, options)();
  }

  /** {@linkcode resize}, in two steps; the second can't fail any more. @internal */
  prepare(size: ByteSize, options: CacheMemoryOptions = {}): () => void {
    const maxBytes = toBytes(size, "cacheMemory");
    const minShare = checkShare(options.minShare ?? this.#minShare);
    return () => {
      this.#minShare = minShare;
      this.#maxBytes = maxBytes;
      this.#victim = undefined;
      this.#evict();
    };
  }

  /** The epoch that has begun. @internal */
  get epoch(): number {
    return this.#epoch;
  }

  /** Whether an entry of that size can have room at all. @internal */
  canHold(bytes: number): boolean {
    return bytes <= this.#maxBytes;
  }

  /** Takes part in it. @internal */
  join(member: MemoryMember): void {
    this.#members.add(member);
    this.#victim = undefined;
  }

  /** Takes no part in it any more. @internal */
  leave(member: MemoryMember): void {
    if (!this.#members.delete(member)) return;
    this.#bytes -= member.bytes;
    this.#victim = undefined;
  }

  /** A member takes more by so many bytes, or less. @internal */
  changed(bytes: number): void {
    this.#bytes += bytes;
  }

  /** A member has taken in an entry: makes room, if there is too little. @internal */
  inserted(bytes: number): void {
    this.#inserted += bytes;
    if (this.#inserted * EPOCHS >= this.#maxBytes) {
      this.#inserted = 0;
      this.#epoch += 1;
      this.#victim = undefined;
      for (const member of this.#members) member.beginEpoch(this.#epoch);
    }
    this.#evict();
  }

  #evict(): void {
    while (this.#bytes > this.#maxBytes) {
      const victim = this.#victim ??= this.#choose();
      if (victim === undefined) return;
      const { oldestEpoch } = victim;
      victim.dropOldest();
      // Others' entries only get younger: until its own are, it is the oldest.
      const isOldest = victim.oldestEpoch === oldestEpoch;
      if (!isOldest || victim.bytes <= this.#minimumOf(victim)) {
        this.#victim = undefined;
      }
    }
  }

  #choose(): MemoryMember | undefined {
    let chosen: MemoryMember | undefined;
    for (const member of this.#members) {
      if (member.bytes <= this.#minimumOf(member)) continue;
      if (chosen === undefined || isBefore(member, chosen)) chosen = member;
    }
    return chosen;
  }

  #minimumOf({ isRetired }: MemoryMember): number {
    const share = this.#maxBytes / this.#members.size;
    return isRetired ? 0 : share * this.#minShare;
  }
}

/** Of two that are as old, the larger: it has the more that is. */
function isBefore(member: MemoryMember, other: MemoryMember): boolean {
  return member.oldestEpoch < other.oldestEpoch ||
    (member.oldestEpoch === other.oldestEpoch && member.bytes > other.bytes);
}

function checkShare(minShare: number): number {
  if (minShare >= 0 && minShare <= 1) return minShare;
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot share memory between caches: minShare is ${minShare}; ` +
      "give a number from 0 to 1",
  );
}

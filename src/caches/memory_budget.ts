/**
 * Which of many caches gives way.
 *
 * @module
 */

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

/**
 * Bytes that caches share. Where they are not enough, the entry goes that was
 * used least recently of all, whichever cache has it; but none of a cache that
 * takes less than its minimum.
 *
 * A hit tells nobody anything. Instead, after each 64th of the budget that is
 * inserted an epoch begins, and every cache puts a mark at the recent end of
 * its order of use: what is found behind it was used since. What is told apart
 * is therefore as fine as a 64th of the budget.
 *
 * - Cost: an insertion is a few additions; to choose who gives way, and to begin
 *   an epoch, each cache is looked at once.
 */
export class MemoryBudget {
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
   * @param maxBytes How much.
   * @param minShare The part of an equal share that a cache keeps, from 0 to 1.
   */
  constructor(maxBytes: number, minShare: number) {
    this.#maxBytes = maxBytes;
    this.#minShare = minShare;
  }

  /** What all entries take. */
  get bytes(): number {
    return this.#bytes;
  }

  /** What they may take. */
  get maxBytes(): number {
    return this.#maxBytes;
  }

  /** The part of an equal share that a cache keeps. */
  get minShare(): number {
    return this.#minShare;
  }

  /** How many caches share it. */
  get caches(): number {
    return [...this.#members].filter(({ isRetired }) => !isRetired).length;
  }

  /** Changes it, now; what there is no room for goes. */
  resize(maxBytes: number, minShare: number): void {
    this.#minShare = minShare;
    this.#maxBytes = maxBytes;
    this.#victim = undefined;
    this.#evict();
  }

  /** The epoch that has begun. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Whether an entry of that size can have room at all. */
  canHold(bytes: number): boolean {
    return bytes <= this.#maxBytes;
  }

  /** Takes part in it. */
  join(member: MemoryMember): void {
    this.#members.add(member);
    this.#victim = undefined;
  }

  /** Takes no part in it any more. */
  leave(member: MemoryMember): void {
    if (!this.#members.delete(member)) return;
    this.#bytes -= member.bytes;
    this.#victim = undefined;
  }

  /** A member takes more by so many bytes, or less. */
  changed(bytes: number): void {
    this.#bytes += bytes;
  }

  /** A member has taken in an entry: makes room, if there is too little. */
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

/**
 * The entries of a plain cache, in the order of their use.
 *
 * @module
 */

import { EpochMark, EpochMarks } from "./epoch_marks.ts";
import type { MemoryBudget, MemoryMember } from "./memory_budget.ts";
import { ANCHOR, Recency } from "./recency.ts";

/** What can stand in an order: it knows its place. */
export interface Ordered {
  /** Its place; {@linkcode NOWHERE} while it has none. */
  slot: number;
}

/** The place of what stands in no order. */
export const NOWHERE: number = ANCHOR;

/**
 * Entries in the order of their use, and the bytes that they take of what caches
 * share. As in an entry table, a hit is six links and tells nobody.
 */
export class EntryOrder<Entry extends Ordered> implements MemoryMember {
  /** It is in use until it leaves. */
  readonly isRetired: boolean = false;
  readonly #evicted: (entry: Entry) => void;
  readonly #recency = new Recency();
  readonly #marks = new EpochMarks();
  readonly #markSlots = new Map<EpochMark, number>();
  #memory: MemoryBudget | undefined;
  /** By slot, as their sizes. */
  #entries: (Entry | EpochMark | undefined)[] = [undefined];
  #sizes: number[] = [];
  #size = 0;
  #bytes = 0;
  #uses = 0;

  /**
   * Constructs an empty order.
   *
   * @param memory What its entries take a part of, if bytes are counted.
   * @param evicted Takes an entry out of its cache, for lack of room. It stands
   *   in no order any more.
   */
  constructor(
    memory: MemoryBudget | undefined,
    evicted: (entry: Entry) => void,
  ) {
    this.#memory = memory;
    this.#evicted = evicted;
    memory?.join(this);
    this.#restartMarks();
  }

  /** What its entries take; 0 where that is not counted. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Of which epoch what would go next is. */
  get oldestEpoch(): number {
    return this.#marks.oldest;
  }

  /** Whether there can be room for an entry at all. */
  canHold(bytes: number): boolean {
    return this.#memory?.canHold(bytes) !== false;
  }

  /**
   * Takes an entry in, as the one used last. What there is no room for goes: it
   * must be in its cache by then.
   *
   * @param bytes What it takes; of no account where that is not counted.
   */
  add(entry: Entry, bytes: number): void {
    if (this.#size === 0) this.#restartMarks();
    const slot = this.#recency.add();
    entry.slot = slot;
    this.#entries[slot] = entry;
    this.#size += 1;
    this.#uses += 1;
    if (this.#memory === undefined) return;
    this.#sizes[slot] = bytes;
    this.#bytes += bytes;
    this.#memory.changed(bytes);
    this.#memory.inserted(bytes);
  }

  /** An entry is used. One that stands nowhere isn't. */
  use(entry: Entry): void {
    if (entry.slot === NOWHERE) return;
    this.#uses += 1;
    this.#recency.use(entry.slot);
  }

  /** Takes an entry out, if it is there. */
  remove(entry: Entry): void {
    const { slot } = entry;
    if (slot === NOWHERE) return;
    entry.slot = NOWHERE;
    this.#recency.remove(slot);
    this.#entries[slot] = undefined;
    this.#size -= 1;
    if (this.#memory === undefined) return;
    const bytes = this.#sizes[slot] as number;
    this.#bytes -= bytes;
    this.#memory.changed(-bytes);
  }

  /** Takes all of them out. None may be given to it again. */
  clear(): void {
    this.#restartMarks();
    this.#recency.clear();
    this.#entries = [undefined];
    this.#sizes = [];
    this.#size = 0;
    this.#memory?.changed(-this.#bytes);
    this.#bytes = 0;
  }

  /** Gives its memory back. */
  close(): void {
    this.clear();
    this.#memory?.leave(this);
    this.#memory = undefined;
  }

  /** Evicts what was used least recently; or takes out what stands for an epoch. */
  dropOldest(): void {
    const entry = this.#entries[this.#recency.oldest];
    if (entry === undefined) return;
    if (entry instanceof EpochMark) {
      this.#removeMark(entry);
      this.#marks.passed(entry);
      return;
    }
    this.remove(entry);
    this.#evicted(entry);
  }

  /** Notes that what is used from now on is used in a later epoch. */
  beginEpoch(epoch: number): void {
    if (this.#size === 0) return;
    const marked = this.#marks.begin(epoch, this.#uses);
    if (marked === undefined) return;
    for (const mark of marked.removed) this.#removeMark(mark);
    const slot = this.#recency.add();
    this.#entries[slot] = marked.added;
    this.#markSlots.set(marked.added, slot);
  }

  #removeMark(mark: EpochMark): void {
    const slot = this.#markSlots.get(mark);
    if (slot === undefined) return;
    this.#recency.remove(slot);
    this.#entries[slot] = undefined;
    this.#markSlots.delete(mark);
  }

  #restartMarks(): void {
    for (const mark of [...this.#markSlots.keys()]) this.#removeMark(mark);
    this.#marks.restart(this.#memory?.epoch ?? 0);
  }
}

/**
 * What a change cache takes of the memory that caches share.
 *
 * @module
 */

import type { MemoryBudget, MemoryMember } from "./memory_budget.ts";

/** Epochs that are told apart; beyond, every second is forgotten. */
const MAX_SPANS = 64;

/** What it asks of its change cache. */
export interface ChangeHolder {
  /** The lowest token of a change that is remembered; `undefined` for none. */
  readonly oldest: () => number | undefined;
  /**
   * The lowest token that somebody has asked about since the epoch began; at
   * most the newest change of that moment, as what came after is as new.
   */
  readonly askedFrom: () => number;
  /** An epoch begins. */
  readonly beginAsking: () => void;
  /** Forgets the lowest token, with all that changed at it. */
  readonly forgetOldest: () => void;
}

/** All changes after a token were of use in an epoch. */
interface Span {
  readonly epoch: number;
  readonly from: number;
}

/**
 * Takes part in a budget for a change cache. It can't forget what nobody has
 * asked about: only its lowest token. What makes that of use is a question about
 * a token before it. So for each epoch it notes the lowest that was asked about.
 */
export class ChangeMemory implements MemoryMember {
  /** It is in use until it leaves. */
  readonly isRetired: boolean = false;
  #memory: MemoryBudget | undefined;
  readonly #holder: ChangeHolder;
  readonly #joined: number;
  /** Later epochs began later: one that reached as far back hides those before. */
  #spans: Span[] = [];
  #bytes = 0;

  /** Constructs the part of a change cache that knows of no change. */
  constructor(memory: MemoryBudget, holder: ChangeHolder) {
    this.#memory = memory;
    this.#holder = holder;
    this.#joined = memory.epoch;
    memory.join(this);
  }

  /** What the changes take. */
  get bytes(): number {
    return this.#bytes;
  }

  /** When the lowest token was last of use. */
  get oldestEpoch(): number {
    const oldest = this.#holder.oldest();
    const askedFrom = this.#holder.askedFrom();
    if (oldest === undefined || askedFrom < oldest) {
      return this.#memory?.epoch ?? 0;
    }
    const spans = this.#spans;
    while (spans[1] !== undefined && spans[1].from < oldest) spans.shift();
    return spans[0]?.epoch ?? this.#joined;
  }

  /** A change is remembered. What there is no room for goes. */
  add(bytes: number): void {
    this.#change(bytes);
    this.#memory?.inserted(bytes);
  }

  /** One is forgotten. */
  remove(bytes: number): void {
    this.#change(-bytes);
  }

  /** Gives the memory back. */
  close(): void {
    this.#memory?.leave(this);
    this.#memory = undefined;
  }

  /** Forgets the lowest token. */
  dropOldest(): void {
    this.#holder.forgetOldest();
  }

  /** Notes what was of use in the epoch before. */
  beginEpoch(epoch: number): void {
    const askedFrom = this.#holder.askedFrom();
    this.#holder.beginAsking();
    const spans = this.#spans;
    while ((spans.at(-1)?.from ?? -1) >= askedFrom) spans.pop();
    spans.push({ epoch: epoch - 1, from: askedFrom });
    if (spans.length > MAX_SPANS) {
      this.#spans = spans.filter((_, index) => index % 2 === 0);
    }
  }

  #change(bytes: number): void {
    this.#bytes += bytes;
    this.#memory?.changed(bytes);
  }
}

/**
 * Many deadlines on few timers.
 *
 * @module
 */

import type { CancelTimer, Clock } from "./clock.ts";

/** What is due in one millisecond. */
interface Slot {
  readonly actions: Set<() => void>;
  readonly cancelTimer: CancelTimer;
}

/**
 * Calls what is due, one timer for each millisecond in which something is:
 * thousands of calls that wait together cost one timer, and giving one up is a
 * deletion from a set.
 */
export class Deadlines {
  readonly #clock: Clock;
  readonly #slots = new Map<number, Slot>();

  /** Constructs one with nothing due. */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Timers that run. */
  get timers(): number {
    return this.#slots.size;
  }

  /** Calls `action` once, `delayMs` from now, rounded up to a whole ms. */
  add(action: () => void, delayMs: number): CancelTimer {
    const nowMs = this.#clock.monotonicMs();
    const dueMs = Math.ceil(nowMs + delayMs);
    const slot = this.#slots.get(dueMs) ?? this.#open(dueMs, dueMs - nowMs);
    slot.actions.add(action);
    return () => {
      slot.actions.delete(action);
      if (slot.actions.size > 0 || this.#slots.get(dueMs) !== slot) return;
      slot.cancelTimer();
      this.#slots.delete(dueMs);
    };
  }

  #open(dueMs: number, delayMs: number): Slot {
    const slot: Slot = {
      actions: new Set(),
      cancelTimer: this.#clock.schedule(() => {
        this.#slots.delete(dueMs);
        for (const action of slot.actions) action();
      }, delayMs),
    };
    this.#slots.set(dueMs, slot);
    return slot;
  }
}

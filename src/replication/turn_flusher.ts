/**
 * When what was gathered leaves.
 *
 * @module
 */

import type { Clock } from "../runtime/clock.ts";

/**
 * Calls a function soon after it is asked to: the first time in a turn of the
 * event loop before its callers go on, so that a transaction that is alone waits
 * for nobody; after that, at the end of the turn, once for all.
 */
export class TurnFlusher {
  readonly #clock: Clock;
  readonly #flush: () => void;
  #isDue = false;
  #hasFlushed = false;

  /** Constructs one that nobody has asked yet. */
  constructor(clock: Clock, flush: () => void) {
    this.#clock = clock;
    this.#flush = flush;
  }

  /** Asks. */
  request(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    if (this.#hasFlushed) return;
    this.#hasFlushed = true;
    queueMicrotask(() => this.#flushDue());
    this.#clock.nextTurn(() => {
      this.#hasFlushed = false;
      this.#flushDue();
    });
  }

  /** What was asked for has been done. */
  done(): void {
    this.#isDue = false;
  }

  #flushDue(): void {
    if (this.#isDue) this.#flush();
  }
}

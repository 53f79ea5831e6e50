/**
 * Doing something again and again, with pauses after failures.
 *
 * @module
 */

import type { Clock } from "../runtime/clock.ts";
import { messageOf } from "../runtime/errors.ts";
import { MAX_BACKOFF_MS, MIN_BACKOFF_MS } from "../runtime/limits.ts";
import { MovedError } from "./checkpoint.ts";

/** What attempts are made with. */
export interface AttemptsOptions {
  readonly clock: Clock;
  /** Told of each failure. */
  readonly failed: (error: string) => void;
}

/**
 * One of the things that a worker does in turn. If it fails it is left out for
 * a while, longer each time, and the others go on.
 */
export class Attempts {
  readonly #options: AttemptsOptions;
  #delayMs = MIN_BACKOFF_MS;
  #dueMs = -Infinity;
  #error: string | undefined;

  /** Constructs it, due at once. */
  constructor(options: AttemptsOptions) {
    this.#options = options;
  }

  /** What the last attempt failed with; `undefined` if it didn't. */
  get error(): string | undefined {
    return this.#error;
  }

  /** How long it is left out from now on, in ms; 0 if it isn't. */
  get pauseMs(): number {
    return Math.max(0, this.#dueMs - this.#options.clock.monotonicMs());
  }

  /**
   * Does it, if it is due.
   *
   * @param work What to do; gives whether there is more to be done at once.
   */
  async make(work: () => Promise<boolean>): Promise<boolean> {
    if (this.pauseMs > 0) return false;
    try {
      const isBusy = await work();
      this.#error = undefined;
      this.#delayMs = MIN_BACKOFF_MS;
      return isBusy;
    } catch (error) {
      // Somebody has changed what was read before: look again.
      if (error instanceof MovedError) return true;
      this.#error = messageOf(error);
      this.#options.failed(this.#error);
      this.#dueMs = this.#options.clock.monotonicMs() + this.#delayMs;
      this.#delayMs = Math.min(MAX_BACKOFF_MS, this.#delayMs * Math.E);
      return false;
    }
  }
}

/**
 * Pauses before trying again, each longer than the one before.
 *
 * @module
 */

import type { Clock } from "./clock.ts";
import { MAX_BACKOFF_MS, MIN_BACKOFF_MS } from "./limits.ts";
import type { Random } from "./random.ts";
import { pause } from "./waiting.ts";

/** Options of {@linkcode Backoff}. */
export interface BackoffOptions {
  readonly clock: Clock;
  readonly random: Random;
  /**
   * The first pause, in ms; each next is e times longer.
   *
   * @default {100}
   */
  readonly minBackoffMs?: number | undefined;
  /**
   * The longest pause, in ms.
   *
   * @default {2000}
   */
  readonly maxBackoffMs?: number | undefined;
}

/**
 * How long to wait before trying again. Up to half of each pause is left out by
 * chance: those who were cut off together don't come back together.
 */
export class Backoff {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #minMs: number;
  readonly #maxMs: number;
  #delayMs: number;

  /** Constructs one whose first pause is to come. */
  constructor(options: BackoffOptions) {
    const { clock, random } = options;
    const { minBackoffMs = MIN_BACKOFF_MS, maxBackoffMs = MAX_BACKOFF_MS } =
      options;
    this.#clock = clock;
    this.#random = random;
    this.#minMs = this.#delayMs = minBackoffMs;
    this.#maxMs = maxBackoffMs;
  }

  /** It was of use: the next pause is a first one. */
  reset(): void {
    this.#delayMs = this.#minMs;
  }

  /**
   * Waits.
   *
   * @param signal Ends the pause early; the promise then resolves all the same.
   * @param maxMs The longest that this pause may be, in ms.
   */
  pause(signal?: AbortSignal, maxMs = Infinity): Promise<void> {
    const delayMs = this.#delayMs * (0.5 + this.#random.fraction() / 2);
    this.#delayMs = Math.min(this.#maxMs, this.#delayMs * Math.E);
    return pause(this.#clock, Math.min(delayMs, maxMs), signal);
  }
}

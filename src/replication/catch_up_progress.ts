/**
 * How a catch-up comes along.
 *
 * @module
 */

import type { Clock } from "../runtime/clock.ts";
import type { Token } from "../tokens/token.ts";
import type { CatchUpRange } from "./catch_up.ts";

/** How far a catch-up has got. */
export interface CatchUpProgress {
  /** Whose log is fetched. */
  readonly instance: string;
  /** The token up to which it is applied. */
  readonly reached: Token;
  /** The token where it ends. */
  readonly upTo: Token;
  /** Token numbers that are done. */
  readonly done: number;
  /** Token numbers in all. */
  readonly total: number;
  /** Rows that are done, in all streams. */
  readonly rows: number;
  /** Rows a second, from its beginning on. */
  readonly rowsPerSecond: number;
  /** Whether that was all. */
  readonly isDone: boolean;
}

/** Counts what one catch-up has done. */
export class ProgressMeter {
  readonly #range: CatchUpRange;
  readonly #clock: Clock;
  readonly #beganMs: number;
  #reached: Token;
  #rows = 0;

  /** Constructs one that begins now. */
  constructor(range: CatchUpRange, clock: Clock) {
    this.#range = range;
    this.#clock = clock;
    this.#beganMs = clock.monotonicMs();
    this.#reached = range.after;
  }

  /** What has been done so far. */
  get progress(): CatchUpProgress {
    const { instance, after, upTo } = this.#range;
    const ms = this.#clock.monotonicMs() - this.#beganMs;
    return {
      instance,
      reached: this.#reached,
      upTo,
      done: this.#reached - after,
      total: upTo - after,
      rows: this.#rows,
      rowsPerSecond: ms > 0 ? Math.round(this.#rows * 1_000 / ms) : 0,
      isDone: this.#reached >= upTo,
    };
  }

  /** Everything up to a token is done. */
  add(reached: Token, rows: number): void {
    this.#reached = reached;
    this.#rows += rows;
  }
}

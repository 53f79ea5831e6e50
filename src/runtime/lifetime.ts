/**
 * Whether what was opened can still be used.
 *
 * @module
 */

import type { HeadwaterError } from "./errors.ts";

/** The life of something that can be closed, as its parts see it. */
export class Lifetime {
  readonly #closed: (action: string) => HeadwaterError;
  #isOver = false;

  /**
   * Constructs one that has begun.
   *
   * @param closed The error of what can't be done once it is over.
   */
  constructor(closed: (action: string) => HeadwaterError) {
    this.#closed = closed;
  }

  /** It is over, for good. */
  end(): void {
    this.#isOver = true;
  }

  /**
   * Refuses what can't be done any more.
   *
   * @param action What is to be done: `subscribe to orders`.
   * @throws {HeadwaterError} `CLOSED` once it is over.
   */
  require(action: string): void {
    if (this.#isOver) throw this.#closed(action);
  }
}

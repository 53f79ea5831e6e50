/**
 * Telling of commits in token order, where they end in another.
 *
 * @module
 */

import type { LoggedTransaction } from "../replication/transaction.ts";
import type { Token } from "../tokens/token.ts";
import type { Flight, TokenTracker } from "../tokens/token_tracker.ts";

/** What {@linkcode CommitOrder} works with. */
export interface CommitOrderOptions {
  readonly tracker: TokenTracker;
  /** Is given each transaction once every lower token of the instance has ended. */
  readonly publish: (transaction: LoggedTransaction) => void;
}

/**
 * Holds transactions back until no lower token can appear.
 *
 * Promise 2, complete tokens: PostgreSQL gives tokens while transactions run
 * beside each other, so a higher one may commit first. Test:
 * `tests/promises/02_complete_tokens.test.ts`.
 */
export class CommitOrder {
  readonly #tracker: TokenTracker;
  readonly #publish: (transaction: LoggedTransaction) => void;
  readonly #held = new Map<Token, LoggedTransaction>();
  /** The position up to which none is held any more. */
  #released: Token | undefined;

  /** Constructs one that holds nothing back. */
  constructor({ tracker, publish }: CommitOrderOptions) {
    this.#tracker = tracker;
    this.#publish = publish;
  }

  /** How many are committed, and wait for a lower one. */
  get held(): number {
    return this.#held.size;
  }

  /** A transaction is about to take a token. */
  begin(): Flight {
    return this.#tracker.begin();
  }

  /** It is committed. */
  committed(flight: Flight, transaction: LoggedTransaction): void {
    flight.take(transaction.token);
    this.#held.set(transaction.token, transaction);
    flight.end();
    this.#release();
  }

  /** It is rolled back, as far as its token goes. */
  abandoned(flight: Flight): void {
    flight.end();
    this.#release();
  }

  #release(): void {
    const { position } = this.#tracker;
    if (position === this.#released) return;
    this.#released = position;
    const due: LoggedTransaction[] = [];
    for (const [token, transaction] of this.#held) {
      if (token <= position) due.push(transaction);
    }
    due.sort((a, b) => a.token - b.token);
    for (const transaction of due) {
      this.#held.delete(transaction.token);
      this.#publish(transaction);
    }
  }
}

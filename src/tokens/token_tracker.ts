/**
 * Which of several writers' tokens are complete, as one of them sees it.
 *
 * @module
 */

import { type Token, TOKEN_ZERO } from "./token.ts";

/** One transaction that takes a token from the shared sequence. */
export interface Flight {
  /** Tells which token it was given; from then on it is that one that is open. */
  take(token: Token): void;
  /** It is committed, or it is gone: nothing can appear under its token any more. */
  end(): void;
}

/** Where a tracker begins. */
export interface TokenTrackerOptions {
  /** Whose transactions are told with {@linkcode TokenTracker.begin}. */
  readonly instance: string;
  /** How far each instance has got; one that isn't there has not written yet. */
  readonly positions: ReadonlyMap<string, Token>;
  /** Every token up to here is complete. The lowest of the positions by default. */
  readonly linear?: Token | undefined;
}

/** What is kept of a flight: its token, or the last one that it can't have. */
interface OpenFlight {
  floor: Token;
  token: Token | undefined;
}

/**
 * Tokens come from one sequence, and transactions end in another order.
 *
 * - An instance's position moves only over its own tokens that have ended, and
 *   never past one that is open. A transaction that has asked for a token and
 *   doesn't know it yet may have any beyond those seen when it asked: it holds
 *   the position there.
 * - The linear position is the token up to which all are complete, whoever took
 *   them: the lowest position of all instances, and what follows it without a
 *   gap. It never moves back.
 *
 * Modelled after Synapse's MultiWriterIdGenerator
 * (`synapse/storage/util/id_generators.py`), whose tests this one's name.
 */
export class TokenTracker {
  readonly #instance: string;
  readonly #positions: Map<string, Token>;
  readonly #open = new Set<OpenFlight>();
  /** Own tokens that ended above the position. */
  readonly #ended = new Set<Token>();
  /** Anybody's tokens that are known to have ended above the linear position. */
  readonly #complete = new Set<Token>();
  #linear: Token;
  #seen: Token;

  /** Constructs a tracker without open transactions. */
  constructor({ instance, positions, linear }: TokenTrackerOptions) {
    this.#instance = instance;
    this.#positions = new Map(positions);
    this.#seen = maxOf(positions.values());
    this.#linear = linear ?? minOf(positions.values());
    if (!this.#positions.has(instance)) {
      // A new writer counts from where all are, or its first token would be
      // announced before it is written.
      this.#positions.set(instance, this.#linear);
    }
  }

  /** The token up to which everything of every instance is complete. */
  get linear(): Token {
    return this.#linear;
  }

  /** The token up to which everything of this instance is complete. */
  get position(): Token {
    return this.#positions.get(this.#instance) as Token;
  }

  /** Transactions that have not ended. */
  get open(): number {
    return this.#open.size;
  }

  /** How far an instance has got; the linear position if it was never heard of. */
  positionOf(instance: string): Token {
    const position = this.#positions.get(instance) ?? this.#linear;
    return position > this.#linear ? position : this.#linear;
  }

  /** A copy of all positions. */
  positions(): Map<string, Token> {
    return new Map(this.#positions);
  }

  /** A transaction is about to take a token. */
  begin(): Flight {
    const flight: OpenFlight = { floor: this.#seen, token: undefined };
    this.#open.add(flight);
    return {
      take: (token) => {
        flight.token = token;
        if (token > this.#seen) this.#seen = token;
      },
      end: () => {
        if (!this.#open.delete(flight)) return;
        if (flight.token !== undefined) this.#ended.add(flight.token);
        this.#movePosition();
        if (flight.token !== undefined) this.#addComplete(flight.token);
        else this.#moveLinear();
      },
    };
  }

  /** Another instance has told its position. */
  advance(instance: string, token: Token): void {
    if (token > this.#seen) this.#seen = token;
    if (token > (this.#positions.get(instance) ?? TOKEN_ZERO)) {
      this.#positions.set(instance, token);
    }
    this.#addComplete(token);
  }

  #movePosition(): void {
    const bound = this.#lowestOpen();
    let position = this.position;
    for (const token of this.#ended) {
      if (token < bound && token > position) position = token;
    }
    for (const token of this.#ended) {
      if (token <= position) this.#ended.delete(token);
    }
    this.#positions.set(this.#instance, position);
  }

  /** The lowest token that an open transaction has, or may have. */
  #lowestOpen(): number {
    let lowest = Infinity;
    for (const { token, floor } of this.#open) {
      lowest = Math.min(lowest, token ?? floor + 1);
    }
    return lowest;
  }

  #addComplete(token: Token): void {
    if (token > this.#linear) this.#complete.add(token);
    this.#moveLinear();
  }

  #moveLinear(): void {
    let linear = this.#linear;
    let lowest: Token | undefined;
    for (const [instance, position] of this.#positions) {
      // With nothing open, this instance keeps nobody back.
      if (instance === this.#instance && this.#open.size === 0) continue;
      if (lowest === undefined || position < lowest) lowest = position;
    }
    if (lowest === undefined) lowest = this.position;
    if (lowest > linear) linear = lowest;
    while (this.#complete.has(linear + 1 as Token)) {
      linear = linear + 1 as Token;
    }
    if (linear === this.#linear) return;
    this.#linear = linear;
    for (const token of this.#complete) {
      if (token <= linear) this.#complete.delete(token);
    }
  }
}

function minOf(tokens: Iterable<Token>): Token {
  let lowest: Token | undefined;
  for (const token of tokens) {
    if (lowest === undefined || token < lowest) lowest = token;
  }
  return lowest ?? TOKEN_ZERO;
}

function maxOf(tokens: Iterable<Token>): Token {
  let highest = TOKEN_ZERO;
  for (const token of tokens) if (token > highest) highest = token;
  return highest;
}

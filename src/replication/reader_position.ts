/**
 * How far a reader has got, and who waits for it to get further.
 *
 * @module
 */

import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import { WAIT_TIMEOUT_MS } from "../runtime/limits.ts";
import type { WaitOptions } from "../runtime/waiting.ts";
import type { Position } from "../tokens/position.ts";
import { type Token, TOKEN_ZERO } from "../tokens/token.ts";
import { TokenWaiters } from "./token_waiters.ts";

/** A wait that came to its deadline. */
export class WaitTimeoutError extends HeadwaterError {
  /** The class's name, as it stands in stack traces. */
  override readonly name: string = "WaitTimeoutError";
  /** The instance that was waited for. */
  readonly instance: string;
  /** The token that was waited for. */
  readonly token: Token;
  /** How far the reader has got instead. */
  readonly position: Position;

  /** Made by `waitFor`. */
  constructor(
    instance: string,
    token: Token,
    position: Position,
    timeoutMs: number,
    state: string = stateOf(position.get(instance)),
  ) {
    super(
      "WAIT_TIMEOUT",
      `Cannot wait any longer for token ${token} of instance "${instance}": ` +
        `after ${timeoutMs} ms ${state}; check that the writer runs, or wait longer`,
    );
    this.instance = instance;
    this.token = token;
    this.position = position;
  }
}

function stateOf(reached: Token | undefined): string {
  return reached === undefined
    ? `nothing is known of that instance`
    : `this process has reached ${reached}`;
}

/** How a wait ended, and how far the reader had got by then. */
export type WaitOutcome = WaitReached | WaitTimedOut;

/** A wait that came to what it waited for. */
export interface WaitReached {
  /** That it was reached. */
  readonly outcome: "reached";
  /** How far the reader had got by then: it contains what was waited for. */
  readonly position: Position;
}

/** A wait that came to its deadline: the position does not contain what was waited for. */
export interface WaitTimedOut {
  /** That it was not reached in time. */
  readonly outcome: "timeout";
  /** How far the reader had got by then. */
  readonly position: Position;
}

/**
 * Instance → token, up to which everything has been applied.
 *
 * Moves only in {@linkcode advance}, once a transaction's work is done, so
 * that nobody sees a position before its effects; and back only when a reader
 * starts over.
 */
export class ReaderPosition {
  readonly #clock: Clock;
  readonly #tokens = new Map<string, Token>();
  readonly #waiters = new Map<string, TokenWaiters>();
  #closed: HeadwaterError | undefined;
  /** A copy that many share. */
  #copy: Position | undefined;

  /** Constructs a position that contains nothing. */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A copy, as it is now. */
  get current(): Position {
    return new Map(this.#tokens);
  }

  /** The same for all who ask before it moves: a copy, too. */
  get shared(): Position {
    this.#copy ??= this.current;
    return this.#copy;
  }

  /** How many wait. */
  get waiters(): number {
    let count = 0;
    for (const waiters of this.#waiters.values()) count += waiters.size;
    return count;
  }

  /** How far an instance's log has been applied; `undefined` if it was never heard of. */
  get(instance: string): Token | undefined {
    return this.#tokens.get(instance);
  }

  /** Whether a token has been applied. */
  contains(instance: string, token: Token): boolean {
    const reached = this.#tokens.get(instance);
    return reached !== undefined && token <= reached;
  }

  /** Moves on, and wakes those who waited for it. */
  advance(instance: string, token: Token): void {
    if (this.contains(instance, token)) return;
    this.#tokens.set(instance, token);
    this.#copy = undefined;
    this.#waiters.get(instance)?.reach(token);
  }

  /** Starts over at a token, be it an earlier one. The caches must have been cleared. */
  reset(instance: string, token: Token): void {
    this.#tokens.set(instance, token);
    this.#copy = undefined;
    this.#waiters.get(instance)?.reach(token);
  }

  /**
   * Waits until every component of a position is applied.
   *
   * @throws {WaitTimeoutError} `WAIT_TIMEOUT` at the deadline.
   * @throws The signal's reason, if it is aborted.
   */
  async waitFor(
    wanted: Position,
    options: WaitOptions,
  ): Promise<WaitReached> {
    const { signal, timeoutMs = WAIT_TIMEOUT_MS } = options;
    const deadlineMs = this.#clock.monotonicMs() + timeoutMs;
    for (const [instance, token] of wanted) {
      // Token 0 stands before everything, heard of or not.
      if (token === TOKEN_ZERO || this.contains(instance, token)) continue;
      signal?.throwIfAborted();
      this.requireOpen();
      const leftMs = Math.max(0, deadlineMs - this.#clock.monotonicMs());
      await this.#waitersOf(instance).wait(
        token,
        () => new WaitTimeoutError(instance, token, this.shared, timeoutMs),
        { signal, timeoutMs: leftMs },
      );
    }
    return { outcome: "reached", position: this.shared };
  }

  /** Ends every wait, and every later one, with an error. */
  close(reason: HeadwaterError): void {
    this.#closed = reason;
    for (const waiters of this.#waiters.values()) waiters.rejectAll(reason);
  }

  /** Throws what {@linkcode close} was given, if it was called. */
  requireOpen(): void {
    if (this.#closed !== undefined) throw this.#closed;
  }

  #waitersOf(instance: string): TokenWaiters {
    let waiters = this.#waiters.get(instance);
    if (waiters === undefined) {
      waiters = new TokenWaiters(this.#clock);
      this.#waiters.set(instance, waiters);
    }
    return waiters;
  }
}

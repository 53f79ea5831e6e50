/**
 * How far a reader has got, and who waits for it to get further.
 *
 * @module
 */

import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError, quote } from "../runtime/errors.ts";
import { MAX_WAITERS, WAIT_TIMEOUT_MS } from "../runtime/limits.ts";
import type { WaitOptions } from "../runtime/waiting.ts";
import type { Holders } from "../tokens/holders.ts";
import type { Position } from "../tokens/position.ts";
import { type Token, TOKEN_ZERO } from "../tokens/token.ts";
import { type TimeoutError, TokenWaiters } from "./token_waiters.ts";

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

/** A token that is waited for. */
interface WantedToken {
  readonly instance: string;
  readonly token: Token;
  /** Under whom, as text; `undefined` if that isn't known. */
  readonly holder: string | undefined;
  readonly deadlineMs: number;
}

/** Ends waits for them to be judged anew: another holder goes on with the log. */
const JUDGE_ANEW = Symbol("judge anew");
/** Likewise: it was rewound. */
const REWOUND = Symbol("rewound");

/** A token that no wait ends with. */
const NEVER = Number.MAX_SAFE_INTEGER as Token;

function lostError(instance: string, token: Token): HeadwaterError {
  return new HeadwaterError(
    "LOG_REWOUND",
    `Cannot wait for token ${token} of instance "${instance}": the log has lost ` +
      "it; the database was restored, or failed over to a copy that lacks it; " +
      "write again what it stood for",
  );
}

function crowdedError(instance: string, waiting: number): HeadwaterError {
  return new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot wait for instance ${quote(instance)}: ${waiting} wait ` +
      "already; wait less",
  );
}

/** Reads who has held an instance's name by now. */
export type ReadHolders = (instance: string) => Promise<Holders>;

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
 *
 * Promise 5 where promise 7 comes in: a token that was given twice is waited
 * for under the holder that gave it. Whenever another holder goes on with the
 * log, each wait is judged anew, before the position moves.
 */
export class ReaderPosition {
  readonly #clock: Clock;
  readonly #tokens = new Map<string, Token>();
  /** Who has held each name, up to the one whose tokens are applied. */
  readonly #holders = new Map<string, Holders>();
  /** Of those whom somebody waits for: any name may be asked for, and most are nobody's. */
  readonly #waiters = new Map<string, TokenWaiters>();
  readonly #maxWaiters: number;
  #waiting = 0;
  readonly #readHolders: ReadHolders | undefined;
  #closed: HeadwaterError | undefined;
  /** A copy that many share. */
  #copy: Position | undefined;

  /**
   * Constructs a position that contains nothing.
   *
   * @param clock Times waits.
   * @param readHolders Where there is a log to look in, for what is waited for
   *   under a holder that nothing has been applied of.
   * @param maxWaiters How many may wait at a time, whomever for.
   */
  constructor(
    clock: Clock,
    readHolders?: ReadHolders,
    maxWaiters: number = MAX_WAITERS,
  ) {
    this.#clock = clock;
    this.#readHolders = readHolders;
    this.#maxWaiters = maxWaiters;
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

  /** By instance, the holder whose tokens are applied, as text. */
  get marks(): ReadonlyMap<string, string> {
    const marks = new Map<string, string>();
    for (const [instance, { text }] of this.#holders) {
      if (text !== undefined) marks.set(instance, text);
    }
    return marks;
  }

  /** Who has held an instance's name, up to whom its position was adopted from. */
  holdersOf(instance: string): Holders | undefined {
    return this.#holders.get(instance);
  }

  /** Of how many instances somebody waits for a token. */
  get awaited(): number {
    return this.#waiters.size;
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

  /**
   * Another holder goes on with the log, or the first that is known: what has
   * been applied is part of its history.
   */
  goOn(instance: string, holders: Holders): void {
    const before = this.#holders.get(instance);
    this.#holders.set(instance, holders);
    if (before?.text === holders.text) return;
    this.#waiters.get(instance)?.rejectAll(JUDGE_ANEW);
  }

  /**
   * Starts over at a token, be it an earlier one. The caches must have been cleared.
   *
   * @param holders Who has held the name, if it is another history now.
   */
  reset(instance: string, token: Token, holders?: Holders): void {
    this.#tokens.set(instance, token);
    this.#copy = undefined;
    const waiters = this.#waiters.get(instance);
    if (holders === undefined) return waiters?.reach(token);
    this.#holders.set(instance, holders);
    waiters?.rejectAll(REWOUND);
  }

  /**
   * Waits until every component of a position is applied.
   *
   * @param position What to wait for.
   * @param options How long.
   * @param marks By instance, who held its name then, as text. A token without
   *   one is any that has the number; if the log is rewound meanwhile, it is taken
   *   to be of the time before.
   * @throws {WaitTimeoutError} `WAIT_TIMEOUT` at the deadline.
   * @throws {HeadwaterError} `LOG_REWOUND` for a token that the log has lost;
   *   `INVALID_ARGUMENT` if too many wait.
   * @throws The signal's reason, if it is aborted.
   */
  async waitFor(
    position: Position,
    options: WaitOptions,
    marks: ReadonlyMap<string, string> = new Map(),
  ): Promise<WaitReached> {
    const { timeoutMs = WAIT_TIMEOUT_MS } = options;
    const deadlineMs = this.#clock.monotonicMs() + timeoutMs;
    for (const [instance, token] of position) {
      // Token 0 stands before everything, heard of or not.
      if (token === TOKEN_ZERO) continue;
      const holder = marks.get(instance);
      const isReached = this.contains(instance, token) &&
        this.#follows(instance, token, holder);
      if (isReached) continue;
      await this.#reach({ instance, token, holder, deadlineMs }, options);
    }
    return { outcome: "reached", position: this.shared };
  }

  async #reach(
    { instance, token, holder, deadlineMs }: WantedToken,
    { signal, timeoutMs = WAIT_TIMEOUT_MS }: WaitOptions,
  ): Promise<void> {
    let judged = holder;
    while (true) {
      const holders = this.#holders.get(instance);
      const isFollowed = this.#follows(instance, token, judged);
      if (isFollowed && this.contains(instance, token)) return;
      signal?.throwIfAborted();
      this.requireOpen();
      if (!isFollowed) {
        // It is lost, or this reader has not heard of its holder yet.
        const isLost = await this.#isLost(instance, token, judged);
        if (this.#holders.get(instance) !== holders) continue;
        if (isLost) throw lostError(instance, token);
      }
      const leftMs = Math.max(0, deadlineMs - this.#clock.monotonicMs());
      try {
        await this.#wait(
          instance,
          isFollowed ? token : NEVER,
          () => new WaitTimeoutError(instance, token, this.shared, timeoutMs),
          { signal, timeoutMs: leftMs },
        );
      } catch (reason) {
        if (reason === REWOUND) judged ??= holders?.text;
        else if (reason !== JUDGE_ANEW) throw reason;
      }
    }
  }

  async #isLost(
    instance: string,
    token: Token,
    holder: string | undefined,
  ): Promise<boolean> {
    if (holder === undefined || this.#readHolders === undefined) return true;
    try {
      return !(await this.#readHolders(instance)).contains(holder, token);
    } catch {
      // Nobody can be asked now: the wait has a deadline.
      return false;
    }
  }

  /** Whether a token is part of the history that is followed, or nothing says that it isn't. */
  #follows(
    instance: string,
    token: Token,
    holder: string | undefined,
  ): boolean {
    const holders = this.#holders.get(instance);
    return holder === undefined || holders === undefined ||
      holders.contains(holder, token);
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

  async #wait(
    instance: string,
    token: Token,
    timeoutError: TimeoutError,
    options: WaitOptions & { readonly timeoutMs: number },
  ): Promise<void> {
    if (this.#waiting >= this.#maxWaiters) {
      throw crowdedError(instance, this.#waiting);
    }
    const waiters = this.#waiters.get(instance) ??
      new TokenWaiters(this.#clock);
    this.#waiters.set(instance, waiters);
    this.#waiting += 1;
    try {
      await waiters.wait(token, timeoutError, options);
    } finally {
      this.#waiting -= 1;
      const isLast = waiters.size === 0;
      if (isLast && this.#waiters.get(instance) === waiters) {
        this.#waiters.delete(instance);
      }
    }
  }
}

/**
 * A bounded first-come, first-served queue for something that few may hold.
 *
 * @module
 */

import type { CancelTimer, Clock } from "./clock.ts";
import { HeadwaterError } from "./errors.ts";

/** Options of {@linkcode Gate}. */
export interface GateOptions {
  /** What is waited for, as it stands in errors: "the write connection". */
  readonly subject: string;
  /** How many may hold it at a time. */
  readonly permits: number;
  /** How many may wait. */
  readonly maxQueued: number;
  /** How long one may wait, in ms. */
  readonly timeoutMs: number;
  /** The clock that tells it. */
  readonly clock: Clock;
}

interface Waiter {
  readonly enter: () => void;
  readonly refuse: (error: HeadwaterError) => void;
  readonly deadlineMs: number;
}

/** Lets `permits` callers in at a time, the others in order, none for ever. */
export class Gate {
  readonly #options: GateOptions;
  // A ring would save nothing: shift() on a queue of this size is a memmove.
  readonly #waiters: Waiter[] = [];
  #free: number;
  #holder = "";
  #cancelTimer: CancelTimer | undefined;

  /** Constructs an open gate. */
  constructor(options: GateOptions) {
    this.#options = options;
    this.#free = options.permits;
  }

  /** How many wait. */
  get queued(): number {
    return this.#waiters.length;
  }

  /**
   * Waits for a permit, to be given back with {@linkcode leave}.
   *
   * @returns `undefined` if there was one.
   * @param name Who enters, as later waiters' errors will say.
   * @throws {HeadwaterError} `DATABASE_BUSY` if the queue is full, or the wait too long.
   */
  enter(name: string): Promise<void> | undefined {
    const { subject, maxQueued } = this.#options;
    if (this.#free === 0 && this.#waiters.length >= maxQueued) {
      const error = new HeadwaterError(
        "DATABASE_BUSY",
        `Cannot run "${name}": ${maxQueued} wait for ${subject} already; ` +
          "do less at a time, or raise the limit",
      );
      return Promise.reject(error);
    }
    return this.#enter(name, this.#options.timeoutMs);
  }

  /** {@linkcode enter}, if nobody needs to be waited for; says whether. */
  tryEnter(name: string): boolean {
    if (this.#free === 0) return false;
    this.#free -= 1;
    this.#holder = name;
    return true;
  }

  /**
   * {@linkcode enter}, however many wait and however long: for closing, which
   * must not be refused. Those who come after wait as long as it does.
   */
  enterLast(name: string): Promise<void> | undefined {
    return this.#enter(name, Infinity);
  }

  #enter(name: string, timeoutMs: number): Promise<void> | undefined {
    return this.tryEnter(name) ? undefined : this.#queue(name, timeoutMs);
  }

  /** Gives the permit to the next in line. */
  leave(): void {
    const next = this.#waiters.shift();
    if (next === undefined) this.#free += 1;
    else next.enter();
    if (this.#waiters.length > 0) return this.#arm();
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  #queue(name: string, timeoutMs: number): Promise<void> {
    const { clock } = this.#options;
    return new Promise((resolve, refuse) => {
      const enter = () => {
        this.#holder = name;
        resolve();
      };
      const deadlineMs = clock.monotonicMs() + timeoutMs;
      this.#waiters.push({ enter, refuse, deadlineMs });
      this.#arm();
    });
  }

  /** One timer for the oldest waiter serves all: deadlines are in order. */
  #arm(): void {
    if (this.#cancelTimer !== undefined || this.#waiters.length === 0) return;
    const { clock } = this.#options;
    const oldest = this.#waiters[0] as Waiter;
    if (oldest.deadlineMs === Infinity) return;
    this.#cancelTimer = clock.schedule(() => {
      this.#cancelTimer = undefined;
      this.#expire();
      this.#arm();
    }, Math.max(0, oldest.deadlineMs - clock.monotonicMs()));
  }

  #expire(): void {
    const { subject, timeoutMs, clock } = this.#options;
    const now = clock.monotonicMs();
    while (this.#waiters.length > 0) {
      const oldest = this.#waiters[0] as Waiter;
      if (oldest.deadlineMs > now) return;
      this.#waiters.shift();
      oldest.refuse(
        new HeadwaterError(
          "DATABASE_BUSY",
          `Cannot go on: waited ${timeoutMs} ms for ${subject}, held by ` +
            `"${this.#holder}"; end that one first (is one opened within the other?)`,
        ),
      );
    }
  }
}

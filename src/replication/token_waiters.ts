/**
 * Who waits for which token.
 *
 * @module
 */

import { AbortGroup } from "../runtime/abort_group.ts";
import type { Clock } from "../runtime/clock.ts";
import { Deadlines } from "../runtime/deadlines.ts";
import type { WaitOptions } from "../runtime/waiting.ts";
import type { Token } from "../tokens/token.ts";

interface Waiter {
  readonly token: Token;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
  isOver: boolean;
}

/** Makes the error of a wait that has come to its deadline. */
export type TimeoutError = () => Error;

/** Whether a token is not beyond another one. */
export type IsUpTo = (token: Token, end: Token) => boolean;

const isUpTo: IsUpTo = (token, end) => token <= end;

/**
 * The waiters of one instance's tokens: a binary heap, the lowest token first.
 *
 * - Cost: O(log n) to wait and to wake; a token that nobody waits for costs
 *   one comparison. Those that give up cost a deletion each: waiters share
 *   timers and listeners, and leave the heap when half of it has given up.
 */
export class TokenWaiters {
  readonly #deadlines: Deadlines;
  readonly #signals = new AbortGroup();
  readonly #heap: Waiter[] = [];
  readonly #isUpTo: IsUpTo;
  #over = 0;

  /**
   * Constructs a set of no waiters.
   *
   * @param clock Times waits.
   * @param order Compares tokens: all that is ever asked of two waiters.
   */
  constructor(clock: Clock, order: IsUpTo = isUpTo) {
    this.#deadlines = new Deadlines(clock);
    this.#isUpTo = order;
  }

  /** How many wait. */
  get size(): number {
    return this.#heap.length - this.#over;
  }

  /**
   * Waits until {@linkcode reach} is told of the token or a later one.
   *
   * @param token The token that has not been reached yet.
   * @param timeoutError The error of the deadline.
   * @param options How long to wait. A wait never resolves by running out of time.
   */
  wait(
    token: Token,
    timeoutError: TimeoutError,
    options: WaitOptions & { readonly timeoutMs: number },
  ): Promise<void> {
    const { signal, timeoutMs } = options;
    return new Promise((resolve, reject) => {
      const end = () => {
        waiter.isOver = true;
        cancelTimer();
        removeSignal?.();
      };
      const giveUp = (reason: unknown) => {
        end();
        this.#forget();
        reject(reason);
      };
      const cancelTimer = this.#deadlines.add(
        () => giveUp(timeoutError()),
        timeoutMs,
      );
      const removeSignal = signal &&
        this.#signals.add(signal, () => giveUp(signal.reason));
      const waiter: Waiter = {
        token,
        isOver: false,
        resolve: () => {
          end();
          resolve();
        },
        reject: giveUp,
      };
      this.#push(waiter);
    });
  }

  /** Wakes everybody who waits for this token or an earlier one, in token order. */
  reach(token: Token): void {
    while (true) {
      const next = this.#heap[0];
      if (next === undefined || !this.#isUpTo(next.token, token)) return;
      const waiter = this.#pop();
      if (waiter.isOver) this.#over -= 1;
      else waiter.resolve();
    }
  }

  /** Ends every wait with an error. */
  rejectAll(reason: unknown): void {
    for (const waiter of this.#heap.splice(0)) {
      if (!waiter.isOver) waiter.reject(reason);
    }
    this.#over = 0;
  }

  /** Those that gave up are swept out once they are the most. */
  #forget(): void {
    this.#over += 1;
    if (this.#over * 2 <= this.#heap.length) return;
    const waiting = this.#heap.filter((waiter) => !waiter.isOver);
    this.#heap.length = 0;
    this.#over = 0;
    for (const waiter of waiting) this.#push(waiter);
  }

  #push(waiter: Waiter): void {
    const heap = this.#heap;
    let index = heap.push(waiter) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (this.#isUpTo((heap[parent] as Waiter).token, waiter.token)) break;
      heap[index] = heap[parent] as Waiter;
      index = parent;
    }
    heap[index] = waiter;
  }

  #pop(): Waiter {
    const heap = this.#heap;
    const top = heap[0] as Waiter;
    const last = heap.pop() as Waiter;
    if (heap.length === 0) return top;
    let index = 0;
    while (true) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      const left = heap[child] as Waiter;
      const right = heap[child + 1];
      const isLeft = right === undefined ||
        this.#isUpTo(left.token, right.token);
      if (!isLeft) child += 1;
      const lowest = isLeft ? left : right;
      if (this.#isUpTo(last.token, lowest.token)) break;
      heap[index] = lowest;
      index = child;
    }
    heap[index] = last;
    return top;
  }
}

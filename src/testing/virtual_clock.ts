/**
 * Time that passes when a test says so.
 *
 * @module
 */

// From node:timers, as older Denos have no setImmediate of their own.
import { setImmediate, setTimeout } from "node:timers";
import { HeadwaterError } from "../../mod.ts";
import type { CancelTimer, Clock } from "../writer/mod.ts";
import { type Names, requireNames, requireNumber } from "./check_options.ts";

/** Options of {@linkcode VirtualClock}. */
export interface VirtualClockOptions {
  /**
   * What the wall clock shows at first, in ms since 1970.
   *
   * @default {1700000000000}
   */
  readonly wallMs?: number | undefined;
  /**
   * Real time, in ms, that real files, sockets and threads get to answer before
   * virtual time moves on. 0 where all is simulated: one turn of the event loop.
   *
   * @default {0}
   */
  readonly settleMs?: number | undefined;
}

const ACTION = "make a virtual clock";
const OPTIONS: Names<VirtualClockOptions> = {
  wallMs: true,
  settleMs: true,
};
/** The last moment that a `Date` knows. */
const MAX_DATE_MS = 8.64e15;
const START_MS = 1_000;
const WALL_MS = 1_700_000_000_000;
const LIMIT_MS = 60_000;

interface Timer {
  dueMs: number;
  /** Among timers that are due together, those set earlier go first. */
  order: number;
  readonly action: () => void;
  readonly intervalMs: number | undefined;
  isCancelled: boolean;
}

/**
 * A clock and its hand. Timers run in the order of their time, one after the
 * other; between two of them all promises settle, so that one seed gives one
 * history.
 *
 * @example Half a minute at once
 * ```ts
 * import { equal } from "node:assert/strict";
 * import { VirtualClock } from "headwater/testing";
 *
 * const clock = new VirtualClock();
 * let rings = 0;
 * clock.repeat(() => rings += 1, 10_000);
 * await clock.advance(30_000);
 * equal(rings, 3);
 * ```
 */
export class VirtualClock implements Clock {
  readonly #heap: Timer[] = [];
  readonly #settleMs: number;
  #wallAheadMs: number;
  #nowMs = START_MS;
  #order = 0;
  #live = 0;
  #turns = 0;
  #isRunning = false;

  /**
   * Constructs a clock that stands still.
   *
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for options that can't be.
   */
  constructor(options: VirtualClockOptions = {}) {
    requireNames(ACTION, OPTIONS, options);
    requireNumber(ACTION, "wallMs", options.wallMs, [0, MAX_DATE_MS]);
    requireNumber(ACTION, "settleMs", options.settleMs, [0, LIMIT_MS]);
    this.#wallAheadMs = (options.wallMs ?? WALL_MS) - START_MS;
    this.#settleMs = options.settleMs ?? 0;
  }

  /** Timers that have neither run nor been cancelled. */
  get timers(): number {
    return this.#live;
  }

  /** Ms since 1970, as far as this clock goes. */
  wallMs(): number {
    return this.#nowMs + this.#wallAheadMs;
  }

  /** Ms since some moment. */
  monotonicMs(): number {
    return this.#nowMs;
  }

  /** Calls `action` once, `delayMs` from now. */
  schedule(action: () => void, delayMs: number): CancelTimer {
    return this.#add(action, delayMs, undefined);
  }

  /** Calls `action` every `intervalMs`. */
  repeat(action: () => void, intervalMs: number): CancelTimer {
    return this.#add(action, intervalMs, intervalMs);
  }

  /** Calls `action` in the event loop's next turn, before time passes. */
  nextTurn(action: () => void): void {
    this.#turns += 1;
    setImmediate(() => {
      this.#turns -= 1;
      action();
    });
  }

  /** Sets the wall clock forward, or back; timers don't notice. */
  jumpWall(ms: number): void {
    this.#wallAheadMs += ms;
  }

  /**
   * Lets time pass: whatever comes due runs, in order, and promises settle
   * after each.
   *
   * @throws {HeadwaterError} `INVALID_ARGUMENT` while another call lets time pass.
   * @throws Whatever a timer's action throws.
   */
  advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    return this.#run(async () => {
      await this.settle();
      while (await this.#step(untilMs));
      this.#nowMs = untilMs;
    });
  }

  /**
   * Lets time pass until a condition holds.
   *
   * @param condition Looked at after each timer.
   * @param limitMs How much time may pass, in ms; 60,000 by default.
   * @throws {HeadwaterError} `WAIT_TIMEOUT` if it does not hold by then, or
   *   nothing is left that could change it.
   */
  runUntil(
    condition: () => boolean,
    limitMs: number = LIMIT_MS,
  ): Promise<void> {
    const untilMs = this.#nowMs + limitMs;
    return this.#run(async () => {
      await this.settle();
      while (!condition()) {
        if (await this.#step(untilMs)) continue;
        throw new HeadwaterError(
          "WAIT_TIMEOUT",
          `Cannot reach the condition: ${limitMs} ms of virtual time have ` +
            `passed, or nothing is left to run (${this.#live} timers)`,
        );
      }
    });
  }

  /** Runs what is due within `ms`, in one go: promises settle afterwards. */
  elapse(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (let due = this.#next(untilMs); due; due = this.#next(untilMs)) {
      this.#fire(due);
    }
    this.#nowMs = untilMs;
  }

  /** Resolves once all promises have settled that need no time. */
  async settle(): Promise<void> {
    do {
      await new Promise<void>((resolve) => {
        if (this.#settleMs === 0) setImmediate(resolve);
        else setTimeout(resolve, this.#settleMs);
      });
    } while (this.#turns > 0);
  }

  async #run(work: () => Promise<void>): Promise<void> {
    if (this.#isRunning) {
      throw new HeadwaterError(
        "INVALID_ARGUMENT",
        "Cannot let time pass: another call does so already; await it first",
      );
    }
    this.#isRunning = true;
    try {
      await work();
    } finally {
      this.#isRunning = false;
    }
  }

  /** Runs the next timer, if there is one. */
  async #step(untilMs: number): Promise<boolean> {
    const due = this.#next(untilMs);
    if (due === undefined) return false;
    this.#fire(due);
    await this.settle();
    return true;
  }

  #fire(timer: Timer): void {
    this.#nowMs = Math.max(this.#nowMs, timer.dueMs);
    if (timer.intervalMs === undefined) {
      timer.isCancelled = true;
      this.#live -= 1;
    } else {
      timer.dueMs += timer.intervalMs;
      timer.order = this.#order++;
      this.#push(timer);
    }
    timer.action();
  }

  #add(
    action: () => void,
    delayMs: number,
    intervalMs: number | undefined,
  ): CancelTimer {
    const timer: Timer = {
      // As with the system's timers, 0 ms are not now.
      dueMs: this.#nowMs + Math.max(0, delayMs),
      order: this.#order++,
      action,
      intervalMs: intervalMs && Math.max(1, intervalMs),
      isCancelled: false,
    };
    this.#live += 1;
    this.#push(timer);
    return () => {
      if (timer.isCancelled) return;
      timer.isCancelled = true;
      this.#live -= 1;
    };
  }

  /** Takes the first timer that is due by then out of the heap. */
  #next(untilMs: number): Timer | undefined {
    while (true) {
      const first = this.#heap[0];
      if (first === undefined) return undefined;
      if (!first.isCancelled && first.dueMs > untilMs) return undefined;
      this.#pop();
      if (!first.isCancelled) return first;
    }
  }

  #push(timer: Timer): void {
    const heap = this.#heap;
    let index = heap.push(timer) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent] as Timer;
      if (!isBefore(timer, above)) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = timer;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Timer;
    if (heap.length === 0) return;
    let index = 0;
    while (true) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      const right = heap[child + 1];
      if (right !== undefined && isBefore(right, heap[child] as Timer)) {
        child += 1;
      }
      if (!isBefore(heap[child] as Timer, last)) break;
      heap[index] = heap[child] as Timer;
      index = child;
    }
    heap[index] = last;
  }
}

function isBefore(one: Timer, other: Timer): boolean {
  return one.dueMs < other.dueMs ||
    one.dueMs === other.dueMs && one.order < other.order;
}

/**
 * Time and timers, handed in so that tests can hold them.
 *
 * @module
 */

import { performance } from "node:perf_hooks";
// From node:timers, as older Denos have no setImmediate and other timers of their own.
import {
  clearInterval,
  clearTimeout,
  setImmediate,
  setInterval,
  setTimeout,
} from "node:timers";

/** Ends a timer; harmless when it has ended. */
export type CancelTimer = () => void;

/** A source of time. */
export interface Clock {
  /** Ms since 1970, for people and other machines; may jump. */
  wallMs(): number;
  /** Ms since some moment; never goes back. */
  monotonicMs(): number;
  /** Calls `action` once, `delayMs` from now: somebody waits, so the process lives on till then. */
  schedule(action: () => void, delayMs: number): CancelTimer;
  /** Calls `action` every `intervalMs`. This never keeps the process alive. */
  repeat(action: () => void, intervalMs: number): CancelTimer;
  /** Calls `action` in the event loop's next turn. */
  nextTurn(action: () => void): void;
}

/** The longest that the runtime's timers take; beyond, they fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** The machine's own time. */
export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  schedule(action, delayMs) {
    let timer = setTimeout(elapse, Math.min(delayMs, MAX_TIMER_MS));
    let leftMs = delayMs - MAX_TIMER_MS;
    function elapse() {
      if (!(leftMs > 0)) return action();
      timer = setTimeout(elapse, Math.min(leftMs, MAX_TIMER_MS));
      leftMs -= MAX_TIMER_MS;
    }
    return () => clearTimeout(timer);
  },
  repeat(action, intervalMs) {
    const timer = setInterval(action, Math.min(intervalMs, MAX_TIMER_MS));
    timer.unref();
    return () => clearInterval(timer);
  },
  nextTurn: (action) => void setImmediate(action),
};

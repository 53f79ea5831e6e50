// A virtual clock for tests that look at once, without waiting for promises.

import { VirtualClock } from "../../src/testing/mod.ts";
import type { Clock } from "../../src/runtime/clock.ts";

/** A clock and its hand. */
export interface ManualClock extends Clock {
  /** Lets time pass; timers that come due are called in order. */
  advance(ms: number): void;
  /** Timers that have not been called or cancelled. */
  readonly timers: number;
}

/** Makes a clock that stands at `startMs`, for the wall. */
export function manualClock(startMs = 1_000_000): ManualClock {
  const clock = new VirtualClock({ wallMs: startMs });
  return {
    wallMs: () => clock.wallMs(),
    monotonicMs: () => clock.monotonicMs(),
    schedule: (action, delayMs) => clock.schedule(action, delayMs),
    repeat: (action, intervalMs) => clock.repeat(action, intervalMs),
    nextTurn: (action) => clock.nextTurn(action),
    get timers() {
      return clock.timers;
    },
    advance: (ms) => clock.elapse(ms),
  };
}

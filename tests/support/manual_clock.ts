// A clock whose time passes when a test says so.

import type { Clock } from "../../src/runtime/clock.ts";

/** A clock and its hand. */
export interface ManualClock extends Clock {
  /** Lets time pass; timers that come due are called in order. */
  advance(ms: number): void;
  /** Timers that have not been called or cancelled. */
  readonly timers: number;
}

interface Timer {
  dueMs: number;
  readonly action: () => void;
  readonly intervalMs: number | undefined;
}

/** Makes a clock that stands at `startMs`, for the wall and for the stopwatch. */
export function manualClock(startMs = 1_000_000): ManualClock {
  let nowMs = startMs;
  const timers = new Set<Timer>();
  const add = (action: () => void, ms: number, intervalMs?: number) => {
    const timer = { dueMs: nowMs + ms, action, intervalMs };
    timers.add(timer);
    return () => void timers.delete(timer);
  };
  const nextDue = (untilMs: number): Timer | undefined => {
    const [first] = [...timers].sort((a, b) => a.dueMs - b.dueMs);
    return first !== undefined && first.dueMs <= untilMs ? first : undefined;
  };
  return {
    wallMs: () => nowMs,
    monotonicMs: () => nowMs,
    schedule: (action, delayMs) => add(action, delayMs),
    repeat: (action, intervalMs) => add(action, intervalMs, intervalMs),
    nextTurn: (action) => void setImmediate(action),
    get timers() {
      return timers.size;
    },
    advance(ms) {
      const untilMs = nowMs + ms;
      for (let due = nextDue(untilMs); due; due = nextDue(untilMs)) {
        nowMs = due.dueMs;
        if (due.intervalMs === undefined) timers.delete(due);
        else due.dueMs += due.intervalMs;
        due.action();
      }
      nowMs = untilMs;
    },
  };
}

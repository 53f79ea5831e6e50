// Waits end when they should, and leave no timer and no listener behind.

import t from "tap";
import { deferred, pause } from "../../src/runtime/waiting.ts";
import { manualClock } from "../support/manual_clock.ts";

t.test("deferred() settles from outside", async (t) => {
  const good = deferred<number>();
  good.resolve(1);
  t.equal(await good.promise, 1);
  const bad = deferred<number>();
  bad.reject(new RangeError("no"));
  await t.rejects(bad.promise, { message: "no" });
});

t.test("pause() ends when time has passed", async (t) => {
  const clock = manualClock();
  const stop = new AbortController();
  let isOver = false;
  const pausing = pause(clock, 100, stop.signal).then(() => isOver = true);
  clock.advance(99);
  await Promise.resolve();
  t.notOk(isOver);
  clock.advance(1);
  await pausing;
  t.equal(clock.timers, 0);
});

t.test("pause() ends early at the signal, and drops its timer", async (t) => {
  const clock = manualClock();
  const stop = new AbortController();
  const pausing = pause(clock, 100, stop.signal);
  t.equal(clock.timers, 1);
  stop.abort();
  await pausing;
  t.equal(clock.timers, 0);
  await pause(clock, 100, stop.signal);
  t.equal(clock.timers, 0, "none is set for a signal that was given before");
});

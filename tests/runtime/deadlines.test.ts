// Thousands that wait: how many timers and listeners they take.

import t from "tap";
import { ReaderPosition } from "../../src/replication/reader_position.ts";
import { AbortGroup } from "../../src/runtime/abort_group.ts";
import { Deadlines } from "../../src/runtime/deadlines.ts";
import type { Token } from "../../src/tokens/token.ts";
import { manualClock } from "../support/manual_clock.ts";

t.test("Deadlines: one timer for what is due together", (t) => {
  const clock = manualClock();
  const deadlines = new Deadlines(clock);
  const due: string[] = [];
  deadlines.add(() => due.push("a"), 10);
  const cancel = deadlines.add(() => due.push("b"), 10);
  deadlines.add(() => due.push("c"), 9.5);
  const alone = deadlines.add(() => due.push("d"), 20);
  t.equal(clock.timers, 2);
  cancel();
  alone();
  alone();
  t.equal(clock.timers, 1);
  clock.advance(9);
  t.same(due, []);
  clock.advance(1);
  t.same(due, ["a", "c"]);
  t.equal(clock.timers + deadlines.timers, 0);
  deadlines.add(() => due.push("e"), 0);
  clock.advance(0);
  t.same(due, ["a", "c", "e"]);
  t.end();
});

t.test("AbortGroup: one listener for each signal", (t) => {
  const group = new AbortGroup();
  const stop = new AbortController();
  let listeners = 0;
  const { signal } = stop;
  const add = signal.addEventListener.bind(signal);
  signal.addEventListener = (...parts: Parameters<typeof add>) => {
    listeners += 1;
    add(...parts);
  };
  const told: string[] = [];
  group.add(signal, () => told.push("a"));
  const remove = group.add(signal, () => told.push("b"));
  group.add(new AbortController().signal, () => told.push("other"));
  remove();
  remove();
  t.equal(listeners, 1);
  stop.abort();
  t.same(told, ["a"]);
  t.end();
});

t.test("20,000 waiters time out together, on a handful of timers", async (t) => {
  const clock = manualClock();
  const position = new ReaderPosition(clock);
  position.reset("master", 1 as Token);
  const stop = new AbortController();
  const waits = Array.from({ length: 20_000 }, (_, index) => {
    const wanted = new Map([["master", 2 + index as Token]]);
    return position.waitFor(wanted, { timeoutMs: 50, signal: stop.signal })
      .then(() => "reached", (error) => error.code);
  });
  t.equal(position.waiters, 20_000);
  t.equal(clock.timers, 1);
  position.advance("master", 1_001 as Token);
  t.equal(position.waiters, 19_000);
  clock.advance(50);
  t.equal(position.waiters, 0);
  t.equal(clock.timers, 0);
  const ends = await Promise.all(waits);
  t.equal(ends.filter((end) => end === "reached").length, 1_000);
  t.equal(ends.filter((end) => end === "WAIT_TIMEOUT").length, 19_000);
});

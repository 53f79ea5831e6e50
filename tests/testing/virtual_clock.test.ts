// Time that passes when it is told to.

import t from "tap";
import { seededRandom, VirtualClock } from "../../src/testing/mod.ts";

t.test("VirtualClock.advance() runs timers in the order of their time", async (t) => {
  const clock = new VirtualClock({ wallMs: 5_000 });
  const ran: string[] = [];
  const note = (name: string) => () =>
    void ran.push(`${name} at ${clock.wallMs()}`);
  clock.schedule(note("late"), 30);
  clock.schedule(note("first of two"), 10);
  clock.schedule(note("second of two"), 10);
  const cancelRepeat = clock.repeat(note("repeated"), 20);
  clock.schedule(note("cancelled"), 15)();
  await clock.advance(40);
  cancelRepeat();
  await clock.advance(100);
  t.same(ran, [
    "first of two at 5010",
    "second of two at 5010",
    "repeated at 5020",
    "late at 5030",
    "repeated at 5040",
  ]);
  t.equal(clock.timers, 0);
});

t.test("promises settle, and turns pass, before time does", async (t) => {
  const clock = new VirtualClock();
  const seen: number[] = [];
  const began = clock.monotonicMs();
  clock.schedule(() => {
    clock.nextTurn(() =>
      clock.nextTurn(() => void seen.push(clock.monotonicMs() - began))
    );
    void Promise.resolve().then(() => Promise.resolve()).then(() =>
      seen.push(clock.monotonicMs() - began)
    );
  }, 1);
  clock.schedule(() => void seen.push(clock.monotonicMs() - began), 2);
  await clock.advance(2);
  t.same(seen, [1, 1, 2]);
});

t.test("VirtualClock.runUntil() stops at the condition, or says that it can't", async (t) => {
  const clock = new VirtualClock();
  let count = 0;
  const cancel = clock.repeat(() => count += 1, 100);
  await clock.runUntil(() => count === 3);
  t.equal(clock.monotonicMs(), 1_300);
  await t.rejects(clock.runUntil(() => false, 1_000), { code: "WAIT_TIMEOUT" });
  cancel();
  await t.rejects(clock.runUntil(() => false), { code: "WAIT_TIMEOUT" });
  const first = clock.advance(1);
  await t.rejects(clock.advance(1), { code: "INVALID_ARGUMENT" });
  await first;
});

t.test("the wall clock jumps, and timers don't notice", async (t) => {
  const clock = new VirtualClock({ wallMs: 0 });
  let isDone = false;
  clock.schedule(() => isDone = true, 10);
  clock.jumpWall(-5_000);
  t.equal(clock.wallMs(), -5_000);
  t.notOk(isDone);
  clock.elapse(10);
  t.ok(isDone, "elapse() runs it at once");
  await clock.settle();
});

t.test("seededRandom() gives the same for the same seed", (t) => {
  const draw = (seed: number) => {
    const random = seededRandom(seed);
    return [random.fraction(), random.below(10), random.id(), random.uuid()];
  };
  t.same(draw(7), draw(7));
  t.not(draw(7)[0], draw(8)[0]);
  const random = seededRandom(1);
  t.match(random.id(), /^[0-9a-f]{16}$/);
  t.match(
    random.uuid(),
    /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$/,
  );
  const one = seededRandom(3);
  const fork = one.fork();
  const next = one.fraction();
  const other = seededRandom(3);
  other.fork().fraction();
  t.equal(other.fraction(), next, "a fork's use changes nothing");
  t.type(fork.fraction(), "number");
  for (let count = 0; count < 1_000; count += 1) {
    const value = random.within([2, 4]);
    if (value < 2 || value >= 4) t.fail(`${value}`);
  }
  t.notOk(random.chance(0));
  t.ok(random.chance(1));
  t.end();
});

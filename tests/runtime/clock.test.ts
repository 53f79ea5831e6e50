// The machine's clock: timers come once, or again and again, and can be ended.

import t from "tap";
import { systemClock } from "../../src/runtime/clock.ts";

t.test("systemClock.monotonicMs() never goes back", (t) => {
  let last = systemClock.monotonicMs();
  for (let round = 0; round < 1_000; round += 1) {
    const now = systemClock.monotonicMs();
    if (now < last) t.fail(`${now} after ${last}`);
    last = now;
  }
  t.ok(Math.abs(systemClock.wallMs() - Date.now()) < 60_000);
  t.end();
});

t.test("systemClock.schedule() calls once, unless cancelled", async (t) => {
  let calls = 0;
  const cancel = systemClock.schedule(() => calls += 10, 1);
  cancel();
  await new Promise<void>((resolve) =>
    systemClock.schedule(() => {
      calls += 1;
      resolve();
    }, 5)
  );
  t.equal(calls, 1);
  cancel();
});

t.test("systemClock waits for longer than the runtime's timers can", async (t) => {
  let calls = 0;
  const cancels = [2 ** 31, 40 * 86_400_000, Infinity].flatMap((ms) => [
    systemClock.schedule(() => calls += 1, ms),
    systemClock.repeat(() => calls += 1, ms),
  ]);
  // Timers that are too long would fire after one ms.
  await new Promise<void>((resolve) => void systemClock.schedule(resolve, 20));
  t.equal(calls, 0);
  for (const cancel of cancels) cancel();
});

t.test("systemClock.repeat() calls until it is ended", async (t) => {
  let calls = 0;
  // A repeated timer keeps nothing alive; this one does meanwhile.
  const cancelGuard = systemClock.schedule(() => {}, 60_000);
  await new Promise<void>((resolve) => {
    const cancel = systemClock.repeat(() => {
      calls += 1;
      if (calls < 3) return;
      cancel();
      resolve();
    }, 1);
  });
  await new Promise<void>((resolve) => systemClock.schedule(resolve, 10));
  t.equal(calls, 3);
  cancelGuard();
});

t.test("systemClock.nextTurn() lets the promises of this turn go first", async (t) => {
  const order: string[] = [];
  const turned = new Promise<void>((resolve) =>
    systemClock.nextTurn(() => {
      order.push("turn");
      resolve();
    })
  );
  void Promise.resolve().then(() => order.push("promise"));
  await turned;
  t.same(order, ["promise", "turn"]);
});

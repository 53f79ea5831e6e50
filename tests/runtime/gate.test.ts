// The gate in front of the write connection: first come, first served, and
// nobody waits for ever.

import t from "tap";
import { Gate } from "../../src/runtime/gate.ts";
import { type ManualClock, manualClock } from "../support/manual_clock.ts";

const BOUNDS = { permits: 1, maxQueued: 10, timeoutMs: 1_000 };

function makeGate(
  bounds: Partial<typeof BOUNDS> = {},
): { gate: Gate; clock: ManualClock } {
  const clock = manualClock();
  const subject = "the write connection";
  return { gate: new Gate({ ...BOUNDS, ...bounds, subject, clock }), clock };
}

/** Lets promises that are settled call what waits for them. */
async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

t.test("Gate.enter() lets callers in one by one, in their order", async (t) => {
  const { gate } = makeGate();
  const entered: number[] = [];
  await gate.enter("first");
  const waiting = [1, 2, 3].map((number) =>
    gate.enter(`${number}`)?.then(() => void entered.push(number))
  );
  for (const expected of [[], [1], [1, 2], [1, 2, 3]]) {
    await settle();
    t.same(entered, expected);
    t.equal(gate.queued, 3 - expected.length);
    gate.leave();
  }
  await Promise.all(waiting);
});

t.test("Gate.enter() lets as many in as there are permits", async (t) => {
  const { gate } = makeGate({ permits: 3 });
  let inside = 0;
  let most = 0;
  await Promise.all(Array.from({ length: 10 }, async (_, index) => {
    await gate.enter(`${index}`);
    inside += 1;
    most = Math.max(most, inside);
    await settle();
    inside -= 1;
    gate.leave();
  }));
  t.equal(most, 3);
  t.equal(gate.queued, 0);
});

t.test("Gate.enter() refuses when the queue is full", async (t) => {
  const { gate } = makeGate({ maxQueued: 1 });
  await gate.enter("holder");
  const queued = gate.enter("queued");
  await t.rejects(async () => await gate.enter("late"), {
    code: "DATABASE_BUSY",
    message:
      'Cannot run "late": 1 wait for the write connection already; do less at a time, or raise the limit',
  });
  t.equal(gate.queued, 1, "the refused one is not in line");
  gate.leave();
  await queued;
});

t.test("Gate.enterLast() is not refused when the queue is full", async (t) => {
  const { gate } = makeGate({ maxQueued: 0 });
  await gate.enter("holder");
  const closing = gate.enterLast("close");
  gate.leave();
  await t.resolves(async () => await closing);
});

t.test("Gate.enterLast() waits for as long as it takes", async (t) => {
  const { gate, clock } = makeGate();
  await gate.enter("holder");
  const closing = gate.enterLast("close");
  clock.advance(800);
  const late = gate.enter("late");
  clock.advance(100_000);
  await settle();
  t.equal(gate.queued, 2, "neither is refused");
  gate.leave();
  await closing;
  t.equal(clock.timers, 1, "who comes after is timed again");
  clock.advance(1);
  await t.rejects(async () => await late, { code: "DATABASE_BUSY" });
});

t.test("Gate.enter() refuses after its timeout, and names the holder", async (t) => {
  const { gate, clock } = makeGate();
  await gate.enter("holder");
  const early = gate.enter("early");
  clock.advance(400);
  const late = gate.enter("late");
  clock.advance(599);
  await settle();
  t.equal(gate.queued, 2, "nobody is refused before its time");
  clock.advance(1);
  await t.rejects(async () => await early, {
    code: "DATABASE_BUSY",
    message: /waited 1000 ms for the write connection, held by "holder"/,
  });
  t.equal(gate.queued, 1);
  clock.advance(400);
  await t.rejects(async () => await late, { code: "DATABASE_BUSY" });
  gate.leave();
  t.equal(gate.enter("next"), undefined, "the permit is not lost");
});

t.test("Gate keeps no timer when nobody waits", async (t) => {
  const { gate, clock } = makeGate();
  await gate.enter("holder");
  const waiting = [gate.enter("a"), gate.enter("b")];
  t.equal(clock.timers, 1, "one for all");
  gate.leave();
  gate.leave();
  await Promise.all(waiting);
  t.equal(clock.timers, 0);
  t.equal(gate.queued, 0);
});

// What is misspelt, or can't be, is refused: a fault that never happens tests
// nothing.

import t from "tap";
import {
  openFaultProxy,
  seededRandom,
  SimulatedNetwork,
  VirtualClock,
} from "../../src/testing/mod.ts";

const clock = new VirtualClock();
const network = (options: object) =>
  new SimulatedNetwork({ clock, random: seededRandom(1), ...options });

for (
  const [make, message] of [
    [
      () => network({ latency: [1, 2] }),
      'Cannot make a simulated network: "latency" is none of clock, random, ' +
      "latencyMs, faults, maxLineBytes",
    ],
    [
      () => network({ latencyMs: [5, 1] }),
      "Cannot make a simulated network: latencyMs is [5,1]; give the least and " +
      "the most ms, such as [1, 20]",
    ],
    [
      () => network({ maxLineBytes: 0 }),
      "Cannot make a simulated network: maxLineBytes is 0; give a number from " +
      "1 to 536870888",
    ],
    [
      () => network({ faults: { cuts: 1 } }),
      'Cannot make a simulated network: "cuts" is none of cut, halfOpen, stall, ' +
      "stallMs, delay, delayMs, split, refuse, drop, duplicate",
    ],
    [
      () => network({}).faults = { drop: 2 },
      "Cannot make a simulated network: drop is 2; give a number from 0 to 1",
    ],
    [
      () => network({}).faults = { stallMs: [-1, 1] },
      "Cannot make a simulated network: stallMs is [-1,1]; give the least and " +
      "the most ms, such as [1, 20]",
    ],
    [
      () => new VirtualClock({ wall: 1 } as object),
      'Cannot make a virtual clock: "wall" is none of wallMs, settleMs',
    ],
    [
      () => new VirtualClock(null as unknown as object),
      "Cannot make a virtual clock: the options are null; give an object",
    ],
    [
      () => new VirtualClock({ settleMs: "1s" } as object),
      'Cannot make a virtual clock: settleMs is "1s"; give a number from 0 to ' +
      "60000",
    ],
    [
      () => new VirtualClock({ settleMs: -1 }),
      "Cannot make a virtual clock: settleMs is -1; give a number from 0 to 60000",
    ],
    [
      () => new VirtualClock({ wallMs: NaN }),
      "Cannot make a virtual clock: wallMs is NaN; give a number from 0 to " +
      "8640000000000000",
    ],
  ] as const
) {
  t.test(message, (t) => {
    t.throws(make, { code: "INVALID_ARGUMENT", message });
    t.end();
  });
}

t.test("a fault proxy's", async (t) => {
  const target = "tcp://127.0.0.1:1";
  const misspelt = { target, fault: { cut: 1 } };
  await t.rejects(openFaultProxy(misspelt), {
    message: 'Cannot open a fault proxy: "fault" is none of target, listen, ' +
      "seed, faults",
  });
  await t.rejects(openFaultProxy({ target, faults: { cut: -1 } }), {
    code: "INVALID_ARGUMENT",
    message: "Cannot open a fault proxy: cut is -1; give a number from 0 to 1",
  });
  const proxy = await openFaultProxy({ target, faults: { cut: 0.5 } });
  t.teardown(() => proxy.close());
  const never = { cutt: 1 } as object;
  t.throws(() => proxy.faults = never, { code: "INVALID_ARGUMENT" });
  t.same(proxy.faults, { cut: 0.5 });
});

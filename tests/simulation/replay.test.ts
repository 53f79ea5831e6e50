// What a seed stands for: the same history, however often; and what a broken one
// is cut down to.

import t from "tap";
import { runHistory, shrink } from "./history.ts";

t.test("a seed gives the same history again, step by step", async (t) => {
  for (const seed of [1, 2, 7, 84]) {
    const first = await runHistory(seed, undefined, true);
    const again = await runHistory(seed, undefined, true);
    t.ok(first.trace.length > 50, `${first.trace.length} steps`);
    t.same(again, first);
  }
});

t.test("a broken history is cut down to what breaks it", async (t) => {
  const whole = await runHistory(3);
  const needed = [whole.actions[4], whole.actions[11], whole.actions.at(-1)];
  // Broken wherever these three are left, in this order.
  const run: typeof runHistory = (seed, actions = [], isTraced) => {
    const left = actions.filter((action) => needed.includes(action));
    const broken = left.length === 3 ? "all three are there" : undefined;
    const trace = isTraced ? ["traced"] : [];
    return Promise.resolve({ ...whole, seed, actions, broken, trace });
  };
  const shrunk = await shrink(await run(3, whole.actions), run);
  t.same(shrunk.actions, needed);
  t.same(shrunk.trace, ["traced"], "and told step by step");
});

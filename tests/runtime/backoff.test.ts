// Pauses grow up to a bound, with jitter, and begin anew.

import t from "tap";
import { Backoff, type BackoffOptions } from "../../src/runtime/backoff.ts";
import type { Random } from "../../src/runtime/random.ts";
import { systemRandom } from "../../src/runtime/random.ts";
import { manualClock } from "../support/manual_clock.ts";

/** Makes one, and what tells how long a pause is. */
function make(fraction: number, options: Partial<BackoffOptions> = {}) {
  const clock = manualClock();
  const random: Random = { ...systemRandom, fraction: () => fraction };
  const backoff = new Backoff({ clock, random, ...options });
  const lengthOf = async (signal?: AbortSignal, maxMs?: number) => {
    const startMs = clock.monotonicMs();
    let isOver = false;
    const pausing = backoff.pause(signal, maxMs).then(() => isOver = true);
    await Promise.resolve();
    while (clock.timers > 0) {
      clock.advance(1);
      await Promise.resolve();
    }
    await pausing;
    t.ok(isOver);
    return clock.monotonicMs() - startMs;
  };
  return { backoff, lengthOf };
}

t.test("each pause is e times longer, up to the bound", async (t) => {
  const { backoff, lengthOf } = make(1);
  const lengths = [];
  for (let each = 0; each < 6; each += 1) lengths.push(await lengthOf());
  t.same(lengths, [100, 272, 739, 2_000, 2_000, 2_000]);
  backoff.reset();
  t.equal(await lengthOf(), 100);
});

t.test("half of it is left to chance", async (t) => {
  const { lengthOf } = make(0, { minBackoffMs: 10, maxBackoffMs: 20 });
  t.equal(await lengthOf(), 5);
  t.equal(await lengthOf(), 10);
});

t.test("a pause ends at its own bound, or at the signal", async (t) => {
  const { lengthOf } = make(1, { minBackoffMs: 50 });
  t.equal(await lengthOf(undefined, 7), 7);
  t.equal(await lengthOf(AbortSignal.abort()), 0);
});

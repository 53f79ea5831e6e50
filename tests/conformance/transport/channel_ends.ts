// What cases of a channel wait for.

import { until } from "../../support/conditions.ts";
import type { End } from "./ends.ts";
import type { Ground, SharedPlace } from "./transports.ts";

/** Less than any pause between two attempts, and than any deadline. */
const STEP_MS = 20;

/** Resolves once so many hear what goes to the place's channel. */
export async function untilSubscribers(
  { shared: { redis, channel } }: { readonly shared: SharedPlace },
  count: number,
): Promise<void> {
  await until(
    `${count} have subscribed`,
    async () => await redis.subscribers(channel) === count,
  );
}

/** Whoever listens comes again, after a pause: its `count`th connection. */
export async function comesAgain(
  { clock, accepted }: Ground,
  count: number,
): Promise<End> {
  await until("who listens has come again", () => {
    clock.advance(STEP_MS);
    return accepted.length >= count;
  });
  return accepted[count - 1] as End;
}

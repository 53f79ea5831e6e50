// A share of the histories of the test suite: each of two files has its own, on
// each runtime others.

import type { Test } from "tap";
import { describe, runHistory, shrink } from "./history.ts";

/** Of the whole suite, on both runtimes; `--histories` of main.ts runs more. */
const HISTORIES = 20_000;
const FILES = 2;
const SHARES = 2 * FILES;

/** Runs one of the shares. SIMULATION_SEED in the environment moves all on. */
export async function simulate(
  t: Test,
  share: number,
  first: number,
): Promise<void> {
  const count = HISTORIES / SHARES;
  const isDeno = "Deno" in globalThis;
  const start = first + (share + (isDeno ? FILES : 0)) * count;
  let commits = 0;
  let timelines = 0;
  for (let index = 0; index < count; index += 1) {
    const outcome = await runHistory(start + index);
    commits += outcome.commits;
    timelines += outcome.faults.timelines ?? 0;
    if (outcome.broken === undefined) continue;
    t.fail(describe(await shrink(outcome)));
    return;
  }
  t.comment(`${count} histories, ${commits} commits`);
  t.ok(commits > count * 5, "something was written in them");
  t.ok(timelines > count / 1_000, "something was restored in them");
}

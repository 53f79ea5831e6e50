// One history: run, and, if a promise was broken, made as short as it gets.

import { seededRandom } from "../../src/testing/mod.ts";
import { type Action, makeActions, perform } from "./actions.ts";
import { World } from "./world.ts";

/** How a history ended. */
export interface Outcome {
  readonly seed: number;
  readonly actions: readonly Action[];
  /** What was broken; `undefined` if nothing was. */
  readonly broken: unknown;
  /** Commits in all timelines, ms of virtual time, and what was seen of faults. */
  readonly commits: number;
  readonly ms: number;
  readonly faults: Readonly<Record<string, number>>;
  /** What happened, step by step, if that was asked for. */
  readonly trace: readonly string[];
  /** What the seed had decided. */
  readonly settings: World["settings"];
}

/** Runs the history of a seed, or some of its actions. */
export async function runHistory(
  seed: number,
  actions: readonly Action[] = makeActions(seededRandom(seed ^ 0x5bd1e995)),
  isTraced = false,
): Promise<Outcome> {
  const world = new World(seed);
  const startMs = world.clock.monotonicMs();
  try {
    world.isTraced = isTraced;
    await world.open();
    for (const action of actions) {
      if (world.broken !== undefined) break;
      world.note(() => `${action.kind} ${action.numbers}`);
      perform(world, action);
      await world.pass(action.thenMs);
    }
    if (world.broken === undefined) await world.converge();
  } finally {
    world.close();
  }
  return {
    seed,
    actions,
    broken: world.broken,
    commits: world.truth.timelines.reduce((sum, each) => sum + each.length, 0),
    ms: world.clock.monotonicMs() - startMs,
    faults: { ...world.network.stats, timelines: world.truth.timeline },
    trace: world.trace,
    settings: world.settings,
  };
}

/** Leaves out what isn't needed for something to be broken. */
export async function shrink(
  outcome: Outcome,
  run: typeof runHistory = runHistory,
): Promise<Outcome> {
  let best = outcome;
  for (
    let size = Math.ceil(best.actions.length / 2);
    size > 0;
    size = size === 1 ? 0 : Math.ceil(size / 2)
  ) {
    for (let start = 0; start < best.actions.length;) {
      const fewer = best.actions.toSpliced(start, size);
      const tried = await run(outcome.seed, fewer);
      if (tried.broken === undefined) start += size;
      else best = tried;
    }
  }
  return await run(best.seed, best.actions, true);
}

/** A broken history, for people. */
export function describe(
  { seed, broken, trace, actions, settings }: Outcome,
): string {
  const what = broken instanceof Error ? broken.stack : String(broken);
  return [
    `seed ${seed}, ${actions.length} actions: ${what}`,
    `  ${JSON.stringify(settings)}`,
    ...trace.map((line) => `  ${line}`),
  ].join("\n");
}

// Schedules, run one after another.

import { type Seeded, seeded } from "../support/seeded.ts";
import { exploreAll, type Transition } from "./fence_model_graph.ts";
import { type Shape, SHAPES } from "./fence_model_shapes.ts";
import { Spec } from "./fence_model_spec.ts";
import type { Budget, Step } from "./fence_model_steps.ts";
import { World } from "./fence_model_world.ts";

/** All that the model is made for; and what is quickly gone through. */
export const FULL: Budget = {
  calls: 3,
  invalidations: 3,
  evictions: 2,
  flushes: 1,
  elapses: 3,
  reaches: 1,
  leaves: 2,
};
export const SMALL: Budget = {
  calls: 2,
  invalidations: 2,
  evictions: 1,
  flushes: 1,
  elapses: 2,
  reaches: 1,
  leaves: 1,
};

/** What was run, and what came of it. */
export interface Outcome {
  readonly shape: string;
  readonly states: number;
  readonly transitions: number;
  readonly schedules: number;
  /** Schedules that were run. */
  readonly run: number;
  /** The first that went wrong. */
  readonly violation: string | undefined;
}

/** After how few rounds of microtasks an invalidation may follow a load's end. */
const HURRIES = 7;

/**
 * Every `stride`th transition of a shape, from the `offset`th on; all of them with 1. Each is the end of
 * a schedule that is then brought to its end.
 */
export async function runShape(
  shape: Shape,
  budget: Budget,
  stride: number,
  offset = 0,
): Promise<Outcome> {
  const most = budgetOf(shape, budget);
  const graph = exploreAll(shape.rules, most);
  const { states, transitions, schedules } = graph;
  let run = 0;
  let violation: string | undefined;
  for (const transition of graph.sample(stride, offset)) {
    violation = await attempt(shape, most, stepsOf(transition));
    run += 1;
    const { step, spec } = transition;
    // One write more would give a version that isn't told from others.
    const canHurry = step.does === "end" &&
      Math.max(spec.versions.a, spec.versions.b) < 4;
    if (violation === undefined && canHurry) {
      violation = await hurry(shape, most, transition, run);
      run += 1;
    }
    if (violation !== undefined) break;
  }
  return { shape: shape.name, states, transitions, schedules, run, violation };
}

/** Schedules of the full size, each step chosen by chance, on any shape. */
export async function runByChance(
  random: Seeded,
  count: number,
): Promise<{ readonly run: number; readonly violation: string | undefined }> {
  for (let run = 1; run <= count; run += 1) {
    const shape = random.pick(SHAPES);
    const most = budgetOf(shape, FULL);
    let spec = new Spec(shape.rules, { left: most });
    const steps: Step[] = [];
    for (let next = spec.steps(); next.length > 0; next = spec.steps()) {
      const step = random.pick(next);
      steps.push(step);
      spec = spec.after(step);
    }
    const violation = await attempt(shape, most, steps);
    if (violation !== undefined) return { run, violation };
  }
  return { run: count, violation: undefined };
}

/** {@linkcode runByChance} with a seed. */
export function runSeed(seed: number, count: number) {
  return runByChance(seeded(seed), count);
}

/** How often each step may happen, on a shape. */
function budgetOf(shape: Shape, budget: Budget): Budget {
  const most = budget === SMALL ? shape.fewest : shape.most;
  const least = (what: keyof Budget) =>
    Math.min(budget[what], most[what] ?? budget[what]);
  return {
    calls: least("calls"),
    invalidations: least("invalidations"),
    evictions: least("evictions"),
    flushes: least("flushes"),
    elapses: least("elapses"),
    reaches: least("reaches"),
    leaves: least("leaves"),
  };
}

function stepsOf({ path, step }: Transition): Step[] {
  return [...path, step];
}

/** An invalidation comes while the load's end is still making its way. */
async function hurry(
  shape: Shape,
  budget: Budget,
  transition: Transition,
  number: number,
): Promise<string | undefined> {
  const by = number % (shape.kinds.length + 1);
  const step: Step = by === shape.kinds.length
    ? { does: "flush" }
    : { does: "invalidate", by };
  const hurried = [...stepsOf(transition), step];
  const ticks = number % HURRIES;
  const violation = await attempt(shape, budget, hurried, ticks);
  // Whether a load has ended as its cache is cleared decides what is then old:
  // either may be taken to have come first.
  return violation === undefined || !shape.rules.servesOld
    ? violation
    : await attempt(shape, budget, hurried, ticks, true);
}

/** Runs one; says how it went wrong. */
async function attempt(
  shape: Shape,
  budget: Budget,
  steps: readonly Step[],
  lastTicks?: number,
  isSwapped = false,
): Promise<string | undefined> {
  const world = new World(shape);
  let spec = new Spec(shape.rules, { left: budget });
  const specs = [spec, ...steps.map((step) => spec = spec.after(step))];
  try {
    for (const [index, step] of steps.entries()) {
      const isHurried = lastTicks !== undefined && index === steps.length - 2;
      const [before, after] = [specs[index], specs[index + 1]];
      if (before === undefined || after === undefined) break;
      await world.take(step, before, after, isHurried ? lastTicks : undefined);
    }
    await world.finish(isSwapped ? swapped(specs, steps) : spec);
    return undefined;
  } catch (error) {
    const shown = steps.map((step) => show(shape, step)).join(", ");
    const hurried = lastTicks === undefined
      ? ""
      : `, the last after ${lastTicks} rounds of microtasks`;
    return `${shape.name}: ${shown}${hurried}: ${error}`;
  }
}

/** The state if the last two steps had come the other way around. */
function swapped(specs: readonly Spec[], steps: readonly Step[]): Spec {
  return steps.slice(-2).reverse()
    .reduce((spec, step) => spec.after(step), specs.at(-3) as Spec);
}

function show(shape: Shape, step: Step): string {
  switch (step.does) {
    case "call":
      return `call ${step.what === "ab" ? "[a, b]" : step.what}` +
        (step.isInLoad ? " in a load" : "");
    case "read":
      return `load ${step.load} reads`;
    case "end":
      return `load ${step.load} ${step.fails ? "fails" : "ends"}`;
    case "invalidate":
      return `write and ${shape.kinds[step.by]?.name}`;
    case "flush":
      return `write and flush${step.mayServeOld ? ", serving old" : ""}`;
    case "evict":
      return "load another";
    case "leave":
      return `caller ${step.caller} leaves`;
    case "elapse":
      return "time passes";
    case "reach":
      return "a token is reached";
  }
}

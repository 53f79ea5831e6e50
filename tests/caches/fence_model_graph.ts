// Every state that a cache can be in, and every step from it. Schedules that
// lead to states that are alike go on alike, so each state's steps are tried
// once, after one of the ways to it.

import { fingerprintOf } from "./fence_model_fingerprint.ts";
import { Spec } from "./fence_model_spec.ts";
import type { Budget, Rules, Step } from "./fence_model_steps.ts";

/** A state, and one way to it. */
interface State {
  readonly spec: Spec;
  readonly before: State | undefined;
  readonly step: Step | undefined;
}

/** One step from one state. */
export interface Transition {
  readonly path: readonly Step[];
  readonly step: Step;
  /** The state that it leads to. */
  readonly spec: Spec;
}

/** All states, and how many schedules there are. */
export interface Graph {
  readonly states: number;
  readonly transitions: number;
  /** Complete schedules: ways from the beginning to where nothing is left to do. */
  readonly schedules: number;
  /** Every `stride`th transition, from the `offset`th on. */
  sample(stride: number, offset: number): Generator<Transition>;
}

/** Finds them all. */
export function exploreAll(rules: Rules, budget: Budget): Graph {
  const first = { spec: new Spec(rules, { left: budget }), before: undefined };
  const states: State[] = [{ ...first, step: undefined }];
  const places = new Map([[fingerprintOf(first.spec), 0]]);
  const nexts: number[][] = [];
  let transitions = 0;
  for (let at = 0; at < states.length; at += 1) {
    const state = states[at] as State;
    const next: number[] = [];
    for (const step of state.spec.steps()) {
      const spec = state.spec.after(step);
      const fingerprint = fingerprintOf(spec);
      let place = places.get(fingerprint);
      if (place === undefined) {
        place = states.length;
        places.set(fingerprint, place);
        states.push({ spec, before: state, step });
      }
      next.push(place);
    }
    transitions += next.length;
    nexts.push(next);
  }
  return {
    states: states.length,
    transitions,
    schedules: countWays(nexts),
    *sample(stride, offset) {
      let number = 0;
      for (const state of states) {
        for (const step of state.spec.steps()) {
          number += 1;
          if (number % stride !== offset % stride) continue;
          yield { path: pathTo(state), step, spec: state.spec.after(step) };
        }
      }
    },
  };
}

function pathTo(state: State): Step[] {
  const path: Step[] = [];
  for (let at: State | undefined = state; at?.step; at = at.before) {
    path.unshift(at.step);
  }
  return path;
}

/** Ways from the first state to any that has no next; each step uses something up. */
function countWays(nexts: readonly (readonly number[])[]): number {
  const ways = new Map<number, number>();
  const count = (place: number): number => {
    const known = ways.get(place);
    if (known !== undefined) return known;
    const next = nexts[place] ?? [];
    let sum = next.length === 0 ? 1 : 0;
    for (const each of next) sum += count(each);
    ways.set(place, sum);
    return sum;
  };
  return count(0);
}

/**
 * Chance that can be had again.
 *
 * @module
 */

import type { Random } from "../writer/mod.ts";

/** A source of chance that gives the same for the same seed. */
export interface SeededRandom extends Random {
  /** What it was made from. */
  readonly seed: number;
  /** An integer from 0 up to, but not including, `count`. */
  below(count: number): number;
  /** A number from `range[0]` up to, but not including, `range[1]`. */
  within(range: readonly [number, number]): number;
  /** Whether something of this probability happens. */
  chance(probability: number): boolean;
  /** One of them. */
  pick<Value>(values: readonly Value[]): Value;
  /** Another source, that this one's later use does not change. */
  fork(): SeededRandom;
}

/**
 * Makes one (mulberry32: 2^32 numbers until it repeats; no secrets from it).
 *
 * @param seed An integer; 32 bits of it count.
 */
export function seededRandom(seed: number): SeededRandom {
  let state = seed >>> 0;
  const bits = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  const fraction = () => bits() / 2 ** 32;
  const below = (count: number) => Math.floor(fraction() * count);
  const hex = () => bits().toString(16).padStart(8, "0");
  return {
    seed,
    fraction,
    below,
    id: () => hex() + hex(),
    uuid() {
      const [a, b, c, d] = [hex(), hex(), hex(), hex()];
      return `${a}-${b.slice(0, 4)}-4${b.slice(5)}-a${c.slice(1, 4)}-` +
        `${c.slice(4)}${d}`;
    },
    within: ([low, high]) => low + fraction() * (high - low),
    chance: (probability) => probability > 0 && fraction() < probability,
    pick: <Value>(values: readonly Value[]) =>
      values[below(values.length)] as Value,
    fork: () => seededRandom(bits()),
  };
}

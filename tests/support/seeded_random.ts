// Chance that can be had again: SEED=123 in the environment repeats a run.

import process from "node:process";
import type { Test } from "tap";

/** Gives whole numbers from 0 up to, but not including, `below`. */
export type SeededRandom = (below: number) => number;

/** Mulberry32, by Tommy Ettinger (public domain). The seed is told in the test's output. */
export function seededRandom(t: Test): SeededRandom {
  const given = process.env.SEED;
  const seed = given === undefined
    ? Math.floor(Math.random() * 2 ** 31)
    : Number(given);
  t.comment(`SEED=${seed}`);
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    const bits = (mixed ^ (mixed >>> 14)) >>> 0;
    return Math.floor(bits / 2 ** 32 * below);
  };
}

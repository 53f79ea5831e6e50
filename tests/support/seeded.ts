// Chance that can be had again: a failure names its seed.

import process from "node:process";
import type { Test } from "tap";
import { encodeJson } from "../../src/runtime/json.ts";

/** A source of chance that gives the same for the same seed. */
export interface Seeded {
  /** An integer from 0 up to, but not including, `count`. */
  below(count: number): number;
  /** One of them. */
  pick<Value>(values: readonly Value[]): Value;
  /** A list of up to `maxLength` of what `make` gives. */
  list<Value>(maxLength: number, make: () => Value): Value[];
  /** A text of up to `maxLength` pieces that tend to be cut, quoted or escaped wrongly. */
  text(maxLength: number): string;
}

const PIECES = [
  ..."abz09 _-.:@,[]{}'`/%",
  '"',
  "\\",
  "\\u0041",
  '"]',
  '",["',
  '"],',
  "\u0000",
  "\t",
  "é",
  "ß",
  "語",
  "👍",
  "\u2028",
  "\ufeff",
  "\ud800",
  "batch",
  "null",
];

/** One with a seed that the test's output tells; SEED=123 in the environment repeats it. */
export function freshlySeeded(t: Test): Seeded {
  const given = process.env.SEED;
  const seed = given === undefined
    ? Math.floor(Math.random() * 2 ** 31)
    : Number(given);
  t.comment(`SEED=${seed}`);
  return seeded(seed);
}

/** Makes one (mulberry32). */
export function seeded(seed: number): Seeded {
  let state = seed >>> 0;
  const fraction = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (count: number) => Math.floor(fraction() * count);
  const pick = <Value>(values: readonly Value[]) =>
    values[below(values.length)] as Value;
  const list = <Value>(maxLength: number, make: () => Value) =>
    Array.from({ length: below(maxLength + 1) }, make);
  return {
    below,
    pick,
    list,
    text: (maxLength) => list(maxLength, () => pick(PIECES)).join(""),
  };
}

/** Any text as ASCII: tap's own reader loses assertions whose message holds U+2028. */
export function shown(text: string): string {
  return encodeJson(text);
}

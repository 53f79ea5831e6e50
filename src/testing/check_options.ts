/**
 * Options checked where they come in: a misspelt fault would never happen, and
 * the test of it would pass.
 *
 * @module
 */

import { HeadwaterError } from "../../mod.ts";

/** From, and up to but not including, in ms. */
export type RangeMs = readonly [number, number];

/** All names of a kind of options: the compiler asks for each. */
export type Names<Options> = { readonly [Name in keyof Options]-?: true };

/**
 * Refuses what is no object, and names that there aren't.
 *
 * @param action What can't be done with them: `open a fault proxy`.
 * @throws {HeadwaterError} `INVALID_ARGUMENT`, with the name and those that there are.
 */
export function requireNames<Options extends object>(
  action: string,
  known: Names<Options>,
  options: Options,
): void {
  if (typeof options !== "object" || options === null) {
    const rule = "give an object";
    throw refusal(action, `the options are ${String(options)}; ${rule}`);
  }
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(known, name)) {
      const names = Object.keys(known).join(", ");
      throw refusal(action, `"${name}" is none of ${names}`);
    }
  }
}

/**
 * Refuses faults that can't be: those with `…Ms` are ranges, all others
 * probabilities.
 *
 * @throws {HeadwaterError} `INVALID_ARGUMENT`, naming the fault and its value.
 */
export function requireFaults<Faults extends object>(
  action: string,
  known: Names<Faults>,
  faults: Faults,
): void {
  requireNames(action, known, faults);
  for (const [name, value] of Object.entries(faults)) {
    if (name.endsWith("Ms")) requireRange(action, name, value);
    else requireNumber(action, name, value, [0, 1]);
  }
}

/**
 * Refuses a range that none can be taken from.
 *
 * @throws {HeadwaterError} `INVALID_ARGUMENT`, with the value.
 */
export function requireRange(
  action: string,
  name: string,
  range: RangeMs | undefined,
): void {
  if (range === undefined) return;
  const [from = NaN, to = NaN] = Array.isArray(range) ? range : [];
  if (from >= 0 && to >= from && to < Infinity) return;
  const rule = "give the least and the most ms, such as [1, 20]";
  throw refusal(action, `${name} is ${JSON.stringify(range)}; ${rule}`);
}

/**
 * Refuses a number that can't be.
 *
 * @throws {HeadwaterError} `INVALID_ARGUMENT`, with the value.
 */
export function requireNumber(
  action: string,
  name: string,
  value: number | undefined,
  [least, most]: readonly [least: number, most: number],
): void {
  if (value === undefined || value >= least && value <= most) return;
  const rule = `give a number from ${least} to ${most}`;
  const shown = typeof value === "string" ? `"${value}"` : String(value);
  throw refusal(action, `${name} is ${shown}; ${rule}`);
}

function refusal(action: string, why: string): HeadwaterError {
  return new HeadwaterError("INVALID_ARGUMENT", `Cannot ${action}: ${why}`);
}

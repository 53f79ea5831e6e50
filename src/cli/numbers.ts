/**
 * Numbers and ages among a command's arguments.
 *
 * @module
 */

import { InvalidArgumentError } from "commander";

const UNITS_MS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 7 * 86_400_000,
};

/** A token, or a number of rows. */
export function parseCount(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value;
  throw new InvalidArgumentError("Give an integer from 0.");
}

/** An age in ms: `90s`, `15m`, `12h`, `7d` or `2w`. */
export function parseAge(text: string): number {
  const [, count, unit = ""] = /^(\d+(?:\.\d+)?)([smhdw])$/.exec(text) ?? [];
  const ms = Number(count) * (UNITS_MS[unit] ?? NaN);
  if (Number.isSafeInteger(ms)) return ms;
  throw new InvalidArgumentError(
    "Give an age such as 90s, 15m, 12h, 7d or 2w.",
  );
}

/**
 * Options that bound something, checked where they come in.
 *
 * @module
 */

import { HeadwaterError, show } from "./errors.ts";

/**
 * Refuses a time to wait that can't be: any length is one, `Infinity` included.
 *
 * @param action What can't be done with it: `wait`.
 * @param timeoutMs The time, as users give it.
 * @throws {HeadwaterError} `INVALID_ARGUMENT`, with the value.
 */
export function requireTimeout(
  action: string,
  timeoutMs: number | undefined,
): void {
  if (timeoutMs === undefined) return;
  if (typeof timeoutMs === "number" && timeoutMs >= 0) return;
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot ${action}: timeoutMs is ${show(timeoutMs)}; give a number of ms, ` +
      "0 or more",
  );
}

/**
 * Refuses bounds that can't be: an option named `max…` is a positive integer,
 * one named `…Ms` a length of time.
 *
 * @param action What can't be done without: `open a writer store`.
 * @param options The options, as users give them.
 * @throws {HeadwaterError} `INVALID_ARGUMENT`, naming the option and its value.
 */
export function requireBounds(action: string, options: object): void {
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    const isDuration = name.endsWith("Ms");
    if (!isDuration && !name.startsWith("max")) continue;
    const isValid = isDuration
      ? Number.isFinite(value) && value >= 0
      : Number.isSafeInteger(value) && value >= 1;
    if (isValid) continue;
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot ${action}: ${name} is ${show(value)}; give a ${
        isDuration ? "number of ms, 0 or more" : "positive integer"
      }`,
    );
  }
}

/**
 * Refuses 0 where it would be no time at all, and some would take it for none.
 *
 * @param action What can't be done with it: `open a relay`.
 * @param options The times, by the names of their options.
 * @throws {HeadwaterError} `INVALID_ARGUMENT`, naming the option.
 */
export function requireAboveZero(
  action: string,
  options: Readonly<Record<string, number | undefined>>,
): void {
  for (const [name, ms] of Object.entries(options)) {
    if (ms !== 0) continue;
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot ${action}: ${name} is 0; give a number of ms above 0`,
    );
  }
}

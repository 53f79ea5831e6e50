/**
 * Names of options, checked where they come in: a misspelt one would pass for
 * one that was left out.
 *
 * @module
 */

import { HeadwaterError, quote, show } from "./errors.ts";

/**
 * The names of a kind of options. The compiler asks for each of them, and
 * refuses any other, so that the list is as long as the interface.
 */
export type OptionNames<Options> = {
  readonly [Name in keyof Options]-?: true;
};

/**
 * Refuses options that are not known, and what is no object of options. A name
 * that is known may have no value.
 *
 * @param action What can't be done with them: `open a writer store`.
 * @param known The names that there are.
 * @param options The options, as users give them.
 * @throws {HeadwaterError} `INVALID_ARGUMENT`, with the name and the nearest one
 *   that is known, or all of them.
 */
export function requireNames(
  action: string,
  known: Readonly<Record<string, true>>,
  options: object,
): void {
  if (typeof options !== "object" || options === null) {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot ${action}: the options are ${show(options)}; give an object`,
    );
  }
  for (const name in options) {
    if (known[name] === true) continue;
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot ${action}: ${quote(name)} is no option; ` +
        suggest(name, Object.keys(known), "the options are"),
    );
  }
}

/**
 * What to do about a name that is not known: the nearest that is, or all.
 *
 * @param name The name that was given.
 * @param known The names that there are.
 * @param intro What comes before all of them: `the caches are`.
 */
export function suggest(
  name: string,
  known: readonly string[],
  intro: string,
): string {
  let [nearest, least] = ["", Infinity];
  for (const each of known) {
    const distance = distanceBetween(name.toLowerCase(), each.toLowerCase());
    if (distance < least) [nearest, least] = [each, distance];
  }
  return least <= Math.max(1, Math.floor(nearest.length / 3))
    ? `did you mean ${quote(nearest)}?`
    : `${intro} ${known.join(", ") || "none"}`;
}

/** How far apart two names are; one that goes on where the other ends is near. */
function distanceBetween(from: string, to: string): number {
  const [short, long] = from.length < to.length ? [from, to] : [to, from];
  // Nobody has mistyped a text of that length.
  if (long.length > 100) return Infinity;
  if (short.length >= 3 && long.startsWith(short) && long !== short) return 1;
  return editsBetween(from, to);
}

/** Letters to insert, to delete, to replace, or to swap with the next. */
function editsBetween(from: string, to: string): number {
  let before: readonly number[] = [];
  let row: readonly number[] = Array.from(` ${to}`, (_, index) => index);
  for (let i = 1; i <= from.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= to.length; j += 1) {
      const isSame = from[i - 1] === to[j - 1];
      const isSwapped = from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1];
      next[j] = Math.min(
        at(row, j - 1) + (isSame ? 0 : 1),
        at(row, j) + 1,
        at(next, j - 1) + 1,
        isSwapped ? at(before, j - 2) + 1 : Infinity,
      );
    }
    [before, row] = [row, next];
  }
  return at(row, to.length);
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Infinity;
}

// What callers of the model may be given: values of a version each, and errors.

import type { KeyName } from "./fence_model_steps.ts";

/** What a schedule must not lead to. */
export class Violation extends Error {}

/** Whoever is told this asked for a load that was to fail. */
export class LoadFailed extends Error {}

/** Whoever is told this has given up. */
export class CallerLeft extends Error {}

/** What the database has at a version: no two of the first four are alike. */
export function valueOf(key: KeyName, version: number): unknown {
  return version === 1 ? undefined : version === 3 ? null : `${key}${version}`;
}

/** The latest version at which it had a value. */
export function versionOf(key: KeyName, value: unknown): number {
  if (value === undefined) return 1;
  if (value === null) return 3;
  const text = String(value);
  if (!text.startsWith(key)) throw new Violation(`${key} has ${text}`);
  return Number(text.slice(1));
}

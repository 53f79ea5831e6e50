/**
 * What a store takes from the machine that it runs on.
 *
 * @module
 */

import { type Clock, systemClock } from "./clock.ts";
import type { OptionNames } from "./option_names.ts";
import { type Random, systemRandom } from "./random.ts";

/** Time and chance, where they are not to be the machine's: in tests. */
export interface EnvironmentOptions {
  /**
   * Time and timers: a `VirtualClock` of `headwater/testing`.
   *
   * @default {the machine's}
   */
  readonly clock?: Clock | undefined;
  /**
   * Chance: a `seededRandom` of `headwater/testing`.
   *
   * @default {the machine's}
   */
  readonly random?: Random | undefined;
}

/** The names of {@linkcode EnvironmentOptions}. */
export const ENVIRONMENT_OPTIONS: OptionNames<EnvironmentOptions> = {
  clock: true,
  random: true,
};

/** Time and chance as options have them. */
export function environmentOf(
  { clock = systemClock, random = systemRandom }: EnvironmentOptions,
): { readonly clock: Clock; readonly random: Random } {
  return { clock, random };
}

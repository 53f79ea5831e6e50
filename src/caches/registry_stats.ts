/**
 * What a registry of caches counts, and is told.
 *
 * @module
 */

import type { Token } from "../tokens/token.ts";

/** What became of the invalidations that a registry was given. */
export interface RegistryStats {
  /** Rows applied, those of groups and unknown names included. */
  readonly applied: number;
  /** Rows, and invalidations of groups, whose name no cache here has. */
  readonly unknown: number;
  /** Rows whose group is not known here, or could not be expanded, so that every cache was cleared. */
  readonly unexpandable: number;
  /** Times that every cache was cleared. */
  readonly flushes: number;
}

/** Why every cache is cleared. */
export interface FlushCause {
  /** Why, for people. */
  readonly reason: string;
  /** Whose log it was about. */
  readonly instance?: string | undefined;
  /** Where it goes on in that log. */
  readonly token?: Token | undefined;
  /**
   * Whether what was there was right so far, and is only not known to be so any
   * more: caches that may serve what is old serve it then. Not by default.
   */
  readonly mayServeOld?: boolean | undefined;
}

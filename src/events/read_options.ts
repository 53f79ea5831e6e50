/**
 * Which events to read.
 *
 * @module
 */

import type { OptionNames } from "../runtime/option_names.ts";
import type { AggregateKind } from "./aggregate.ts";

/** Which way to read. */
export type Direction = "forwards" | "backwards";

/** Which events of an aggregate to read. */
export interface ReadAggregateOptions {
  /**
   * The lowest version. Forwards it must be there: where retention has deleted
   * it, this is the way to read what is left.
   *
   * @default {1}
   */
  readonly from?: number | undefined;
  /**
   * The highest version.
   *
   * @default {the last}
   */
  readonly to?: number | undefined;
  /**
   * Which comes first: the oldest, or the newest.
   *
   * @default {"forwards"}
   */
  readonly direction?: Direction | undefined;
  /**
   * How many at most.
   *
   * @default {all}
   */
  readonly limit?: number | undefined;
}

/** The names of {@linkcode ReadAggregateOptions}. */
export const READ_AGGREGATE_OPTIONS: OptionNames<ReadAggregateOptions> = {
  from: true,
  to: true,
  direction: true,
  limit: true,
};

/** Which events of the log to read. */
export interface ReadEventsOptions {
  /**
   * Kinds whose events come checked and in their newest version, as
   * `readAggregate` gives them; those of other aggregates come as they stand in
   * the log.
   *
   * @default {none}
   */
  readonly aggregates?: readonly AggregateKind[] | undefined;
  /**
   * The token before the first; backwards, the token after the first. Forwards
   * nothing after it may be missing; without it, and backwards, what retention
   * has deleted is left out.
   *
   * @default {the end that reading starts from}
   */
  readonly after?: number | undefined;
  /**
   * Only these types.
   *
   * @default {all}
   */
  readonly types?: readonly string[] | undefined;
  /**
   * Only aggregates whose id begins so.
   *
   * @default {all}
   */
  readonly aggregatePrefix?: string | undefined;
  /** Only those committed at that time or later. */
  readonly since?: Date | number | undefined;
  /** Only those committed before that time. */
  readonly until?: Date | number | undefined;
  /**
   * Which comes first: the oldest, or the newest.
   *
   * @default {"forwards"}
   */
  readonly direction?: Direction | undefined;
  /**
   * How many at most.
   *
   * @default {all}
   */
  readonly limit?: number | undefined;
}

/** The names of {@linkcode ReadEventsOptions}. */
export const READ_EVENTS_OPTIONS: OptionNames<ReadEventsOptions> = {
  aggregates: true,
  after: true,
  types: true,
  aggregatePrefix: true,
  since: true,
  until: true,
  direction: true,
  limit: true,
};

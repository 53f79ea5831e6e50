/**
 * What travels from a writer to its readers.
 *
 * @module
 */

import type { LogRecord } from "../log/record.ts";
import type { InvalidationRun } from "../protocol/command.ts";
import { countInvalidations } from "../protocol/invalidations.ts";
import type { Token } from "../tokens/token.ts";

/** All that one transaction of an instance left in the log. */
export interface LoggedTransaction {
  /** Who wrote it. */
  readonly instance: string;
  /** Its token. */
  readonly token: Token;
  /** Its records, one a stream; none if it only moved the token. */
  readonly records: readonly LogRecord[];
  /**
   * What it invalidates, instead of a record of `caches`; `undefined` where
   * there is none, or it is among the records, a line a row.
   */
  readonly invalidations?: readonly InvalidationRun[] | undefined;
  /** What `formatRuns` makes of them, where that is known. */
  readonly invalidationsText?: string | undefined;
}

/** Streams, and how many rows of each; `caches` first. */
export type RowCounts = readonly (readonly [stream: string, rows: number])[];

/** How many rows of each stream a transaction has. */
export function countRows(
  { records, invalidations }: LoggedTransaction,
): RowCounts {
  const counts: [string, number][] = [];
  if (invalidations !== undefined) {
    counts.push([CACHES_STREAM, countInvalidations(invalidations)]);
  }
  for (const { stream, lines } of cachesFirst(records)) {
    counts.push([stream, lines.length]);
  }
  return counts;
}

/** Puts `caches` before every other stream, and leaves the others' order. */
export function cachesFirst<Item extends { readonly stream: string }>(
  items: readonly Item[],
): readonly Item[] {
  if (items.length < 2 || items[0]?.stream === CACHES_STREAM) return items;
  return items.toSorted((a, b) => rank(a.stream) - rank(b.stream));
}

/** The name of the stream that is applied before all others. */
export const CACHES_STREAM = "caches";

function rank(stream: string): number {
  return stream === CACHES_STREAM ? 0 : 1;
}

/** What a step invalidates. */
export interface StepRows {
  /** The token before its first. */
  readonly after: Token;
  /** The lines of `caches` in the log, with newlines between them. */
  readonly joined: string;
  /** Caches that were cleared instead of invalidating one key after another. */
  readonly cleared: readonly string[];
}

/**
 * Several transactions of one instance that are applied as one: none of its
 * others lies between them.
 */
export interface LoggedStep {
  /** Who wrote them. */
  readonly instance: string;
  /** The last one's token. */
  readonly upTo: Token;
  /** How many they are. */
  readonly transactions: number;
  /** Rows by stream. */
  readonly rowsByStream: ReadonlyMap<string, number>;
  /** Does all that they invalidate; gives what it was. */
  readonly invalidate: () => StepRows;
  /** Fetches what some streams have, token by token. */
  readonly read: (
    streams: readonly string[],
  ) => Promise<readonly LoggedTransaction[]>;
  /** Whether none of it had been deleted when it was read. */
  readonly isWhole: () => Promise<boolean>;
}

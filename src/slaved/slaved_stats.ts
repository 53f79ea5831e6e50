/**
 * What a slaved store counts.
 *
 * @module
 */

import type { CatchUpProgress } from "../replication/catch_up_progress.ts";
import type { FollowerStats } from "../replication/follower_options.ts";
import type { InstanceLag } from "../replication/lag_meter.ts";
import type { SlavedParts } from "./slaved_parts.ts";

/**
 * What a slaved store is doing: `"connecting"` has no writer to hear from and
 * answers from what it knows; `"live"` hears of every write as it happens;
 * `"closed"` answers no more.
 */
export type SlavedState = "connecting" | "live" | "closed";

/** What a slaved store has done so far. */
export interface SlavedStats {
  /** What it is doing. */
  readonly state: SlavedState;
  /** Transactions applied. */
  readonly transactions: number;
  /** Rows of them, in all streams. */
  readonly rows: number;
  /** The same, stream by stream; those of more than 1,000 streams are in the sum only. */
  readonly rowsByStream: ReadonlyMap<string, number>;
  /** Invalidation rows among them, those that a catch-up did at once included. */
  readonly invalidations: number;
  /** Invalidations of caches that this process doesn't have. */
  readonly unknownInvalidations: number;
  /** Rows of cache groups that this process doesn't know: it cleared every cache. */
  readonly unknownGroups: number;
  /** Times that every cache was cleared. */
  readonly flushes: number;
  /** Times that a log was started over: its missed rows could not be had. */
  readonly resets: number;
  /** Connections made. */
  readonly connections: number;
  /** Connections that are open. */
  readonly openConnections: number;
  /** Times that missed rows were fetched from the log. */
  readonly catchUps: number;
  /** Rows that were fetched, in all streams. */
  readonly catchUpRows: number;
  /** Catch-ups that are under way. */
  readonly catchingUp: readonly CatchUpProgress[];
  /** How far it is behind, by instance, as far as it has heard. */
  readonly lag: readonly InstanceLag[];
  /** Calls of `waitFor` that wait. */
  readonly waiters: number;
  /** Calls of handlers that failed. */
  readonly handlerFailures: number;
  /** Batches that wait for a handler which is called again, the failed one included. */
  readonly queuedBatches: number;
  /** Ephemeral streams whose writer is being asked what was missed: not live yet. */
  readonly ephemeralPending: number;
  /** Times that rows of an ephemeral stream were missing for good. */
  readonly ephemeralResets: number;
}

/**
 * What a slaved store's parts have done so far.
 *
 * @param isHearing Whether it hears of pokes, if there are to be any.
 * @param isClosed Whether the store is.
 */
export function readStats<Database>(
  { applier, caches, ephemeral, lag, links, position, watched }: SlavedParts<
    Database
  >,
  isHearing: boolean,
  isClosed: boolean,
): SlavedStats {
  const { applied, unknown, unexpandable, flushes } = caches.stats;
  const isLive = isHearing && links.every(({ follower }) => follower.isLive);
  const followed = [watched, ...links.map(({ follower }) => follower)]
    .map(({ stats }) => stats);
  const sum = (count: (stats: FollowerStats) => number) =>
    followed.reduce((all, stats) => all + count(stats), 0);
  const done = applier.stats;
  return {
    ...done,
    state: isClosed ? "closed" : isLive ? "live" : "connecting",
    invalidations: applied,
    unknownInvalidations: unknown,
    unknownGroups: unexpandable,
    flushes,
    connections: links.reduce((all, { client }) => all + client.connections, 0),
    openConnections: links.filter(({ client }) => client.isConnected).length,
    resets: sum(({ resets }) => resets),
    catchUps: sum(({ catchUps }) => catchUps),
    catchUpRows: sum(({ catchUpRows }) => catchUpRows),
    catchingUp: followed.flatMap(({ catchingUp }) => catchingUp),
    lag: lag.lags,
    waiters: position.waiters,
    handlerFailures: done.handlerFailures + ephemeral.handlerFailures,
    queuedBatches: done.queuedBatches + ephemeral.queuedBatches,
    ephemeralPending: ephemeral.pending,
    ephemeralResets: ephemeral.resets,
  };
}

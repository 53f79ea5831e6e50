/**
 * The reading side alone, for a process that loads no writer.
 *
 * @module
 */

export { follow } from "./follow.ts";
export type { Following, FollowOptions, StreamPosition } from "./follow.ts";
export { SlavedStore } from "./slaved_store.ts";
export type { SlavedState, SlavedStats } from "./slaved_stats.ts";
export type { SlavedStoreOptions } from "./slaved_options.ts";
export type { Unsubscribe } from "./slaved_store.ts";
export type { CatchUpProgress } from "../replication/catch_up_progress.ts";
export type { InstanceLag } from "../replication/lag_meter.ts";
export type {
  WaitOutcome,
  WaitReached,
  WaitTimedOut,
} from "../replication/reader_position.ts";
export type {
  HandlerFailure,
  RetryPolicy,
  SubscribeOptions,
} from "../replication/stream_subscription.ts";
export type { WaitForOptions } from "../replication/wait_for.ts";

/**
 * Looking after a log: where it stands, what is in it, whether it is sound, and
 * what need not be kept.
 *
 * @module
 */

export { openAdmin } from "./admin.ts";
export type {
  Admin,
  AdminOptions,
  RetainedStream,
  RetainStreamsOptions,
} from "./admin.ts";
export type {
  InstancePosition,
  LeaseState,
  LogPositions,
} from "./positions.ts";
export type { LogCheck, LogProblem } from "./problems.ts";
export type { LoggedRecord, ReadLogOptions } from "./read_log.ts";
export type { ProjectionRecord } from "../projections/checkpoint.ts";
export type { ParkedEvent } from "../projections/parked.ts";
export type {
  MeasuredProjection,
  ProjectionFigures,
  ProjectionReport,
} from "../projections/progress.ts";
export type {
  Retained,
  RetentionPolicies,
  RetentionPolicy,
} from "../log/retention.ts";
export type { Verification, VerifyOptions } from "./verify.ts";
export type { VerifyProgress, VerifyStep } from "./check_context.ts";

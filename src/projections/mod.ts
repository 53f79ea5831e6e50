/**
 * Projections: tables made of events.
 *
 * @module
 */

export { defineProjection } from "./projection.ts";
export { ProjectionRunner } from "./projection_runner.ts";
export type {
  ProjectedEvent,
  Projection,
  ProjectionContext,
  TableOf,
} from "./projection.ts";
export type {
  ProjectionProgress,
  ProjectionRunnerOptions,
} from "./projection_runner.ts";
export type { MeasuredProjection, ProjectionFigures } from "./progress.ts";
export type { ParkedEvent } from "./parked.ts";

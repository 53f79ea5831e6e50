/**
 * Events: what an aggregate's kind is, and what reading and folding give.
 *
 * @module
 */

export { defineAggregate } from "./aggregate.ts";
export type {
  AggregateKind,
  AggregateRef,
  DataOf,
  EventDefinition,
  EventDefinitions,
} from "./aggregate.ts";
export type {
  EventInput,
  EventInputOf,
  EventMetadata,
  StoredEvent,
  StoredEventOf,
} from "./event.ts";
export type {
  AggregateReads,
  Folded,
  FoldOptions,
  Reducer,
} from "./event_reads.ts";
export type {
  Direction,
  ReadAggregateOptions,
  ReadEventsOptions,
} from "./read_options.ts";

/**
 * Events, as they are appended and as they are read.
 *
 * @module
 */

import type { JsonValue } from "../runtime/json.ts";
import type { Token } from "../tokens/token.ts";
import type { AggregateRef, DataOf, EventDefinitions } from "./aggregate.ts";

/**
 * What goes with an event. `$version` is where an aggregate's kind keeps the
 * version of the event's schema.
 */
export interface EventMetadata {
  /** What it belongs to: the request, say, that all of a chain came from. */
  readonly correlationId?: string;
  /** What it came from: the id of an event or a command. */
  readonly causationId?: string;
  /** Whatever else is to be known of it. */
  readonly [name: string]: JsonValue | undefined;
}

/** An event to append. */
export interface EventInput<
  Type extends string = string,
  Data = JsonValue | undefined,
> {
  /** What happened: `renamed`. */
  readonly type: Type;
  /** What it carries. */
  readonly data?: Data;
  /** What goes with it. */
  readonly metadata?: EventMetadata | undefined;
  /**
   * Its id, which makes it safe to append again: the same id with the same type
   * and data changes nothing. Metadata is not compared: what was first stays.
   *
   * @default {a random UUID}
   */
  readonly id?: string | undefined;
}

/** The events that an aggregate of a kind takes. */
export type EventInputOf<Definitions extends EventDefinitions> = {
  [Type in keyof Definitions & string]: EventInput<
    Type,
    DataOf<Definitions[Type]>
  >;
}[keyof Definitions & string];

/** An event as it stands in the log. */
export interface StoredEvent<
  Type extends string = string,
  Data = JsonValue,
> {
  /** The token of the transaction that appended it. */
  readonly token: Token;
  /** The aggregate's id. */
  readonly aggregate: string;
  /** Its place among the aggregate's events: 1, 2, 3, … */
  readonly version: number;
  /** What happened. */
  readonly type: Type;
  /** Its id: the one that its writer gave it, else a random UUID. */
  readonly id: string;
  /** What there is to know of it; `null` if nothing was given. */
  readonly data: Data;
  /** Where it came from; `{}` if nothing was given. */
  readonly metadata: EventMetadata;
  /** When it was committed, by the writer's clock, in ms since 1970. */
  readonly committedMs: number;
}

/** The events that an aggregate of a kind has. */
export type StoredEventOf<Definitions extends EventDefinitions> = {
  [Type in keyof Definitions & string]: StoredEvent<
    Type,
    DataOf<Definitions[Type]>
  >;
}[keyof Definitions & string];

/** An aggregate: of a kind, or any by its id. */
export type AggregateLike = string | AggregateRef;

/** The type of the event that closes an aggregate. */
export const CLOSED_TYPE = "$closed";

/** Where an event's metadata tells the version of its schema; 1 if nowhere. */
export const SCHEMA_VERSION = "$version";

/** An aggregate's id. */
export function idOf(aggregate: AggregateLike): string {
  return typeof aggregate === "string" ? aggregate : aggregate.id;
}

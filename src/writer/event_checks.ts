/**
 * What events must be like to be appended.
 *
 * @module
 */

import {
  type AggregateLike,
  CLOSED_TYPE,
  type EventInput,
} from "../events/event.ts";
import { checkEvent, requireStable } from "../events/typed_events.ts";
import { HeadwaterError, quote } from "../runtime/errors.ts";
import { encodeJson, requireJson } from "../runtime/json.ts";

/** An event that has passed the checks. */
export interface CheckedEvent {
  readonly type: string;
  readonly id: string | undefined;
  readonly data: string;
  readonly metadata: string;
}

/**
 * Checks events that are to be appended.
 *
 * @param aggregate The aggregate, whose kind describes them if it has one.
 * @param id Its id.
 * @param events What the caller gave.
 * @param isLast Whether they close it.
 * @throws {HeadwaterError} `INVALID_ARGUMENT`, `EVENT_INVALID` or `ROW_INVALID`.
 */
export function checkEvents(
  aggregate: AggregateLike,
  id: string,
  events: readonly EventInput<string, unknown>[],
  isLast: boolean,
): CheckedEvent[] {
  if (!Array.isArray(events) || events.length === 0) {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot append to aggregate "${id}": give an array of at least one event`,
    );
  }
  return events.map((event, index) => {
    checkText(event.type, `type of event ${index + 1}`);
    if (event.type === CLOSED_TYPE && !isLast) throw closedTypeError(id);
    if (event.id !== undefined) checkText(event.id, `id of event ${index + 1}`);
    const subject = `event "${event.type}" of aggregate "${id}"`;
    checkMetadata(event.metadata, subject);
    const { data = null, metadata } = checkEvent(aggregate, event);
    requireJson(data, `data of ${subject}`);
    const text = encodeJson(data);
    requireStable(aggregate, event, text);
    return {
      type: event.type,
      id: event.id,
      data: text,
      metadata: metadata === undefined ? "null" : encodeJson(metadata),
    };
  });
}

function checkMetadata(metadata: unknown, subject: string): void {
  if (metadata === undefined) return;
  if (
    metadata === null || typeof metadata !== "object" || Array.isArray(metadata)
  ) {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot append ${subject}: its metadata is ${
        JSON.stringify(metadata)
      }; give an object`,
    );
  }
  requireJson(metadata, `metadata of ${subject}`);
}

const MAX_NAME_LENGTH = 512;

/** Refuses what can't be an aggregate's id, or an event's type or id. */
export function checkText(value: unknown, subject: string): void {
  if (
    typeof value === "string" && value !== "" && value.length <= MAX_NAME_LENGTH
  ) {
    // SQLite takes half a character for another, and so two ids for the same;
    // PostgreSQL has no NUL.
    if (value.isWellFormed() && !value.includes("\0")) return;
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot append events: the ${subject}, ${quote(value)}, has half of a ` +
        "surrogate pair, or a NUL; give whole characters",
    );
  }
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot append events: the ${subject} is ${
      typeof value === "string"
        ? `${value.length} characters long`
        : String(value)
    }; give a text of 1 to ${MAX_NAME_LENGTH} characters`,
  );
}

function closedTypeError(aggregate: string): HeadwaterError {
  return new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot append event "${CLOSED_TYPE}" to aggregate "${aggregate}": closing ` +
      "it takes more; use txn.closeAggregate, or another type",
  );
}

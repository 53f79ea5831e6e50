/**
 * Events against their kind's definitions, on the way in and on the way out.
 *
 * @module
 */

import { HeadwaterError } from "../runtime/errors.ts";
import { encodeJson, type JsonValue } from "../runtime/json.ts";
import { askSchema } from "../runtime/schemas.ts";
import {
  type AggregateKind,
  type AggregateRef,
  toDefinition,
} from "./aggregate.ts";
import {
  CLOSED_TYPE,
  type EventInput,
  SCHEMA_VERSION,
  type StoredEvent,
} from "./event.ts";

/**
 * Checks an event that is to be appended.
 *
 * @param aggregate The aggregate, of a kind or by its id.
 * @param event The event.
 * @returns What it carries, as its schema gives it back, and its metadata.
 * @throws {HeadwaterError} `EVENT_INVALID` with the path of what is wrong.
 */
export function checkEvent(
  aggregate: string | AggregateRef,
  event: EventInput<string, unknown>,
): { data: unknown; metadata: Record<string, unknown> | undefined } {
  const { metadata } = event;
  if (typeof aggregate === "string") return { data: event.data, metadata };
  const { kind, id } = aggregate;
  if (event.type === CLOSED_TYPE) return { data: event.data, metadata };
  const known = Object.hasOwn(kind.events, event.type)
    ? kind.events[event.type]
    : undefined;
  if (known === undefined) {
    throw new HeadwaterError(
      "EVENT_INVALID",
      `Cannot append to aggregate "${id}": it has no event "${event.type}"; ` +
        `those of "${kind.name}" are ${Object.keys(kind.events).join(", ")}`,
    );
  }
  if (metadata !== undefined && Object.hasOwn(metadata, SCHEMA_VERSION)) {
    throw new HeadwaterError(
      "EVENT_INVALID",
      `Cannot append event "${event.type}" to aggregate "${id}": its metadata has ` +
        `"${SCHEMA_VERSION}", where the version of its schema is kept; leave it out`,
    );
  }
  const { schema, version = 1 } = toDefinition(known);
  const action = () => `append event "${event.type}" to aggregate "${id}"`;
  const checked = askSchema(action, schema, event.data);
  if (!checked.success) {
    const [issue] = checked.error.issues;
    const path = (issue?.path ?? []).map(String).join(".");
    throw new HeadwaterError(
      "EVENT_INVALID",
      `Cannot ${action()}: ` +
        `${path === "" ? "data" : `data.${path}`}: ${issue?.message}; ` +
        "give what the event's schema describes",
      { cause: checked.error },
    );
  }
  return {
    data: checked.data,
    metadata: version > 1
      ? { ...metadata, [SCHEMA_VERSION]: version }
      : metadata,
  };
}

/** An event that was read, wherever it stands. */
type ReadEvent<Data> = Omit<StoredEvent<string, Data>, "token">;

/**
 * Refuses what would be read as something else: what a schema makes of an event
 * is stored, and the schema is asked again when it is read.
 *
 * @param aggregate The aggregate, of a kind or by its id.
 * @param event The event, as it was given.
 * @param stored What its schema has made of it, as JSON.
 * @throws {HeadwaterError} `EVENT_INVALID` if the schema changes that again.
 */
export function requireStable(
  aggregate: string | AggregateRef,
  { type, data }: EventInput<string, unknown>,
  stored: string,
): void {
  if (typeof aggregate === "string" || encodeIfJson(data) === stored) return;
  const { schema } = toDefinition(aggregate.kind.events[type] as never);
  const again = askSchema(
    () => `append event "${type}"`,
    schema,
    JSON.parse(stored),
  );
  const text = again.success ? encodeIfJson(again.data) : "nothing";
  if (text === stored) return;
  throw new HeadwaterError(
    "EVENT_INVALID",
    `Cannot append event "${type}" to aggregate "${aggregate.id}": its schema ` +
      `makes ${shorten(stored)} of it, which is stored, and of that ` +
      `${shorten(text)} when it is read; give a schema that leaves its own ` +
      "results as they are, and transform where events are used",
  );
}

/** The JSON of a value; what stands for another, where it has none. */
function encodeIfJson(value: unknown): string {
  try {
    return encodeJson(value ?? null);
  } catch {
    return "no JSON";
  }
}

const MAX_SHOWN_LENGTH = 100;

function shorten(text: string): string {
  return text.length <= MAX_SHOWN_LENGTH
    ? text
    : `${text.slice(0, MAX_SHOWN_LENGTH)}…`;
}

/**
 * Brings an event that was read to its newest version.
 *
 * @throws {HeadwaterError} `EVENT_INVALID` if a newer release wrote it, or it
 *   does not fit its schema.
 */
export function upcastEvent(
  { kind }: Pick<AggregateRef, "kind">,
  event: StoredEvent,
): StoredEvent<string, unknown> {
  return event.type === CLOSED_TYPE
    ? event
    : { ...event, ...toNewest(kind, event) };
}

/**
 * Brings events of some kinds to their newest versions, and leaves others alone.
 *
 * @param kinds The kinds: an event is of the one that its aggregate's id begins with.
 * @returns What an event carries now, and its metadata; `undefined` if it is of none.
 */
export function upcasterOf(
  kinds: readonly AggregateKind[],
): (
  event: ReadEvent<unknown>,
) => Pick<ReadEvent<unknown>, "data" | "metadata"> | undefined {
  const byName = new Map(kinds.map((kind) => [kind.name, kind]));
  return (event) => {
    const { aggregate, type } = event;
    const kind = byName.get(aggregate.slice(0, aggregate.indexOf(":")));
    return kind === undefined || type === CLOSED_TYPE
      ? undefined
      // What stands in the log is JSON.
      : toNewest(kind, event as ReadEvent<JsonValue>);
  };
}

function toNewest(
  kind: AggregateKind,
  event: ReadEvent<JsonValue>,
): Pick<ReadEvent<unknown>, "data" | "metadata"> {
  const refuse = (problem: string, cause?: unknown) => {
    throw new HeadwaterError(
      "EVENT_INVALID",
      `Cannot read event ${event.version}, "${event.type}", of aggregate ` +
        `"${event.aggregate}": ${problem}`,
      { cause },
    );
  };
  const known = Object.hasOwn(kind.events, event.type)
    ? kind.events[event.type]
    : refuse(`"${kind.name}" does not define it; add it to defineAggregate`);
  const { schema, version = 1, upcast } = toDefinition(known as never);
  const stored = Number(event.metadata[SCHEMA_VERSION] ?? 1);
  if (stored > version) {
    refuse(
      `it has version ${stored}, and this release knows ${version}; upgrade`,
    );
  }
  let data: JsonValue = event.data;
  for (let old = stored; old < version; old += 1) {
    data = (upcast?.[old] as (data: JsonValue) => JsonValue)(data);
  }
  const checked = askSchema(() => `read event "${event.type}"`, schema, data);
  if (!checked.success) {
    refuse(
      `${
        checked.error.issues[0]?.message
      }; raise the event's version, and upcast`,
      checked.error,
    );
  }
  const { [SCHEMA_VERSION]: _, ...metadata } = event.metadata;
  return { data: checked.data, metadata };
}

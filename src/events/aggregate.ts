/**
 * Kinds of aggregates: which events they have, and what those carry.
 *
 * @module
 */

import type { z } from "zod";
import { HeadwaterError, quote } from "../runtime/errors.ts";
import type { JsonValue } from "../runtime/json.ts";
import { type OptionNames, requireNames } from "../runtime/option_names.ts";

/** What an event carries, version by version. */
export interface EventDefinition<Data = unknown> {
  /**
   * What the event carries now. What it makes of an event (defaults filled in,
   * text trimmed) is stored, and given to it again when the event is read: it
   * must leave that as it is, or the append is refused.
   */
  readonly schema: z.ZodType<Data>;
  /**
   * The version of the schema. Raise it with each change that old events don't fit.
   *
   * @default {1}
   */
  readonly version?: number | undefined;
  /**
   * Turns what an event of an older version carries into what the next one
   * would, by the older version: `{ 1: (data) => ({ ...data, currency: "EUR" }) }`.
   */
  readonly upcast?:
    | Readonly<Record<number, (data: JsonValue) => JsonValue>>
    | undefined;
}

/** The names of what an {@linkcode EventDefinition} has. */
const DEFINITION_NAMES: OptionNames<EventDefinition> = {
  schema: true,
  version: true,
  upcast: true,
};

/** Events by type: a schema, or more about it. */
export type EventDefinitions = Readonly<
  Record<string, z.ZodType | EventDefinition>
>;

/** What an event of a definition carries. */
export type DataOf<Definition> = Definition extends z.ZodType<infer Data> ? Data
  : Definition extends EventDefinition<infer Data> ? Data
  : never;

/** An aggregate of a kind, by id. */
export interface AggregateRef<
  Definitions extends EventDefinitions = EventDefinitions,
> {
  /** The aggregate's id: `user:1`. */
  readonly id: string;
  /** Its kind. */
  readonly kind: AggregateKind<Definitions>;
}

/** A kind of aggregate. */
export interface AggregateKind<
  Definitions extends EventDefinitions = EventDefinitions,
> {
  /** The kind's name, which every id begins with: `user`. */
  readonly name: string;
  /** Its events, by type. */
  readonly events: Definitions;
  /** One aggregate of the kind: `users.of("1")` is `user:1`. */
  of(id: string): AggregateRef<Definitions>;
}

const NAME = /^[A-Za-z_][A-Za-z0-9_.-]{0,63}$/;

/**
 * Declares a kind of aggregate. Writers and readers share the declaration.
 *
 * A schema is asked when an event is appended, and again when it is read. What
 * it gives is what is stored, so a transformation is for what is the same the
 * second time: `z.string().trim()`, a default. A `transform` that makes another
 * value each time, cents of euros say, is for where events are used.
 *
 * @param name What ids begin with; a `:` follows.
 * @param events Its events by type, each with what it carries.
 * @returns The kind: `txn.append(users.of("1"), …)` is checked by the compiler
 *   and against the schemas.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for a name or a definition that can't be.
 *
 * @example Usage
 * ```ts
 * import { equal } from "node:assert/strict";
 * import { defineAggregate } from "headwater";
 * import { z } from "zod";
 *
 * const users = defineAggregate("user", {
 *   registered: z.object({ name: z.string() }),
 *   renamed: {
 *     version: 2,
 *     schema: z.object({ name: z.string(), by: z.string() }),
 *     upcast: { 1: (data) => ({ ...Object(data), by: "unknown" }) },
 *   },
 * });
 * equal(users.of("1").id, "user:1");
 * ```
 */
export function defineAggregate<const Definitions extends EventDefinitions>(
  name: string,
  events: Definitions,
): AggregateKind<Definitions> {
  if (typeof name !== "string" || !NAME.test(name)) {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot define aggregate ${quote(String(name))}: give a letter or "_", ` +
        'then up to 63 letters, digits, "_", "." or "-"',
    );
  }
  for (const [type, definition] of Object.entries(events)) {
    requireDefinition(name, type, toDefinition(definition));
  }
  const kind: AggregateKind<Definitions> = {
    name,
    events,
    of: (id) => ({ id: `${name}:${id}`, kind }),
  };
  return kind;
}

/** A definition, where a schema alone may stand for one. */
export function toDefinition(
  definition: z.ZodType | EventDefinition,
): EventDefinition {
  return "safeParse" in definition ? { schema: definition } : definition;
}

function requireDefinition(
  aggregate: string,
  type: string,
  definition: EventDefinition,
): void {
  const { schema, version = 1, upcast = {} } = definition;
  const action = `define event "${type}" of aggregate "${aggregate}"`;
  const refuse = (problem: string) => {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot ${action}: ${problem}`,
    );
  };
  if (typeof schema?.safeParse !== "function") refuse("give a zod schema");
  requireNames(action, DEFINITION_NAMES, definition);
  if (!Number.isSafeInteger(version) || version < 1) {
    refuse(`its version is ${version}; give 1, 2, 3, …`);
  }
  for (let old = 1; old < version; old += 1) {
    if (typeof upcast[old] !== "function") {
      refuse(`it has version ${version}; give upcast[${old}] for older events`);
    }
  }
}

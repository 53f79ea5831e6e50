/**
 * Commands of the users' own.
 *
 * @module
 */

import type { ZodType } from "zod";
import { HeadwaterError, quote } from "../runtime/errors.ts";
import { encodeJson, requireJson } from "../runtime/json.ts";
import { askSchema } from "../runtime/schemas.ts";
import { invalidLine, isField, requireField, splitFields } from "./fields.ts";

/** How a value travels as text. */
export interface CommandCodec<Value> {
  /** Reads a text; throws if it is none. */
  parse(text: string): Value;
  /** Writes a value as one line. */
  format(value: Value): string;
}

/** A command of the users' own; both ends share the declaration. */
export interface CustomCommandType<Value = unknown>
  extends CommandCodec<Value> {
  /** Its name, without what it begins with on the wire. */
  readonly name: string;
}

/**
 * `X_<name> <from> <to|*> <text>`: one of those on the wire. What nobody has a
 * handler for is passed over.
 */
export interface CustomCommand {
  /** Tells it from those of the table. */
  readonly kind: "CUSTOM";
  /** The name, without `X_`. */
  readonly name: string;
  /** The instance that sent it. */
  readonly from: string;
  /** The instance that it is for; `undefined` is everybody. */
  readonly to: string | undefined;
  /** The value, as its type writes it. */
  readonly text: string;
}

/** Begins the names of users' commands on the wire: Synapse has none that does. */
const PREFIX = "X_";
const EVERYBODY = "*";
const NAME = /^[A-Z][A-Z0-9_]{0,61}$/;

/**
 * Declares a command of one's own. Stores send it with `send` and take it with
 * `onCommand`. It goes to whoever is connected at that moment, once: nothing
 * keeps it. What must not be lost is a row of a stream.
 *
 * @param name A capital letter, then up to 61 capital letters, digits or `_`.
 *   On the wire it begins with `X_`.
 * @param shape A zod schema, whose values travel as JSON; or a codec of your own.
 * @returns The command, for `send` and `onCommand`.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for another name.
 *
 * @example Usage
 * ```ts
 * import { equal } from "node:assert/strict";
 * import { defineCommand } from "headwater/protocol";
 * import { z } from "zod";
 *
 * const kick = defineCommand("KICK", z.object({ userId: z.string() }));
 * equal(kick.format({ userId: "@bob:example.com" }), '{"userId":"@bob:example.com"}');
 *
 * // On the writer:      writer.send(kick, { userId });
 * // In every worker:    slaved.onCommand(kick, ({ userId }, from) => …);
 * ```
 */
export function defineCommand<Value>(
  name: string,
  shape: CommandCodec<Value>,
): CustomCommandType<Value>;
/** Declares a command whose values travel as JSON, as a zod schema has them. */
export function defineCommand<Value>(
  name: string,
  shape: ZodType<Value>,
): CustomCommandType<Value>;
/** Declares a command of one's own. */
export function defineCommand<Value>(
  name: string,
  shape: ZodType<Value> | CommandCodec<Value>,
): CustomCommandType<Value> {
  if (typeof name !== "string" || !NAME.test(name)) {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot define command ${quote(String(name))}: give a capital letter, ` +
        'then up to 61 capital letters, digits or "_"',
    );
  }
  const codec = "safeParse" in shape ? jsonCodec(name, shape) : shape;
  return Object.freeze({
    name,
    parse: (text: string) => codec.parse(text),
    format: (value: Value) => codec.format(value),
  });
}

/**
 * One of the users' commands as a line, without its newline.
 *
 * @param command The command.
 * @throws {HeadwaterError} `LINE_INVALID` if a name holds a space, or the text a newline.
 */
export function formatCustom(
  { name, from, to, text }: Omit<CustomCommand, "kind">,
): string {
  requireField(from, "an instance");
  if (to !== undefined) requireField(to, "an instance");
  if (text.includes("\n")) {
    throw new HeadwaterError(
      "LINE_INVALID",
      `Cannot send command ${name}: ${quote(text)} holds a newline; ` +
        "write values as one line",
    );
  }
  return `${PREFIX}${name} ${from} ${to ?? EVERYBODY} ${text}`;
}

/** Whether a name on the wire is that of a command of the users' own. */
export function isCustomName(name: string): boolean {
  return name.startsWith(PREFIX) && NAME.test(name.slice(PREFIX.length));
}

/** Reads what follows the name. */
export function parseCustomRest(
  wireName: string,
  rest: string,
  line: string,
): CustomCommand {
  const [from, to, text] = splitFields(rest, 3);
  if (!from || !isField(from) || !to || !isField(to) || text === undefined) {
    throw invalidLine(line, `${wireName} has three fields`);
  }
  return {
    kind: "CUSTOM",
    name: wireName.slice(PREFIX.length),
    from,
    to: to === EVERYBODY ? undefined : to,
    text,
  };
}

function jsonCodec<Value>(
  name: string,
  schema: ZodType<Value>,
): CommandCodec<Value> {
  return {
    parse(text) {
      const checked = askSchema(
        () => `take command ${name}`,
        schema,
        JSON.parse(text),
      );
      if (checked.success) return checked.data;
      throw checked.error;
    },
    format(value) {
      const checked = askSchema(() => `send command ${name}`, schema, value);
      if (!checked.success) {
        throw new HeadwaterError(
          "INVALID_ARGUMENT",
          `Cannot send command ${name}: ${checked.error.message}; ` +
            "give what its schema asks for",
          { cause: checked.error },
        );
      }
      requireJson(checked.data, `command ${name}`);
      return encodeJson(checked.data);
    },
  };
}

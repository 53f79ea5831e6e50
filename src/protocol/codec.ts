/**
 * Commands as lines, and lines as commands.
 *
 * @module
 */

import { HeadwaterError, quote } from "../runtime/errors.ts";
import type {
  Command,
  CommandKind,
  CommandMap,
  Dialect,
  Side,
} from "./command.ts";
import { COMMANDS, isCommandKind } from "./command_table.ts";
import {
  type CustomCommand,
  isCustomName,
  parseCustomRest,
} from "./custom_command.ts";
import { invalidLine } from "./fields.ts";
import { parseRdata } from "./rdata.ts";

export { formatRdataPrefix } from "./rdata.ts";

const RDATA = "RDATA ";

/**
 * A command as a line, without its newline.
 *
 * @param command The command. None of its texts may hold a newline.
 * @param dialect The form of commands that have two; `"tcp"` by default.
 * @throws {HeadwaterError} `LINE_INVALID` if a text holds a newline, or a space
 *   where fields end at one.
 *
 * @example Usage
 * ```ts
 * import { equal } from "node:assert/strict";
 * import { formatCommand } from "headwater/protocol";
 *
 * equal(formatCommand({ kind: "PING", text: "1700000000000" }), "PING 1700000000000");
 * ```
 */
export function formatCommand(
  command: Command,
  dialect: Dialect = "tcp",
): string {
  // The space is part of it, even if nothing follows: that's how Synapse sends it.
  return requireLine(
    `${command.kind} ${format(command.kind, command, dialect)}`,
  );
}

/**
 * A line as a command.
 *
 * @param line The line, without its newline; a `\r` at its end is dropped.
 * @returns The command, one of the table or one that users have made their own;
 *   `undefined` for a blank line.
 * @throws {HeadwaterError} `LINE_INVALID`, quoting the line, if it is none that is known.
 *
 * @example Usage
 * ```ts
 * import { deepEqual } from "node:assert/strict";
 * import { parseCommand } from "headwater/protocol";
 *
 * deepEqual(parseCommand("REMOTE_SERVER_UP example.org"), {
 *   kind: "REMOTE_SERVER_UP",
 *   serverName: "example.org",
 * });
 * ```
 */
export function parseCommand(
  line: string,
): Command | CustomCommand | undefined {
  const text = line.endsWith("\r") ? line.slice(0, -1) : line;
  if (text.startsWith(RDATA)) return parseRdata(text.slice(RDATA.length), line);
  if (text.trim() === "") return undefined;
  const space = text.indexOf(" ");
  const name = space < 0 ? text : text.slice(0, space);
  const rest = space < 0 ? "" : text.slice(space + 1);
  if (isCommandKind(name)) return COMMANDS[name].parse(rest, line);
  if (isCustomName(name)) return parseCustomRest(name, rest, line);
  throw invalidLine(line, "unknown command");
}

/**
 * Whether a side of a connection may send a command. Everybody may send
 * everything on a shared channel.
 *
 * @param kind The command's name.
 * @param side The end that sends it.
 */
export function maySend(kind: CommandKind, side: Side): boolean {
  const { senders } = COMMANDS[kind];
  return senders === "both" || senders === side;
}

/**
 * Whether those that speak a dialect know a command. Headwater's own ends know
 * all of them.
 *
 * @param kind The command's name.
 * @param dialect What they speak.
 */
export function isKnownIn(kind: CommandKind, dialect: Dialect): boolean {
  return dialect === "current" || COMMANDS[kind].since !== "current";
}

/**
 * What is answered to a command that a side may not send.
 *
 * @param name The command's name.
 */
export function wrongDirection(name: string): HeadwaterError {
  return new HeadwaterError("LINE_INVALID", `invalid command: ${name}`);
}

/** Passes a line through that is one. */
function requireLine(line: string): string {
  if (!line.includes("\n")) return line;
  throw new HeadwaterError(
    "LINE_INVALID",
    `Cannot send ${quote(line)}: it holds a newline; send one line a command`,
  );
}

function format<Kind extends CommandKind>(
  kind: Kind,
  command: CommandMap[Kind],
  dialect: Dialect,
): string {
  return COMMANDS[kind].format(command, dialect);
}

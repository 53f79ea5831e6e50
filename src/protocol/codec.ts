/**
 * Commands as lines, and lines as commands.
 *
 * @module
 */

import { HeadwaterError, quote } from "../runtime/errors.ts";
import type { Token } from "../tokens/token.ts";
import type { Command } from "./command.ts";

/** What stands for the token in every row of a batch but the last. */
const BATCH = "batch";

/**
 * A command as a line, without its newline.
 *
 * @param command The command. None of its texts may hold a newline.
 * @throws {HeadwaterError} `LINE_INVALID` if one does.
 */
export function formatCommand(command: Command): string {
  const line = format(command);
  if (line.includes("\n")) {
    throw new HeadwaterError(
      "LINE_INVALID",
      `Cannot send ${quote(line)}: it holds a newline; send one line a command`,
    );
  }
  return line;
}

function format(command: Command): string {
  switch (command.kind) {
    case "RDATA":
      return formatRdataPrefix(
        command.stream,
        command.instance,
        command.token,
      ) +
        command.row;
    case "POSITION":
      return `POSITION ${command.stream} ${command.instance} ${command.previous} ${command.token}`;
    case "ERROR":
    case "PING":
      return `${command.kind} ${command.text}`;
    case "NAME":
    case "SERVER":
      return `${command.kind} ${command.name}`;
    case "REPLICATE":
      // The space is part of it: that's how Synapse sends it.
      return "REPLICATE ";
  }
}

/**
 * What stands before the row in an RDATA line.
 *
 * @param stream The row's stream.
 * @param instance Who wrote it.
 * @param token The transaction's token; `undefined` if more rows of the batch follow.
 */
export function formatRdataPrefix(
  stream: string,
  instance: string,
  token: Token | undefined,
): string {
  return `RDATA ${stream} ${instance} ${token ?? BATCH} `;
}

/**
 * A line as a command.
 *
 * @param line The line, without its newline; a `\r` at its end is dropped.
 * @returns The command; `undefined` for a blank line.
 * @throws {HeadwaterError} `LINE_INVALID`, quoting the line, if it is none that is known.
 */
export function parseCommand(line: string): Command | undefined {
  const text = line.endsWith("\r") ? line.slice(0, -1) : line;
  if (text.trim() === "") return undefined;
  const space = text.indexOf(" ");
  const name = space < 0 ? text : text.slice(0, space);
  const rest = space < 0 ? "" : text.slice(space + 1);
  switch (name) {
    case "RDATA":
      return parseRdata(rest, line);
    case "POSITION":
      return parsePosition(rest, line);
    case "ERROR":
    case "PING":
      return { kind: name, text: rest };
    case "NAME":
    case "SERVER":
      return { kind: name, name: rest };
    case "REPLICATE":
      return { kind: "REPLICATE" };
    default:
      throw invalid(line, "unknown command");
  }
}

function parseRdata(rest: string, line: string): Command {
  const [stream, instance, token, row] = splitFields(rest, 4);
  if (!stream || !instance || !token || row === undefined) {
    throw invalid(line, "RDATA has four fields");
  }
  try {
    JSON.parse(row);
  } catch {
    throw invalid(line, "the row is not JSON");
  }
  return {
    kind: "RDATA",
    stream,
    instance,
    token: token === BATCH ? undefined : parseTokenField(token, line),
    row,
  };
}

function parsePosition(rest: string, line: string): Command {
  const [stream, instance, first, second, ...more] = rest.split(" ");
  if (!stream || !instance || !first || more.length > 0) {
    throw invalid(line, "POSITION has four fields");
  }
  const previous = parseTokenField(first, line);
  // Before Synapse 1.22 there was one token, which stands for both.
  const token = second === undefined ? previous : parseTokenField(second, line);
  return { kind: "POSITION", stream, instance, previous, token };
}

function parseTokenField(text: string, line: string): Token {
  const token = Number(text);
  if (!/^[0-9]+$/.test(text) || !Number.isSafeInteger(token)) {
    throw invalid(line, `${quote(text)} is not a token`);
  }
  return token as Token;
}

/** Splits at the first `count - 1` spaces; the last field may hold more of them. */
function splitFields(text: string, count: number): string[] {
  const fields: string[] = [];
  let start = 0;
  while (fields.length < count - 1) {
    const space = text.indexOf(" ", start);
    if (space < 0) break;
    fields.push(text.slice(start, space));
    start = space + 1;
  }
  fields.push(text.slice(start));
  return fields;
}

function invalid(line: string, reason: string): HeadwaterError {
  return new HeadwaterError(
    "LINE_INVALID",
    `failed to parse line: ${reason} (${quote(line)})`,
  );
}

/**
 * The parts of a line: what stands between its spaces.
 *
 * @module
 */

import { HeadwaterError, quote } from "../runtime/errors.ts";
import type { Token } from "../tokens/token.ts";

/**
 * Splits at the first `count - 1` spaces; the last field may hold more of them.
 *
 * @param text What stands after the command's name.
 * @param count How many fields there are at most.
 */
export function splitFields(text: string, count: number): string[] {
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

/** A field as a token. */
export function parseTokenField(text: string, line: string): Token {
  const token = Number(text);
  if (!/^[0-9]+$/.test(text) || !Number.isSafeInteger(token)) {
    throw invalidLine(line, `${quote(text)} is not a token`);
  }
  return token as Token;
}

/** A field as a time in ms. */
export function parseMsField(text: string, line: string): number {
  const ms = Number(text);
  if (!/^-?[0-9]+$/.test(text) || !Number.isSafeInteger(ms)) {
    throw invalidLine(line, `${quote(text)} is not a number of ms`);
  }
  return ms;
}

/** A field as JSON. */
export function parseJsonField(
  text: string,
  line: string,
  what: string,
): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalidLine(line, `${what} is not JSON`);
  }
}

/**
 * Whether a text can stand between two spaces. What is taken as a field can be
 * sent on as one.
 */
export function isField(text: string): boolean {
  return /^[^ \r\n]+$/.test(text);
}

/**
 * Refuses a text that can't stand between two spaces.
 *
 * @param text The text.
 * @param what What it is, for the error: `a user id`.
 * @returns The same text.
 * @throws {HeadwaterError} `LINE_INVALID` if it is empty, or holds a space or an end of line.
 */
export function requireField(text: string, what: string): string {
  if (isField(text)) return text;
  throw new HeadwaterError(
    "LINE_INVALID",
    `Cannot send ${quote(String(text))} as ${what}: it is empty, or holds a ` +
      "space or a newline; fields stand between spaces",
  );
}

/** Whether a value is a number that JSON can carry: it reads 1e999 as Infinity. */
export function isNumber(value: unknown): value is number {
  return Number.isFinite(value);
}

/**
 * What is said of a line that can't be read. It quotes the line, whatever it holds.
 *
 * @param line The line.
 * @param reason What is wrong with it.
 */
export function invalidLine(line: string, reason: string): HeadwaterError {
  return new HeadwaterError(
    "LINE_INVALID",
    `failed to parse line: ${reason} (${quote(line)})`,
  );
}

/**
 * A text without what stands in a USER_IP line that it quotes. Who sent the
 * line may see its access token quoted; logs are read by others.
 *
 * @param text What is to be logged: an error, or what a peer says of one.
 */
export function withoutToken(text: string): string {
  return text.replace(/USER_IP\W.*/s, "USER_IP …");
}

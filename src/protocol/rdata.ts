/**
 * RDATA lines: nearly all that is ever sent.
 *
 * @module
 */

import type { Token } from "../tokens/token.ts";
import type { RdataCommand } from "./command.ts";
import { invalidLine, parseJsonField, parseTokenField } from "./fields.ts";

/** What stands for the token in every row of a batch but the last. */
export const BATCH = "batch";

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
 * A batch as lines, each with its newline.
 *
 * @param stream The rows' stream.
 * @param instance Who wrote them.
 * @param token The transaction's token.
 * @param rows The rows as JSON; one at least.
 */
export function formatRdataLines(
  stream: string,
  instance: string,
  token: Token,
  rows: readonly string[],
): string {
  const last = rows.length - 1;
  const lastLine = formatRdataPrefix(stream, instance, token) + rows[last];
  if (last === 0) return `${lastLine}\n`;
  const prefix = formatRdataPrefix(stream, instance, undefined);
  return `${prefix}${rows.slice(0, last).join(`\n${prefix}`)}\n${lastLine}\n`;
}

/** A POSITION as a line, with its newline. */
export function formatPositionLine(
  stream: string,
  instance: string,
  previous: Token,
  token: Token,
): string {
  return `POSITION ${stream} ${instance} ${previous} ${token}\n`;
}

/** What follows `RDATA `. Of all lines these are by far the most: nothing is made but the fields. */
export function parseRdata(rest: string, line: string): RdataCommand {
  const first = rest.indexOf(" ");
  const second = rest.indexOf(" ", first + 1);
  const third = rest.indexOf(" ", second + 1);
  const isComplete = first > 0 && second > first + 1 && third > second + 1;
  if (!isComplete) throw invalidLine(line, "RDATA has four fields");
  const token = rest.slice(second + 1, third);
  const row = rest.slice(third + 1);
  parseJsonField(row, line, "the row");
  return {
    kind: "RDATA",
    stream: rest.slice(0, first),
    instance: rest.slice(first + 1, second),
    token: token === BATCH ? undefined : parseTokenField(token, line),
    row,
  };
}

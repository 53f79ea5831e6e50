/**
 * What to do about lines that are longer than an end of a connection takes:
 * neither end tells the other its bound, so that both say which option it is.
 *
 * @module
 */

import { HeadwaterError } from "../runtime/errors.ts";

/** Which end says it: one that reads, a relay among them, or a writer. */
export type LineEnd = "reader" | "writer";

/** How an ERROR begins that tells of a line that was too long. */
const TOO_LONG = /^(?:Line|Message) length exceeded/;

const REMEDIES: Readonly<Record<LineEnd, string>> = {
  reader: "give this process a maxLineBytes that is not less than its writer's",
  writer: "give readers and relays a maxLineBytes that is not more than this " +
    "writer's, or raise this one",
};

const ANSWERS: Readonly<Record<LineEnd, string>> = {
  reader: "give this process a maxLineBytes that is not more than its " +
    "writer's (16384 if it is synapseCompatible), or raise that",
  writer: "give that reader a maxLineBytes that is not less than this writer's",
};

/**
 * For logs, beside an error: what to do about a line that this end can't take.
 *
 * @param error Whatever ended the connection.
 * @param end Which end this is.
 * @returns No fields, if it is about something else.
 */
export function remedyFor(
  error: unknown,
  end: LineEnd,
): { readonly remedy?: string } {
  const isOurs = error instanceof HeadwaterError &&
    error.code === "LINE_TOO_LONG";
  return isOurs ? { remedy: REMEDIES[end] } : {};
}

/**
 * Likewise, of an ERROR that the other end has said.
 *
 * @param text What it said.
 * @param end Which end this is.
 */
export function remedyForAnswer(
  text: string,
  end: LineEnd,
): { readonly remedy?: string } {
  return TOO_LONG.test(text) ? { remedy: ANSWERS[end] } : {};
}

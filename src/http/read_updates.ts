/**
 * What a stream has had between two tokens, for those who ask over HTTP.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";
import { readFloorOf } from "../log/history.ts";
import { readLogPage } from "../log/read.ts";
import { toRows } from "../protocol/logged_rows.ts";
import { encodeJson } from "../runtime/json.ts";
import { UPDATES_PAGE_ROWS } from "../runtime/limits.ts";
import type { StreamRegistry } from "../streams/stream_registry.ts";
import type { WireNames } from "../streams/wire_names.ts";
import { type Token, TOKEN_ZERO } from "../tokens/token.ts";

/** Rows that a writer holds in memory. */
export interface HeldRows {
  /** Rows up to here may be gone. */
  readonly floor: Token;
  /** Reads `after < token <= upTo`; everything, if `after` is beyond its end. */
  read(after: Token, upTo: Token, limit: number): UpdatesPage;
}

/** Rows between two tokens, as JSON. */
export interface UpdatesPage {
  readonly rows: readonly (readonly [token: Token, row: string])[];
  readonly upTo: Token;
  readonly isLimited: boolean;
}

/** Where updates are read from. */
export interface UpdatesSource {
  readonly instance: string;
  /** Stands for the writer's life: ephemeral streams' tokens are of this one. */
  readonly run: string;
  readonly session: Session;
  /** How far the instance has written. */
  readonly position: () => Token;
  readonly streams: StreamRegistry;
  readonly wireNames: WireNames;
  /** The streams that are in memory. */
  readonly held: ReadonlyMap<string, HeldRows>;
}

/** An answer: its body is the wire's, the rest is for readers of our own. */
export interface Updates {
  readonly body: string;
  /** Rows up to here may be missing. */
  readonly floor: Token;
}

/**
 * Reads `after < token <= upTo` of a stream of this instance, about a hundred
 * rows; a token is never split.
 *
 * @param name The stream's name on the wire.
 * @returns `undefined` if there is no such stream.
 */
export async function readUpdates(
  source: UpdatesSource,
  name: string,
  after: Token,
  upTo: Token,
): Promise<Updates | undefined> {
  const stream = source.wireNames.fromWire(name);
  if (!source.streams.has(stream)) return undefined;
  const held = source.held.get(stream);
  if (held !== undefined) {
    const page = held.read(after, upTo, UPDATES_PAGE_ROWS);
    return { body: formatPage(page), floor: held.floor };
  }
  // First: what is deleted from now on was read, or is above it.
  const page = await readDurable(source, stream, after, upTo);
  const floor = await readFloorOf(source.session, stream);
  return { body: formatPage(page), floor };
}

async function readDurable(
  { session, instance, position }: UpdatesSource,
  stream: string,
  after: Token,
  upTo: Token,
): Promise<UpdatesPage> {
  const last = position();
  // What is not written yet can't be said to be contained.
  const end = upTo < last ? upTo : last;
  if (after >= end) return { rows: [], upTo: end, isLimited: false };
  const range = { instance, stream, after, upTo: end };
  const page = await readLogPage(session, range, UPDATES_PAGE_ROWS);
  const rows: (readonly [Token, string])[] = [];
  let reached = after;
  for (const { token, lines } of page.records) {
    for (const row of toRows(stream, lines)) rows.push([token, row]);
    reached = token;
    if (rows.length < UPDATES_PAGE_ROWS) continue;
    return { rows, upTo: reached, isLimited: reached < end };
  }
  return { rows, upTo: page.upTo, isLimited: page.isLimited };
}

/** Rows are put in as they are: they were JSON when they were written. */
function formatPage({ rows, upTo, isLimited }: UpdatesPage): string {
  const updates = rows.map(([token, row]) => `[${token},${row}]`).join(",");
  return `{"updates":[${updates}],"upto_token":${upTo},"limited":${isLimited}}`;
}

/** A token of a request; what is below the first is taken for 0. */
export function parseTokenParameter(
  text: string | undefined,
): Token | undefined {
  if (text === undefined || !/^-?[0-9]{1,16}$/.test(text)) return undefined;
  const value = Number(text);
  if (!Number.isSafeInteger(value)) return undefined;
  return value < 0 ? TOKEN_ZERO : value as Token;
}

/** An error's body, as Matrix servers have it; `code` is our own. */
export function formatError(
  errcode: string,
  code: string,
  error: string,
  data?: Readonly<Record<string, unknown>>,
): string {
  return encodeJson({ errcode, error, code, data });
}

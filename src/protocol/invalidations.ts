/**
 * Many invalidations as one text: in the log, and as one line between
 * Headwater's own ends.
 *
 * A row of the `caches` stream costs a line, a prefix and a time of its own.
 * Here the keys of one cache follow each other, and one `JSON.parse` reads them
 * all. Everybody else is sent rows.
 *
 * @module
 */

import { encodeJson } from "../runtime/json.ts";
import { COMPACT_LINE_BYTES } from "../runtime/limits.ts";
import type { CachesRow, KeyPart } from "../streams/builtin_streams.ts";
import type { Token } from "../tokens/token.ts";
import { isPlain } from "./caches_row.ts";
import type {
  InvalidateCommand,
  InvalidatedKey,
  InvalidationRun,
} from "./command.ts";
import {
  invalidLine,
  isNumber,
  parseJsonField,
  parseTokenField,
} from "./fields.ts";
import { BATCH } from "./rdata.ts";

/** A key, as a run has it. */
export function toInvalidatedKey(
  key: readonly KeyPart[] | null,
): InvalidatedKey {
  const single = key?.length === 1 ? key[0] : null;
  // A copy: its owner may use the array again.
  return single ?? (key && [...key]);
}

/** A run's key as an argument list; `null` is the whole cache. */
export function toCachesKey(key: InvalidatedKey): KeyPart[] | null {
  return typeof key === "object" ? key : [key];
}

/** How many rows they are. */
export function countInvalidations(runs: readonly InvalidationRun[]): number {
  let count = 0;
  for (const { keys } of runs) count += keys.length;
  return count;
}

/** The rows of the `caches` stream that they stand for. */
export function toCachesRows(runs: readonly InvalidationRun[]): CachesRow[] {
  return runs.flatMap(({ name, ms, keys }) =>
    keys.map((key): CachesRow => [name, toCachesKey(key), ms])
  );
}

/** Runs as JSON on one line of ASCII: `["name",ms,[key,…],…]`. */
export function formatRuns(runs: readonly InvalidationRun[]): string {
  const only = runs.length === 1 ? runs[0] : undefined;
  if (only === undefined) {
    return encodeJson(runs.flatMap(({ name, ms, keys }) => [name, ms, keys]));
  }
  const { name, ms, keys } = only;
  const key = keys.length === 1 ? keys[0] : undefined;
  if (typeof key === "string" && isPlain(key) && isPlain(name)) {
    return `["${name}",${ms},["${key}"]]`;
  }
  return encodeJson([name, ms, keys]);
}

/** What {@linkcode formatRuns} has made; `undefined` for any other text. */
export function readRuns(text: string): InvalidationRun[] | undefined {
  try {
    return toRuns(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** What follows `INVALIDATE `. */
export function formatInvalidate(
  { instance, token, runs }: Omit<InvalidateCommand, "kind">,
): string {
  return `${instance} ${token ?? BATCH} ${formatRuns(runs)}`;
}

/**
 * A transaction's invalidations as lines, each with its newline: one, unless it
 * would be too long. A single key may take more, but never more than its RDATA
 * line would.
 *
 * @param instance Who wrote them.
 * @param token The transaction's token; `undefined` for a part that others follow.
 * @param runs What is invalidated; one key at least.
 * @param text What {@linkcode formatRuns} makes of them, where that is known.
 */
export function formatInvalidateLines(
  instance: string,
  token: Token | undefined,
  runs: readonly InvalidationRun[],
  text?: string,
): string {
  const count = countInvalidations(runs);
  if (count <= MAX_LINE_KEYS) {
    const json = text ?? formatRuns(runs);
    const line = `INVALIDATE ${instance} ${token ?? BATCH} ${json}`;
    if (line.length <= COMPACT_LINE_BYTES || count === 1) return `${line}\n`;
  }
  const parts = cut(runs, Math.min(MAX_LINE_KEYS, Math.ceil(count / 2)));
  const last = parts.length - 1;
  return parts.map((part, index) =>
    formatInvalidateLines(instance, index === last ? token : undefined, part)
  ).join("");
}

/**
 * Reads what follows `INVALIDATE `.
 *
 * @throws {HeadwaterError} `LINE_INVALID`.
 */
export function parseInvalidate(rest: string, line: string): InvalidateCommand {
  const first = rest.indexOf(" ");
  const second = rest.indexOf(" ", first + 1);
  if (first <= 0 || second <= first + 1) {
    throw invalidLine(line, "INVALIDATE has three fields");
  }
  const token = rest.slice(first + 1, second);
  const json = parseJsonField(rest.slice(second + 1), line, "the third field");
  return {
    kind: "INVALIDATE",
    instance: rest.slice(0, first),
    token: token === BATCH ? undefined : parseTokenField(token, line),
    runs: requireRuns(json, line),
  };
}

/** Keys of which one line is worth: nearly all of these fit. */
const MAX_LINE_KEYS = 256;

/** Cuts into parts of so many keys; the last may have fewer. */
function cut(
  runs: readonly InvalidationRun[],
  size: number,
): InvalidationRun[][] {
  const parts: InvalidationRun[][] = [];
  let part: InvalidationRun[] = [];
  let room = size;
  for (const { name, ms, keys } of runs) {
    for (let start = 0; start < keys.length;) {
      const taken = keys.slice(start, start + room);
      part.push({ name, ms, keys: taken });
      start += taken.length;
      room -= taken.length;
      if (room > 0) continue;
      parts.push(part);
      part = [];
      room = size;
    }
  }
  if (part.length > 0) parts.push(part);
  return parts;
}

function requireRuns(json: unknown, line: string): InvalidationRun[] {
  const runs = toRuns(json);
  if (runs !== undefined) return runs;
  throw invalidLine(
    line,
    "the third field is not a list of names, times and keys",
  );
}

function toRuns(json: unknown): InvalidationRun[] | undefined {
  if (!Array.isArray(json) || json.length === 0 || json.length % 3 !== 0) {
    return undefined;
  }
  const runs: InvalidationRun[] = [];
  for (let index = 0; index < json.length; index += 3) {
    const name: unknown = json[index];
    const ms: unknown = json[index + 1];
    const keys: unknown = json[index + 2];
    if (typeof name !== "string" || !isNumber(ms) || !areKeys(keys)) {
      return undefined;
    }
    runs.push({ name, ms, keys });
  }
  return runs;
}

function areKeys(keys: unknown): keys is InvalidatedKey[] {
  if (!Array.isArray(keys) || keys.length === 0) return false;
  for (let index = 0; index < keys.length; index += 1) {
    const key: unknown = keys[index];
    if (typeof key === "string" || isKeyPart(key)) continue;
    if (!Array.isArray(key) || !key.every(isKeyPart)) return false;
  }
  return true;
}

function isKeyPart(part: unknown): part is KeyPart {
  return typeof part !== "object" || part === null;
}

/**
 * Rows of the `caches` stream, made and read without a detour.
 *
 * @module
 */

import { encodeJson } from "../runtime/json.ts";
import type { CachesRow, KeyPart } from "../streams/builtin_streams.ts";

/** Takes what a row says: a key of one part, or anything else. */
export interface InvalidationSink {
  /** A key of one part. */
  applyOne(name: string, part: KeyPart): void;
  /** Any other key; `null` is the whole cache. */
  apply(name: string, key: readonly KeyPart[] | null): void;
}

const PLAIN = /^[ !#-[\]-~]*$/;

/** Whether JSON, and the wire, have a text as it is: ASCII without `"`, `\` and controls. */
export function isPlain(text: string): boolean {
  return PLAIN.test(text);
}

/**
 * An invalidation as a row.
 *
 * Nearly every key is one plain text or number; its row is put together in half
 * the time of `JSON.stringify`. Any other goes the long way.
 *
 * @param name A cache's name, or a group's.
 * @param key The argument list; `null` is the whole cache.
 * @param ms The time on the writer's clock.
 * @returns The row, as JSON on one line of ASCII.
 */
export function formatCachesRow(
  name: string,
  key: readonly KeyPart[] | null,
  ms: number,
): string {
  const part = key?.length === 1 ? key[0] : undefined;
  if (isPlain(name)) {
    if (typeof part === "string" && isPlain(part)) {
      return `["${name}",["${part}"],${ms}]`;
    }
    if (Number.isSafeInteger(part)) return `["${name}",[${part}],${ms}]`;
  }
  return encodeJson([name, key, ms]);
}

/**
 * Reads a row into a sink.
 *
 * Nearly every row is `["name",["key"],123]` without an escape; that form is
 * cut up in half the time of `JSON.parse`. Any other goes the long way.
 *
 * @param row The row, as JSON.
 * @param sink Is told of the invalidation.
 * @returns Whether the row was one of the `caches` stream.
 */
export function readCachesRow(row: string, sink: InvalidationSink): boolean {
  // ["  name  ","[  "  ...
  const nameEnd = row.indexOf('"', 2);
  if (
    nameEnd > 0 && row.startsWith('["') && row.startsWith('",["', nameEnd)
  ) {
    const keyStart = nameEnd + 4;
    const keyEnd = row.indexOf('"', keyStart);
    if (
      keyEnd >= 0 && row.startsWith('"],', keyEnd) && !row.includes("\\")
    ) {
      sink.applyOne(row.slice(2, nameEnd), row.slice(keyStart, keyEnd));
      return true;
    }
  }
  return readAnyCachesRow(row, sink);
}

function readAnyCachesRow(row: string, sink: InvalidationSink): boolean {
  let parsed: unknown;
  try {
    parsed = JSON.parse(row);
  } catch {
    return false;
  }
  if (!Array.isArray(parsed)) return false;
  const [name, key] = parsed as Partial<CachesRow>;
  if (typeof name !== "string") return false;
  if (key !== null && !Array.isArray(key)) return false;
  sink.apply(name, key);
  return true;
}

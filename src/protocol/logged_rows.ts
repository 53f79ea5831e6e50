/**
 * Rows, from the lines that the log has of them.
 *
 * @module
 */

import { cachesStream } from "../streams/builtin_streams.ts";
import { formatCachesRow } from "./caches_row.ts";
import type { InvalidationRun } from "./command.ts";
import { readRuns, toCachesKey } from "./invalidations.ts";

/** The rows of the `caches` stream that runs stand for, as JSON. */
export function formatCachesRows(runs: readonly InvalidationRun[]): string[] {
  return runs.flatMap(({ name, ms, keys }) =>
    keys.map((key) => formatCachesRow(name, toCachesKey(key), ms))
  );
}

/**
 * A record's rows, as JSON: its lines, but for those of the `caches` stream,
 * each of which may stand for many.
 *
 * @param stream The record's stream.
 * @param lines The lines of its body.
 */
export function toRows(
  stream: string,
  lines: readonly string[],
): readonly string[] {
  if (stream !== cachesStream.name) return lines;
  return lines.flatMap((line) => {
    const runs = readRuns(line);
    return runs === undefined ? [line] : formatCachesRows(runs);
  });
}

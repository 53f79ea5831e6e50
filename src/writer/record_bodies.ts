/**
 * What a transaction's records hold.
 *
 * @module
 */

import { ROW_SEPARATOR } from "../log/log_schema.ts";
import type { RecordBody } from "../log/record.ts";
import type { InvalidationRun } from "../protocol/command.ts";
import { countInvalidations, formatRuns } from "../protocol/invalidations.ts";
import { CACHES_STREAM } from "../replication/transaction.ts";

/**
 * The records' bodies, by stream.
 *
 * Invalidations are written as the wire's short form has them, which is then
 * made once: a third of the bytes that their rows would take.
 */
export function toBodies(
  rows: ReadonlyMap<string, readonly string[]>,
  invalidations: readonly InvalidationRun[],
): ReadonlyMap<string, RecordBody> {
  const bodies = new Map<string, RecordBody>();
  if (invalidations.length > 0) {
    const rowCount = countInvalidations(invalidations);
    bodies.set(CACHES_STREAM, { rowCount, body: formatRuns(invalidations) });
  }
  for (const [stream, lines] of rows) {
    const body = lines.length === 1
      ? lines[0] as string
      : lines.join(ROW_SEPARATOR);
    bodies.set(stream, { rowCount: lines.length, body });
  }
  return bodies;
}

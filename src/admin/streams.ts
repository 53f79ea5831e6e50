/**
 * The streams that a log has.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";
import { EVENTS_STREAM, NO_STREAM } from "../log/log_schema.ts";

// What retention has left nothing of was there as well.
const READ_STREAMS = `SELECT stream FROM headwater_log GROUP BY stream
  UNION SELECT stream FROM headwater_retained`;

/** The built-in streams, then those that have or had rows, by name. */
export async function readStreams(session: Session): Promise<string[]> {
  const builtin = ["caches", EVENTS_STREAM];
  const found = await session.rows(READ_STREAMS, []);
  const own = found.map(([stream]) => String(stream)).filter((stream) =>
    stream !== NO_STREAM && !builtin.includes(stream)
  );
  return [...builtin, ...own.sort()];
}

/**
 * Streams that are named on the command line.
 *
 * @module
 */

import { HeadwaterError } from "../../mod.ts";
import type { Admin } from "../admin/mod.ts";

/**
 * Refuses a stream that a log has never had. To be called where nothing was
 * found of it: the whole log is looked through.
 *
 * @throws {HeadwaterError} `INVALID_ARGUMENT`, with those that there are.
 */
export async function requireStream(
  action: string,
  admin: Admin,
  stream: string,
): Promise<void> {
  const known = await admin.streams();
  if (known.includes(stream)) return;
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot ${action} stream ${
      JSON.stringify(stream)
    }: the log has no rows of ` +
      `it; its streams are ${known.join(", ")}`,
  );
}

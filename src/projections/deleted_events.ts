/**
 * Promise 6: what can't be had any more is told of, not stepped over.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";
import { readFloorOf } from "../log/history.ts";
import { EVENTS_STREAM } from "../log/log_schema.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import { type Token, TOKEN_ZERO } from "../tokens/token.ts";

/**
 * Makes sure that what was read before lacks nothing: retention notes what it
 * deletes, in the same transaction.
 *
 * @param session Where to look.
 * @param name The projection.
 * @param after The token beyond which events are needed.
 * @throws {HeadwaterError} `EVENTS_DELETED`.
 */
export async function requireEvents(
  session: Session,
  name: string,
  after: Token,
): Promise<void> {
  const floor = await readFloorOf(session, EVENTS_STREAM);
  if (floor <= after) return;
  throw new HeadwaterError(
    "EVENTS_DELETED",
    `Cannot run projection "${name}": it has come to token ${after}, and ` +
      `events up to ${floor} were deleted; keep events for ever, or start it ` +
      "anew under another name",
  );
}

/** Makes sure that a projection can be made from the beginning. */
export async function requireAllEvents(
  session: Session,
  name: string,
): Promise<void> {
  const floor = await readFloorOf(session, EVENTS_STREAM);
  if (floor === TOKEN_ZERO) return;
  throw new HeadwaterError(
    "EVENTS_DELETED",
    `Cannot rebuild projection "${name}": events up to token ${floor} were ` +
      "deleted, so that it can't be made from the beginning; keep events for " +
      "ever",
  );
}

/** Whether that is what went wrong. */
export function isDeleted(error: unknown): boolean {
  return error instanceof HeadwaterError && error.code === "EVENTS_DELETED";
}

/**
 * When a transaction is run again, and what is said once that was in vain.
 *
 * @module
 */

import { SharedRollbackError } from "../database/commit_group.ts";
import { CommitUnknownError } from "../database/postgres_errors.ts";
import { type RetryReason, retryReason } from "../database/retry.ts";
import { HeadwaterError, messageOf } from "../runtime/errors.ts";

/** The pause before the first repetition, in ms, where another was in the way. */
export const CONFLICT_PAUSE_MS = 5;

/** The longest pause before a transaction is run again, however often it was. */
export const MAX_RETRY_PAUSE_MS = 5_000;

/** What says so itself is left as it is: DATABASE_UNAVAILABLE, COMMIT_UNKNOWN. */
export function inVain(
  name: string,
  reason: RetryReason,
  attempts: number,
  error: unknown,
): unknown {
  const cause = error instanceof SharedRollbackError ? error.cause : error;
  if (reason !== "conflict" || cause instanceof HeadwaterError) return error;
  return new HeadwaterError(
    "DATABASE_BUSY",
    `Cannot run "${name}": others were in its way ${attempts} ` +
      `${attempts === 1 ? "time" : "times"} (${
        messageOf(cause)
      }); try again, ` +
      "raise maxAttempts, or have it touch less",
    { cause: error },
  );
}

/** Why it may be run again; `undefined` if that would not help. */
export function reasonOf(error: unknown): RetryReason {
  // Nothing was written: it may well be run again.
  if (error instanceof CommitUnknownError) return "disconnected";
  return retryReason(error);
}

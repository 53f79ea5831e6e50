/**
 * Which failures of a transaction a second try may mend.
 *
 * @module
 */

import { SharedRollbackError } from "./commit_group.ts";
import { isConflict, isDisconnection } from "./postgres_errors.ts";
import { UndurableError } from "./sqlite_durability.ts";

/** Why a transaction may be run again; `undefined` if that would not help. */
export type RetryReason = "conflict" | "disconnected" | undefined;

/**
 * Tells what a failed transaction failed for. One whose commit may have
 * succeeded (`COMMIT_UNKNOWN`) is never run again.
 */
export function retryReason(error: unknown): RetryReason {
  // SQLite has it, or refuses all: it must not be written twice.
  if (error instanceof UndurableError) return undefined;
  if (error instanceof SharedRollbackError) return "conflict";
  if (isConflict(error)) return "conflict";
  if (isDisconnection(error)) return "disconnected";
  return undefined;
}

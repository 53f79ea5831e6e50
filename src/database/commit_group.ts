/**
 * Transactions that share one commit.
 *
 * @module
 */

import { HeadwaterError, messageOf } from "../runtime/errors.ts";
import { type Deferred, deferred } from "../runtime/waiting.ts";

/** One transaction of a group, once its function is done. */
export interface GroupMember {
  /** What the transaction is called. */
  readonly name: string;
  /** Called once it is durable. */
  readonly committed: () => void;
  /** Called if the group is rolled back. */
  readonly rolledBack: () => void;
  /** Settles with it. */
  readonly settled: Deferred<void>;
  /**
   * What it has failed with, and was taken back for. It may have seen what the
   * others wrote, so it is told once that is durable.
   */
  readonly failed?: { readonly error: unknown };
}

/** Transactions that have run, one after another, and wait for their commit. */
export interface CommitGroup {
  readonly members: GroupMember[];
  /** When it began, in monotonic ms. */
  readonly beganMs: number;
}

/** A transaction was rolled back with others that it shared a commit with. */
export class SharedRollbackError extends HeadwaterError {
  /** Made where the group's commit failed. */
  constructor(cause: unknown) {
    super(
      "DATABASE_BUSY",
      `Cannot commit together with others: ${messageOf(cause)}; try again`,
      { cause },
    );
  }
}

/** Makes a member of a group. */
export function createMember(
  name: string,
  committed: () => void,
  rolledBack: () => void,
): GroupMember {
  const settled = deferred<void>();
  // It may be rejected before anybody awaits it.
  settled.promise.catch(() => {});
  return { name, committed, rolledBack, settled };
}

/** Makes a member of which nothing is left but its error. */
export function createFailed(name: string, error: unknown): GroupMember {
  const nothing = () => {};
  return { ...createMember(name, nothing, nothing), failed: { error } };
}

/** Tells every member that the group is durable. */
export function settleGroup({ members }: CommitGroup): void {
  for (const { committed, settled, failed } of members) {
    if (failed === undefined) {
      committed();
      settled.resolve();
    } else settled.reject(failed.error);
  }
}

/**
 * Tells every member that the group is rolled back; one alone learns why.
 *
 * @param describe Puts the error in the words of whoever learns it.
 */
export function rejectGroup(
  { members }: CommitGroup,
  error: unknown,
  describe: (name: string) => unknown,
): void {
  for (const { name, rolledBack, settled } of members) {
    rolledBack();
    settled.reject(
      members.length === 1 ? describe(name) : new SharedRollbackError(error),
    );
  }
}

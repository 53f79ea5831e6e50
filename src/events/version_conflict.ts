/**
 * What version an aggregate was expected to have, and that it has another.
 *
 * @module
 */

import { HeadwaterError } from "../runtime/errors.ts";

/**
 * What version an append expects its aggregate to have: a number;
 * `"none"` for an aggregate without events; `"exists"` for one with some;
 * `"any"` for no check.
 */
export type ExpectedVersion = number | "any" | "none" | "exists";

/** An append met an aggregate at another version than its writer had seen. */
export class VersionConflictError extends HeadwaterError {
  /** The class's name, as it stands in stack traces. */
  override readonly name: string = "VersionConflictError";
  /** The aggregate. */
  readonly aggregate: string;
  /** The version that was expected. */
  readonly expectedVersion: ExpectedVersion;
  /** The version that it has. */
  readonly actualVersion: number;

  /** Made by `txn.append`. */
  constructor(
    aggregate: string,
    expectedVersion: ExpectedVersion,
    actualVersion: number,
  ) {
    super(
      "VERSION_CONFLICT",
      `Cannot append to aggregate "${aggregate}": expected version ` +
        `${expectedVersion}, but it has ${actualVersion}; read it again, and decide anew`,
    );
    this.aggregate = aggregate;
    this.expectedVersion = expectedVersion;
    this.actualVersion = actualVersion;
  }
}

/**
 * What a slaved store says once it is closed.
 *
 * @module
 */

import { HeadwaterError } from "../runtime/errors.ts";

/** The error of what a closed slaved store can't do any more. */
export function closedError(action: string): HeadwaterError {
  return new HeadwaterError(
    "CLOSED",
    `Cannot ${action}: the slaved store is closed; connect another`,
  );
}

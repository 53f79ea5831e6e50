/**
 * The address that stands for PostgreSQL's NOTIFY.
 *
 * @module
 */

import { HeadwaterError, quote } from "../runtime/errors.ts";

const NOTIFY = /^notify:(?:\/\/)?$/;
const POSTGRES = /^postgres(?:ql)?:\/\//;

/**
 * Whether an address is `notify:`: pokes through the database.
 *
 * @param address What stands in `listen` or `replicate`.
 * @param database The database that goes with it.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` if the database has no NOTIFY.
 */
export function isNotify(address: unknown, database: string): boolean {
  if (typeof address !== "string" || !NOTIFY.test(address)) return false;
  if (POSTGRES.test(database)) return true;
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot use ${quote(address)}: only PostgreSQL has NOTIFY; ` +
      "give tcp://HOST:PORT, or a postgres:// database",
  );
}

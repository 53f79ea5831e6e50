/**
 * What users' statements do, by their text and by the server's answer.
 *
 * @module
 */

import { HeadwaterError, quote } from "../runtime/errors.ts";

const ENDS_TRANSACTION =
  /^\s*(?:begin|start\s+transaction|commit|end|abort|prepare\s+transaction|rollback(?!\s+(?:transaction\s+|work\s+)?to\b))\b/i;
const READS_ONLY = /^(?:SELECT|SHOW|SET|RESET|EXPLAIN|FETCH|SAVEPOINT|RELEASE)/;
const COUNTED = /^(?:INSERT|UPDATE|DELETE|MERGE)/;

/**
 * Refuses statements that begin or end transactions.
 *
 * @throws {HeadwaterError} `INVALID_ARGUMENT`.
 */
export function requireInTransaction(sql: string): void {
  if (ENDS_TRANSACTION.test(sql)) throw controlError(sql);
}

/** Whether what the server says of a statement tells how many rows it changed. */
export function isCounted(command: string): boolean {
  return COUNTED.test(command);
}

/** Whether a statement has changed something, as far as the server says. */
export function mayHaveWritten(command: string, count: number | null): boolean {
  return isCounted(command) ? (count ?? 0) > 0 : !READS_ONLY.test(command);
}

function controlError(sql: string): HeadwaterError {
  return new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot run ${quote(sql)}: the store begins and ends transactions ` +
      "itself; give transaction() a function, and throw to roll back",
  );
}

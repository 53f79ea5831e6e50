/**
 * Which tokens may have been given.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";

/** Tells tokens that were given from those that can't have been. */
export interface Reserved {
  /** The last token that was reserved, by whomever. */
  readonly last: number;
  /** What is wrong with a token of an instance; `undefined` if nothing is. */
  findProblem(token: number, instance: string): string | undefined;
}

const READ_SEQUENCE =
  "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM headwater_tokens";

/**
 * Reads what was reserved by now.
 *
 * @param session Where to look: the log's end must have been read before.
 */
export async function readReserved(session: Session): Promise<Reserved> {
  const found = await session.rows(
    "SELECT name, last_token FROM headwater_instances",
    [],
  );
  const lastTokens = new Map(
    found.map(([name, last]) => [String(name), Number(last)]),
  );
  let last = Math.max(0, ...lastTokens.values());
  const isSequence = session.dialect === "postgres";
  if (isSequence) {
    const [row] = await session.rows(READ_SEQUENCE, []);
    last = Number(row?.[0]);
  }
  return {
    last,
    findProblem(token, instance) {
      if (!Number.isSafeInteger(token) || token < 1) {
        return "tokens are positive integers";
      }
      const reserved = lastTokens.get(instance);
      if (reserved === undefined) {
        return `instance "${instance}" has never held its name`;
      }
      if (isSequence) {
        return token <= last
          ? undefined
          : `the sequence has come to ${last} only`;
      }
      return token <= reserved
        ? undefined
        : `instance "${instance}" has reserved tokens up to ${reserved} only`;
    },
  };
}

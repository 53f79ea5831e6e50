/**
 * What the checks of a log have in common.
 *
 * @module
 */

import type { Session, SqlValue } from "../database/engine.ts";
import type { Clock } from "../runtime/clock.ts";
import type { ProblemList } from "./problems.ts";

/** What is being looked through. */
export type VerifyStep = "log" | "aggregates" | "event ids" | "snapshots";

/** How far a verification has got. */
export interface VerifyProgress {
  /** What is being looked through now. */
  readonly step: VerifyStep;
  /** Records, appends, ids or snapshots that were looked at in this step. */
  readonly checked: number;
  /** The token that was reached; `undefined` where tokens come in no order. */
  readonly token: number | undefined;
  /** The last token of the log. */
  readonly lastToken: number;
}

/** What a check works with. */
export interface CheckContext {
  readonly session: Session;
  readonly clock: Clock;
  readonly problems: ProblemList;
  /** The last token in the log as it began. */
  readonly lastToken: number;
  readonly signal: AbortSignal | undefined;
  /** Tells how far it has got. */
  readonly progress: (
    step: VerifyStep,
    checked: number,
    token?: number,
  ) => void;
}

/** Rows of a table that are read at a time. */
export const SCAN_ROWS: number = 1_000;

/**
 * Reads a query page by page: its first columns are its key, which its
 * parameters are to be greater than. Nothing is held open between pages, and
 * the event loop gets a turn.
 *
 * @param context What to read with.
 * @param sql The query, which ends with a limit of {@linkcode SCAN_ROWS}.
 * @param first A key before any.
 */
export async function* scan(
  { session, clock, signal }: CheckContext,
  sql: string,
  first: readonly SqlValue[],
): AsyncGenerator<readonly SqlValue[][]> {
  let key = first;
  while (true) {
    signal?.throwIfAborted();
    const rows = await session.rows(sql, key);
    if (rows.length > 0) yield rows;
    if (rows.length < SCAN_ROWS) return;
    key = (rows.at(-1) as SqlValue[]).slice(0, first.length);
    await new Promise<void>((resolve) => clock.nextTurn(resolve));
  }
}

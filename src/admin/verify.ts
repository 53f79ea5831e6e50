/**
 * Checking a whole log.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";
import { LAST_TOKEN } from "../log/log_key.ts";
import { EVENTS_STREAM } from "../log/log_schema.ts";
import type { Clock } from "../runtime/clock.ts";
import { type OptionNames, requireNames } from "../runtime/option_names.ts";
import { checkSnapshots, checkTold, readTold } from "./check_ahead.ts";
import type { CheckContext, VerifyProgress } from "./check_context.ts";
import { EventChecks } from "./check_events.ts";
import { RecordChecks } from "./check_records.ts";
import { checkAppends, checkEventIds } from "./check_references.ts";
import { TimeChecks } from "./check_times.ts";
import { readPages } from "./log_pages.ts";
import { type LogProblem, ProblemList } from "./problems.ts";
import { readReserved } from "./reserved.ts";
import { Tally } from "./tally.ts";

/** How a log is checked. */
export interface VerifyOptions {
  /** Is told how far it has got, every thousand records or so. */
  readonly onProgress?: ((progress: VerifyProgress) => void) | undefined;
  /** Ends it; the call then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** The names of {@linkcode VerifyOptions}. */
export const VERIFY_OPTIONS: OptionNames<VerifyOptions> = {
  onProgress: true,
  signal: true,
};

/** What a log was found to be. */
export interface Verification {
  /** Records of the log: a transaction has one for each stream. */
  readonly records: number;
  /** Tokens with records. */
  readonly transactions: number;
  /** Rows of the stream `events`. */
  readonly events: number;
  /** Aggregates that have events. */
  readonly aggregates: number;
  /** What is wrong, the lowest token first: 100 at most. */
  readonly problems: readonly LogProblem[];
  /** How much is wrong. */
  readonly problemCount: number;
}

/**
 * Checks the log, and what points at it: see {@linkcode LogCheck}.
 *
 * - Memory: some pages of the log, whatever its size.
 * - Others may write, and delete what need not be kept, meanwhile: whatever is
 *   committed before it begins is checked, what comes later may be.
 *
 * What is told of the log is read before it, and what may have been deleted
 * after it, so that neither is taken for a fault.
 */
export async function verifyLog(
  session: Session,
  clock: Clock,
  options: VerifyOptions,
): Promise<Verification> {
  requireNames("verify the log", VERIFY_OPTIONS, options);
  const { onProgress, signal } = options;
  const problems = new ProblemList();
  const told = await readTold(session);
  const times = await TimeChecks.read(session, problems);
  const [row] = await session.rows(
    `SELECT ${LAST_TOKEN[session.dialect]} FROM headwater_log`,
    [],
  );
  const lastToken = Number(row?.[0] ?? 0);
  const reserved = await readReserved(session);
  const context: CheckContext = {
    session,
    clock,
    problems,
    lastToken,
    signal,
    progress: (step, checked, token) =>
      onProgress?.({ step, checked, token, lastToken }),
  };
  const appends = new Tally();
  const eventIds = new Tally();
  const records = new RecordChecks(problems, reserved);
  const events = new EventChecks({ session, problems, appends, eventIds });
  for await (const page of readPages(session, { upTo: lastToken }, clock)) {
    signal?.throwIfAborted();
    for (const record of page) {
      const rows = records.check(record);
      if (record.stream !== EVENTS_STREAM) continue;
      times.check(record);
      if (rows !== undefined) events.add(record.token, rows);
    }
    await events.settle();
    context.progress("log", records.records, page.at(-1)?.token);
  }
  const aggregates = await checkAppends(context, appends);
  await checkEventIds(context, eventIds);
  await checkSnapshots(context);
  await checkTold(
    context,
    { ...told, times: times.end },
    records.lastTokens,
    reserved,
  );
  return {
    records: records.records,
    transactions: records.transactions,
    events: events.events,
    aggregates,
    problems: problems.kept,
    problemCount: problems.count,
  };
}

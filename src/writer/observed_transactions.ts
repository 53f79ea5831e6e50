/**
 * Transactions as they are seen from outside.
 *
 * @module
 */

import { countInvalidations } from "../protocol/invalidations.ts";
import { commits } from "../telemetry/channels.ts";
import type { SpanMaker, SpannedCommit } from "../telemetry/spans.ts";
import type { Commit } from "../tokens/position.ts";
import type {
  OwnRunOptions,
  OwnWork,
  TransactionRunner,
} from "./transaction_runner.ts";

/** Runs transactions, and tells of them where somebody wants to know. */
export class ObservedTransactions<Database> {
  readonly #runner: TransactionRunner<Database>;
  readonly #instance: string;
  readonly #spans: SpanMaker | undefined;

  /**
   * Constructs one.
   *
   * @param runner Runs them.
   * @param instance Who writes.
   * @param spans Makes spans, if somebody takes them.
   */
  constructor(
    runner: TransactionRunner<Database>,
    instance: string,
    spans: SpanMaker | undefined,
  ) {
    this.#runner = runner;
    this.#instance = instance;
    this.#spans = spans;
  }

  /** Runs a transaction until it is committed, or fails for good. */
  run<Result>(
    name: string,
    work: OwnWork<Database, Result>,
    options: OwnRunOptions,
  ): Promise<Commit<Result>> {
    const spans = this.#spans;
    if (spans === undefined && !commits.isHeard) {
      return this.#runner.run(name, work, options);
    }
    return spans === undefined
      ? this.#run(name, work, options)
      : spans.transaction(
        this.#instance,
        name,
        (committed) => this.#run(name, work, options, committed),
      );
  }

  async #run<Result>(
    name: string,
    work: OwnWork<Database, Result>,
    options: OwnRunOptions,
    spanned?: (commit: SpannedCommit) => void,
  ): Promise<Commit<Result>> {
    let rows: number | undefined;
    const commit = await this.#runner.run(name, work, {
      ...options,
      recorded: (outcome) => {
        rows = countInvalidations(outcome.invalidations);
        for (const lines of outcome.rows.values()) rows += lines.length;
      },
    });
    // One that changed nothing has no token of its own.
    if (rows === undefined) return commit;
    const { instance, token, attempts } = commit;
    spanned?.({ instance, token, rows, attempts });
    if (commits.isHeard) {
      commits.publish({ instance, token, name, rows, attempts });
    }
    return commit;
  }
}

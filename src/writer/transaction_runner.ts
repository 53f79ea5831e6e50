/**
 * Running transactions to their end, over whatever happens on the way.
 *
 * @module
 */

import { SharedRollbackError } from "../database/commit_group.ts";
import type { Engine, Isolation, WriteSession } from "../database/engine.ts";
import { CommitUnknownError } from "../database/postgres_errors.ts";
import type { RetryReason } from "../database/retry.ts";
import { UndurableError } from "../database/sqlite_durability.ts";
import type { CancelTimer, Clock } from "../runtime/clock.ts";
import { HeadwaterError, messageOf } from "../runtime/errors.ts";
import { callListener } from "../runtime/listeners.ts";
import {
  MAX_HELD_TRANSACTIONS,
  MIN_BACKOFF_MS,
  SETTLE_TIMEOUT_MS,
} from "../runtime/limits.ts";
import type { Logger } from "../runtime/logger.ts";
import type { OptionNames } from "../runtime/option_names.ts";
import type { Random } from "../runtime/random.ts";
import { pause } from "../runtime/waiting.ts";
import type { Commit } from "../tokens/position.ts";
import { failFate } from "./append_fate.ts";
import { closedError } from "./listeners.ts";
import { OwnHistory } from "./own_history.ts";
import { toBodies } from "./record_bodies.ts";
import type { RecordManner } from "./append_groups.ts";
import type { Recorder, Ticket } from "./recorder.ts";
import {
  CONFLICT_PAUSE_MS,
  inVain,
  MAX_RETRY_PAUSE_MS,
  reasonOf,
} from "./run_again.ts";
import { RunningTransactions } from "./running_transactions.ts";
import type {
  TransactionOutcome,
  WriterTransaction,
} from "./writer_transaction.ts";

/** How one transaction is run. */
export interface TransactionRunOptions {
  /**
   * PostgreSQL: how much it may see of what others do meanwhile. SQLite's are
   * always serializable.
   *
   * @default {"read committed"}
   */
  readonly isolation?: Isolation | undefined;
  /**
   * How often it is run at most, where a deadlock, a serialization failure, an
   * append to the same aggregate, a lost connection or a commit that it shared
   * makes it fail.
   *
   * @default {5}
   */
  readonly maxAttempts?: number | undefined;
}

/** The names of {@linkcode TransactionRunOptions}. */
export const RUN_OPTIONS: OptionNames<TransactionRunOptions> = {
  isolation: true,
  maxAttempts: true,
};

/** A transaction's function. */
export type Work<Database, Result> = (
  txn: WriterTransaction<Database>,
) => Promise<Result>;

/** A transaction's function, where it is the library's own. */
export type OwnWork<Database, Result> = (
  txn: WriterTransaction<Database>,
  session: WriteSession<Database>,
) => Promise<Result>;

/** How one of the library's own is run. */
export interface OwnRunOptions extends TransactionRunOptions {
  /** Its random mark, where it must be known before; it is recorded in any case. */
  readonly commitId?: string | undefined;
  /** Is told what was recorded, once it is committed. */
  readonly recorded?: ((outcome: TransactionOutcome) => void) | undefined;
}

/** What a runner works with. */
export interface TransactionRunnerOptions<Database> {
  readonly engine: Engine<Database>;
  readonly instance: string;
  readonly holder: string;
  readonly recorder: Recorder;
  readonly begin: (
    session: WriteSession<Database>,
    attempt: number,
    mayRunAgain: boolean,
  ) => WriterTransaction<Database>;
  /** Is told of what is durable, before its callbacks. */
  readonly committed: (outcome: TransactionOutcome) => void;
  /** Called when the disk has refused a commit, and for each transaction after it. */
  readonly undurable: (error: UndurableError) => void;
  /** Whether it failed for an append that was quicker. */
  readonly isAppendConflict: (error: unknown) => boolean;
  readonly maxAttempts: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** What a transaction has left, once its rows are in the log. */
interface Done<Result> {
  readonly result: Result;
  readonly outcome: TransactionOutcome;
}

/** What is run, and its mark. */
interface OwnTransaction<Database, Result> {
  readonly work: OwnWork<Database, Result>;
  readonly commitId: string | undefined;
}

interface Attempt<Result> {
  done?: Done<Result>;
  ticket?: Ticket;
}

/** Runs transactions, and counts what became of them. */
export class TransactionRunner<Database> {
  /** Those that run. */
  readonly running: RunningTransactions;
  readonly #options: TransactionRunnerOptions<Database>;
  readonly #history: OwnHistory;
  readonly #closing = new AbortController();
  #isRefusing = false;
  #commits = 0;
  #rollbacks = 0;
  #retries = 0;

  /** Constructs one that runs nothing. */
  constructor(options: TransactionRunnerOptions<Database>) {
    this.#options = options;
    const { engine, instance, recorder } = options;
    this.#history = new OwnHistory({
      instance,
      disconnections: () => engine.disconnections,
      isInHistory: () => recorder.isInHistory(),
    });
    this.running = new RunningTransactions(options.clock);
  }

  /** What became of transactions so far. */
  get stats(): { commits: number; rollbacks: number; retries: number } {
    return {
      commits: this.#commits,
      rollbacks: this.#rollbacks,
      retries: this.#retries,
    };
  }

  /** Runs a transaction until it is committed, or fails for good. */
  run<Result>(
    name: string,
    work: OwnWork<Database, Result>,
    options: OwnRunOptions,
  ): Promise<Commit<Result>> {
    if (this.#isRefusing) return Promise.reject(closedError(`run "${name}"`));
    const held = this.running.enter();
    return held === undefined
      ? this.#run(name, work, options)
      : held.then(() => this.#run(name, work, options));
  }

  /**
   * Resolves once nothing runs any more. Whatever comes from now on, an exposed
   * call say, is refused with `CLOSED`: its token would never be told.
   */
  async drain(): Promise<void> {
    this.#isRefusing = true;
    await this.running.drain();
    this.#closing.abort();
  }

  async #run<Result>(
    name: string,
    work: OwnWork<Database, Result>,
    options: OwnRunOptions,
  ): Promise<Commit<Result>> {
    const { maxAttempts = this.#options.maxAttempts } = options;
    try {
      for (let attempt = 1;; attempt += 1) {
        const state: Attempt<Result> = {};
        const mayRunAgain = attempt < maxAttempts;
        let txn: WriterTransaction<Database> | undefined;
        try {
          const checked = this.#history.require();
          if (checked !== undefined) await checked;
          this.#requireRoom(name);
          const { isolation, commitId } = options;
          // Who shares a commit is run again should it fail.
          const mayShare = attempt === 1 && mayRunAgain;
          const done = await this.#options.engine.transaction<Done<Result>>(
            name,
            (session) => {
              txn = this.#options.begin(session, attempt, mayRunAgain);
              const manner = {
                isAlone: !mayShare,
                isSnapshotOld: isolation !== undefined &&
                  isolation !== "read committed",
              };
              const own = { work, commitId };
              return this.#record(txn, session, own, manner, state);
            },
            {
              isolation,
              mayShare,
              committed: (done) => this.#committed(name, done, state.ticket),
            },
          );
          return this.#toCommit(done, state.ticket, attempt, options);
        } catch (error) {
          if (
            error instanceof CommitUnknownError && state.ticket !== undefined
          ) {
            const done = state.done as Done<Result>;
            if (await this.#settle(name, done, state.ticket, error)) {
              return this.#toCommit(done, state.ticket, attempt, options);
            }
          } else if (state.ticket !== undefined) {
            this.#options.recorder.abandoned(state.ticket);
          }
          if (error instanceof UndurableError) this.#options.undurable(error);
          this.#rollbacks += 1;
          this.#call(name, txn?.end().afterRollback ?? []);
          const reason = this.#options.isAppendConflict(error)
            ? "conflict"
            : reasonOf(error);
          if (reason === undefined) throw error;
          if (attempt >= maxAttempts) {
            throw inVain(name, reason, attempt, error);
          }
          await this.#pauseBeforeRetry(name, reason, attempt);
        }
      }
    } finally {
      this.running.leave();
    }
  }

  /** Runs the user's function and writes what it left into the log. */
  async #record<Result>(
    txn: WriterTransaction<Database>,
    session: WriteSession<Database>,
    { work, commitId }: OwnTransaction<Database, Result>,
    manner: RecordManner,
    state: Attempt<Result>,
  ): Promise<Done<Result>> {
    const { recorder, clock, random } = this.#options;
    let result: Result;
    try {
      result = await work(txn, session);
    } catch (error) {
      const { fate } = txn;
      if (fate === undefined || await failFate(fate, clock)) throw error;
      // It may have failed for what others appended, and took back.
      throw new SharedRollbackError(error);
    }
    const projected = txn.project();
    if (projected !== undefined) await projected;
    const outcome = txn.end();
    const done = state.done = { result, outcome };
    const { rows, invalidations, appends, eventIds } = outcome;
    const mayBeEmpty = commitId === undefined && rows.size === 0 &&
      invalidations.length === 0;
    if (mayBeEmpty && !await session.hasWritten()) return done;
    state.ticket = recorder.begin({
      bodies: toBodies(rows, invalidations),
      appends,
      eventIds,
      commitId: commitId ?? random.id(),
      committedMs: Math.round(clock.wallMs()),
    }, outcome);
    const recorded = recorder.record(session, state.ticket, manner);
    if (recorded !== undefined) await recorded;
    return done;
  }

  /** Own caches first, then readers, then callbacks. */
  #committed<Result>(
    name: string,
    { outcome }: Done<Result>,
    ticket: Ticket | undefined,
  ): void {
    this.#commits += 1;
    this.#options.committed(outcome);
    if (ticket !== undefined) this.#options.recorder.committed(ticket);
    this.#call(name, outcome.afterCommit);
  }

  /**
   * Finds out what became of a commit that was not answered: its caller waits
   * for it as long as is sane, the tokens behind it for as long as it takes.
   */
  async #settle<Result>(
    name: string,
    { outcome }: Done<Result>,
    ticket: Ticket,
    error: CommitUnknownError,
  ): Promise<boolean> {
    const { recorder, clock, logger } = this.#options;
    logger("warn", "commit not answered: looking for it in the log", {
      transaction: name,
    });
    const settled = recorder.settle(ticket, error.backend, this.#closing.signal)
      .then((isCommitted) => {
        if (!isCommitted) return false;
        this.#commits += 1;
        this.#options.committed(outcome);
        this.#call(name, outcome.afterCommit);
        return true;
      });
    let cancel: CancelTimer | undefined;
    const deadline = new Promise<never>((_, reject) => {
      cancel = clock.schedule(() => reject(error), SETTLE_TIMEOUT_MS);
    });
    try {
      return await Promise.race([settled, deadline]);
    } finally {
      cancel?.();
      settled.catch((failure) =>
        logger("error", "commit not found out about", {
          transaction: name,
          error: messageOf(failure),
        })
      );
    }
  }

  #requireRoom(name: string): void {
    const { held } = this.#options.recorder;
    if (held < MAX_HELD_TRANSACTIONS) return;
    throw new HeadwaterError(
      "DATABASE_BUSY",
      `Cannot run "${name}": ${held} transactions are committed and wait for ` +
        "an earlier one to end; look for one that hangs on the server",
    );
  }

  async #pauseBeforeRetry(
    name: string,
    reason: RetryReason,
    attempt: number,
  ): Promise<void> {
    const { clock, random, logger } = this.#options;
    this.#retries += 1;
    const firstMs = reason === "conflict" ? CONFLICT_PAUSE_MS : MIN_BACKOFF_MS;
    const delayMs = Math.min(
      firstMs * Math.E ** (attempt - 1),
      MAX_RETRY_PAUSE_MS,
    );
    logger("debug", "transaction is run again", {
      transaction: name,
      reason,
      attempt,
    });
    await pause(clock, delayMs * (0.5 + random.fraction() / 2));
  }

  #toCommit<Result>(
    { result, outcome }: Done<Result>,
    ticket: Ticket | undefined,
    attempts: number,
    { recorded }: OwnRunOptions,
  ): Commit<Result> {
    if (ticket !== undefined) recorded?.(outcome);
    const { instance, holder, recorder } = this.#options;
    const { repeated } = outcome;
    if (ticket === undefined && repeated !== undefined) {
      return { ...repeated, result, attempts };
    }
    const token = ticket?.token ?? recorder.position;
    return { instance, token, holder, result, attempts };
  }

  /** A callback that fails can't undo what is committed: it is reported. */
  #call(name: string, callbacks: readonly (() => void)[]): void {
    const failed = (error: unknown) =>
      this.#options.logger("error", "transaction callback failed", {
        transaction: name,
        error: messageOf(error),
      });
    for (const callback of callbacks) callListener(callback, failed);
  }
}

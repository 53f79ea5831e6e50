/**
 * Fetching what was missed from the log, and applying it.
 *
 * @module
 */

import type { CacheRegistry } from "../caches/cache_registry.ts";
import type { Session } from "../database/engine.ts";
import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError, messageOf } from "../runtime/errors.ts";
import { callListener } from "../runtime/listeners.ts";
import { MAX_CATCH_UP_KEYS } from "../runtime/limits.ts";
import type { Logger } from "../runtime/logger.ts";
import { catchUps } from "../telemetry/channels.ts";
import type { Token } from "../tokens/token.ts";
import {
  catchUp,
  type CatchUpRange,
  catchUpSteps,
  reachesBackTo,
} from "./catch_up.ts";
import { type CatchUpProgress, ProgressMeter } from "./catch_up_progress.ts";
import { countRows } from "./transaction.ts";
import type { TransactionApplier } from "./transaction_applier.ts";

/** What a fetcher works with. */
export interface FetcherOptions {
  /** Reads the log. */
  readonly session: Session;
  readonly applier: TransactionApplier;
  readonly caches: CacheRegistry;
  /** Keys of one cache beyond which it is cleared instead. */
  readonly maxCatchUpKeys?: number | undefined;
  /** Is told how far it has come, page by page. */
  readonly onProgress?: ((progress: CatchUpProgress) => void) | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Gives it up. */
  readonly signal: AbortSignal;
}

/** Applies ranges of the log, page by page. */
export class Fetcher {
  readonly #options: FetcherOptions;
  readonly #running = new Set<ProgressMeter>();
  #rows = 0;

  /** Constructs one at rest. */
  constructor(options: FetcherOptions) {
    this.#options = options;
  }

  /** Rows fetched so far, in all streams. */
  get rows(): number {
    return this.#rows;
  }

  /** How far those have come that are under way. */
  get progress(): readonly CatchUpProgress[] {
    return Array.from(this.#running, ({ progress }) => progress)
      .filter(({ isDone }) => !isDone);
  }

  /**
   * Fetches and applies a range.
   *
   * @returns Whether all of it was still there to the end.
   * @throws {HeadwaterError} `CLOSED` once it is given up.
   */
  async fetch(range: CatchUpRange): Promise<boolean> {
    const { applier, clock } = this.#options;
    const meter = new ProgressMeter(range, clock);
    this.#running.add(meter);
    try {
      const isWhole = applier.takesSteps
        ? await this.#applySteps(range, meter)
        : await this.#applyEach(range, meter);
      if (isWhole && catchUps.isHeard) {
        catchUps.publish({ ...range, rows: meter.progress.rows });
      }
      return isWhole;
    } finally {
      this.#rows += meter.progress.rows;
      this.#running.delete(meter);
    }
  }

  /** Whether everything was still there. */
  async #applySteps(
    range: CatchUpRange,
    meter: ProgressMeter,
  ): Promise<boolean> {
    const { session, applier, caches, signal } = this.#options;
    const { maxCatchUpKeys = MAX_CATCH_UP_KEYS } = this.#options;
    let { after } = range;
    for await (
      const step of catchUpSteps(session, range, caches, maxCatchUpKeys)
    ) {
      if (signal.aborted) throw closedError();
      if (!await applier.applyStep(step)) return false;
      after = step.upTo;
      meter.add(after, step.rows);
      await this.#pageDone(meter);
    }
    return await this.#isDone(after, range);
  }

  /** One after another: each is visible on a replica at a time of its own. */
  async #applyEach(
    range: CatchUpRange,
    meter: ProgressMeter,
  ): Promise<boolean> {
    const { session, applier, signal } = this.#options;
    let { after } = range;
    for await (const page of catchUp(session, range)) {
      if (signal.aborted) throw closedError();
      if (!await reachesBackTo(session, after)) return false;
      let rows = 0;
      for (const transaction of page) {
        await applier.apply(transaction);
        after = transaction.token;
        for (const [, count] of countRows(transaction)) rows += count;
      }
      meter.add(after, rows);
      await this.#pageDone(meter);
    }
    return await this.#isDone(after, range);
  }

  /** The end has a record: what ended before it may have found it deleted. */
  async #isDone(after: Token, { upTo }: CatchUpRange): Promise<boolean> {
    return after >= upTo || await reachesBackTo(this.#options.session, after);
  }

  async #pageDone(meter: ProgressMeter): Promise<void> {
    const { clock, logger, onProgress } = this.#options;
    callListener(
      () => onProgress?.(meter.progress),
      (error) =>
        logger("error", "onProgress failed", { error: messageOf(error) }),
    );
    // Pages come without waiting; others want a turn, too.
    await new Promise<void>((resolve) => clock.nextTurn(resolve));
  }
}

function closedError(): HeadwaterError {
  return new HeadwaterError("CLOSED", "Cannot catch up: the store is closed");
}

/**
 * Taking whole transactions in, each in one step.
 *
 * @module
 */

import type { CacheRegistry } from "../caches/cache_registry.ts";
import type { ChangeRegistry } from "../caches/change_registry.ts";
import { readCachesRow } from "../protocol/caches_row.ts";
import { type Clock, systemClock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Position } from "../tokens/position.ts";
import type { Token } from "../tokens/token.ts";
import { markChanges } from "./change_filler.ts";
import type { InvalidationJournal } from "./invalidation_journal.ts";
import type { ReaderPosition } from "./reader_position.ts";
import type { VisibilityGate } from "./replica_gate.ts";
import { invalidRow } from "./row_errors.ts";
import { callInTurn, StreamHandlers } from "./stream_handlers.ts";
import type { StreamHandler, SubscribeOptions } from "./stream_subscription.ts";
import type { ApplierStats } from "./applier_stats.ts";
import {
  CACHES_STREAM,
  countRows,
  type LoggedStep,
  type LoggedTransaction,
} from "./transaction.ts";

/** Tells the registry which names of those that it has not got are groups'. */
export type GroupJudge = () => Promise<void>;

/**
 * Applies transactions, in the order it is given them.
 *
 * Promise 3, one transaction, one step: first every cache invalidation, then
 * the handlers, then the position moves and waiters wake. A handler that runs
 * for T never sees a cache older than T, nor does anybody who waited for T.
 * Test: `tests/promises/03_one_step.test.ts`.
 *
 * Promise 10, lagging replicas are safe: where reads come from a replica, a
 * transaction is applied once it is visible there, and what it invalidates is
 * invalidated both on arrival and then. Test:
 * `tests/promises/10_lagging_replicas.test.ts`.
 */
export class TransactionApplier {
  readonly #caches: CacheRegistry;
  readonly #position: ReaderPosition;
  readonly #visible: VisibilityGate | undefined;
  readonly #judge: GroupJudge | undefined;
  readonly #journal: InvalidationJournal | undefined;
  readonly #changes: ChangeRegistry | undefined;
  readonly #handlers: StreamHandlers;
  #busy: Promise<unknown> | undefined;
  #transactions = 0;

  /**
   * Constructs an applier without handlers.
   *
   * @param visible What to wait for where reads come from a replica.
   * @param clock Tells when handlers are called again.
   * @param judge Looks up names that may be those of groups.
   * @param changes Is told what changes, with the invalidations.
   * @param journal Remembers what was invalidated.
   */
  constructor(
    caches: CacheRegistry,
    position: ReaderPosition,
    logger: Logger,
    visible?: VisibilityGate,
    clock: Clock = systemClock,
    judge?: GroupJudge,
    changes?: ChangeRegistry,
    journal?: InvalidationJournal,
  ) {
    this.#caches = caches;
    this.#position = position;
    this.#visible = visible;
    this.#judge = judge;
    this.#changes = changes;
    this.#journal = journal;
    this.#handlers = new StreamHandlers({ clock, logger });
  }

  /** What has been taken in so far. */
  get stats(): ApplierStats {
    return {
      transactions: this.#transactions,
      rows: this.#handlers.rows,
      rowsByStream: this.#handlers.rowsByStream,
      handlerFailures: this.#handlers.failures,
      queuedBatches: this.#handlers.queuedBatches,
    };
  }

  /** The streams that somebody handles. */
  get handledStreams(): readonly string[] {
    return this.#handlers.streams;
  }

  /** Whether something is being applied, which what comes now waits for. */
  protected get isBusy(): boolean {
    return this.#busy !== undefined;
  }

  /** Whether several transactions may be applied as one. */
  get takesSteps(): boolean {
    return this.#visible === undefined;
  }

  /**
   * Waits until what an instance wrote up to a token can be read, whatever was
   * seen of it before; `undefined` where it can already, as reads don't come
   * from a replica.
   */
  visibleAgain(instance: string, token: Token): Promise<void> | undefined {
    return this.#visible?.(instance, token, true);
  }

  /** Calls a handler for every later transaction with rows of the stream. */
  addHandler(
    stream: string,
    handler: StreamHandler,
    options: SubscribeOptions = {},
  ): () => void {
    return this.#handlers.add(stream, handler, options);
  }

  /**
   * Waits until the handlers of some streams are through with all up to a
   * position that has been reached: those that are called again, too.
   */
  passed(streams: readonly string[], position: Position): Promise<void> {
    return this.#handlers.passed(streams, position);
  }

  /** Whether {@linkcode passed} has nothing to wait for. */
  hasPassed(streams: readonly string[], position: Position): boolean {
    return this.#handlers.hasPassed(streams, position);
  }

  /** Calls no handler any more. */
  close(): void {
    this.#handlers.close();
  }

  /**
   * Applies a transaction, unless the position contains it already.
   *
   * @returns A promise if a handler has something to wait for; nothing else
   *   may be applied before it resolves.
   * @throws {HeadwaterError} `LINE_INVALID` if a row is none of its stream's.
   */
  apply(transaction: LoggedTransaction): void | Promise<void> {
    if (this.#busy !== undefined) {
      // Another instance's, over another connection, is being handled.
      const again = () => this.apply(transaction);
      return this.#busy.then(again, again);
    }
    const applied = this.#apply(transaction);
    if (applied !== undefined) return this.#occupy(applied);
  }

  /**
   * Applies transactions as one, unless the position contains them already:
   * first all invalidations, then the handlers of each, then the position moves.
   *
   * @returns Whether all of it was still there; if not, nothing was applied.
   * @throws {HeadwaterError} As {@linkcode apply}, or what reading throws.
   */
  applyStep(step: LoggedStep): Promise<boolean> {
    if (this.#busy !== undefined) {
      const again = () => this.applyStep(step);
      return this.#busy.then(again, again);
    }
    return this.#occupy(this.#applyStep(step));
  }

  /** Resolves, in the turn in which nothing is being applied, to what is done then. */
  async alone<Result>(work: () => Result): Promise<Result> {
    while (this.#busy !== undefined) await this.#busy.catch(() => {});
    return work();
  }

  #occupy<Result>(applied: Promise<Result>): Promise<Result> {
    const busy = applied.finally(() => {
      if (this.#busy === busy) this.#busy = undefined;
    });
    this.#busy = busy;
    return busy;
  }

  async #applyStep(step: LoggedStep): Promise<boolean> {
    const { instance, upTo } = step;
    if (this.#position.contains(instance, upTo)) return true;
    const transactions = await this.#readHandled(step);
    if (transactions === undefined) return false;
    const invalidated = step.invalidate();
    if (this.#caches.hasUnjudged) await this.#judge?.();
    this.#journal?.steppedTo(instance, upTo, invalidated);
    for (const [stream, rows] of step.rowsByStream) {
      this.#handlers.count(stream, rows);
    }
    this.#transactions += step.transactions;
    for (const each of transactions) markChanges(this.#changes, each);
    for (const transaction of transactions) {
      if (this.#position.contains(instance, transaction.token)) continue;
      const handled = this.#handle(transaction);
      if (handled !== undefined) await handled;
    }
    this.#position.advance(instance, upTo);
    return true;
  }

  /**
   * What somebody handles, though he may have begun to while it was read, and
   * what fills change caches; `undefined` if some of it is gone.
   */
  async #readHandled(
    step: LoggedStep,
  ): Promise<readonly LoggedTransaction[] | undefined> {
    while (true) {
      const wanted = this.#changes?.streams ?? [];
      const streams = [...new Set([...this.handledStreams, ...wanted])]
        .filter((stream) => step.rowsByStream.has(stream));
      const read = streams.length === 0 ? [] : await step.read(streams);
      if (!await step.isWhole()) return undefined;
      if (
        this.handledStreams.every((stream) =>
          streams.includes(stream) || !step.rowsByStream.has(stream)
        )
      ) return read;
    }
  }

  #apply(transaction: LoggedTransaction): void | Promise<void> {
    const { instance, token } = transaction;
    if (this.#position.contains(instance, token)) return;
    this.#invalidate(transaction);
    return this.#caches.hasUnjudged && this.#judge !== undefined
      ? this.#judge().then(() => this.#applyInvalidated(transaction))
      : this.#applyInvalidated(transaction);
  }

  #applyInvalidated(transaction: LoggedTransaction): void | Promise<void> {
    const { instance, token } = transaction;
    let isHandled = false;
    for (const [stream, rows] of countRows(transaction)) {
      if (this.#handlers.count(stream, rows)) isHandled = true;
    }
    if (this.#visible !== undefined) {
      return this.#visible(instance, token).then(() => {
        // Promise 10: what was loaded since the first time may be older.
        this.#invalidate(transaction);
        return this.#finishHandled(transaction, isHandled);
      });
    }
    return this.#finishHandled(transaction, isHandled);
  }

  #finishHandled(
    transaction: LoggedTransaction,
    isHandled: boolean,
  ): void | Promise<void> {
    const { instance, token } = transaction;
    const handled = isHandled ? this.#handle(transaction) : undefined;
    if (handled === undefined) this.#finish(instance, token);
    else return handled.then(() => this.#finish(instance, token));
  }

  #invalidate(transaction: LoggedTransaction): void {
    for (const { name, keys } of transaction.invalidations ?? []) {
      this.#caches.applyAll(name, keys);
    }
    for (const { stream, lines } of transaction.records) {
      if (stream !== CACHES_STREAM) continue;
      for (const row of lines) {
        if (!readCachesRow(row, this.#caches)) throw invalidRow(row);
      }
    }
    markChanges(this.#changes, transaction);
    this.#journal?.applied(transaction);
  }

  #finish(instance: string, token: Token): void {
    this.#transactions += 1;
    this.#position.advance(instance, token);
  }

  #handle(transaction: LoggedTransaction): undefined | Promise<void> {
    const calls = this.#handlers.callsFor(transaction);
    if (calls.length > 0) this.#caches.dropStale(); // promise 3
    return callInTurn(calls);
  }
}

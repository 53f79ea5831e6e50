/**
 * One handler of a stream: called batch by batch, and again where it failed.
 *
 * @module
 */

import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError, messageOf } from "../runtime/errors.ts";
import {
  MAX_BACKOFF_MS,
  MAX_QUEUED_ROWS,
  MAX_TRIES,
  MIN_BACKOFF_MS,
} from "../runtime/limits.ts";
import type { Logger } from "../runtime/logger.ts";
import type { OptionNames } from "../runtime/option_names.ts";
import { type Deferred, deferred, pause } from "../runtime/waiting.ts";
import type { Token } from "../tokens/token.ts";

/** The rows of one stream under one token, as a handler gets them. */
export interface Batch<Row = unknown> {
  /** The stream's name. */
  readonly stream: string;
  /** Who wrote it. */
  readonly instance: string;
  /** The transaction's token. */
  readonly token: Token;
  /** The rows, in the order they were written; at least one. */
  readonly rows: readonly Row[];
}

/**
 * Is given a stream's rows, token by token. The position stays where it is
 * until the handler, or the promise it returns, is done: keep it short.
 */
export type StreamHandler<Row = unknown> = (
  batch: Batch<Row>,
) => void | Promise<void>;

/** How often a handler that failed is called again with the same batch. */
export interface RetryPolicy {
  /**
   * Calls at most, the first included.
   *
   * @default {5}
   */
  readonly attempts?: number | undefined;

  /**
   * The pause before the second call, in ms; each next is e times longer.
   *
   * @default {100}
   */
  readonly minBackoffMs?: number | undefined;

  /**
   * The longest pause, in ms.
   *
   * @default {2000}
   */
  readonly maxBackoffMs?: number | undefined;

  /**
   * Rows of later batches that wait meanwhile. Beyond, the batch that fails is
   * given up early.
   *
   * @default {100000}
   */
  readonly maxQueuedRows?: number | undefined;
}

/** The names of {@linkcode RetryPolicy}. */
export const RETRY_OPTIONS: OptionNames<RetryPolicy> = {
  attempts: true,
  minBackoffMs: true,
  maxBackoffMs: true,
  maxQueuedRows: true,
};

/** A call of a handler that failed. */
export interface HandlerFailure<Row = unknown> {
  /** What it was called with. */
  readonly batch: Batch<Row>;
  /** What it threw, or rejected with. */
  readonly error: unknown;
  /** Which call of this batch it was; 1 is the first. */
  readonly attempt: number;
  /** Whether it is not called with this batch again. */
  readonly isGivenUp: boolean;
}

/** Options of `subscribe`. */
export interface SubscribeOptions<Row = unknown> {
  /**
   * Calls the handler again with a batch that it failed on.
   *
   * @default {it is not}
   */
  readonly retry?: RetryPolicy | undefined;

  /** Is told of each call that failed. What it throws is logged. */
  readonly onFailure?: ((failure: HandlerFailure<Row>) => void) | undefined;
}

/** What a subscription works with. */
export interface SubscriptionParts {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called for each call that failed. */
  readonly failed: () => void;
}

/** Calls in one turn of the event loop. */
const TURN_CALLS = 100;

/** A batch that the handler has not been through with. */
interface Queued {
  readonly batch: Batch;
  attempts: number;
  error: unknown;
  /** Whether it is not to be tried again, whatever the policy. */
  isGivenUp: boolean;
  /** There if somebody waits for it. */
  done: Deferred<void> | undefined;
}

/**
 * Calls one handler, one batch at a time.
 *
 * While all goes well the caller waits for each call, and moves the position
 * after it. A batch that is to be tried again holds nobody up: it begins a
 * queue, later batches line up behind it, and the position moves on, so that a
 * handler that fails for a minute does not make a minute of invalidations wait.
 * What a handler has been through is then behind the position: see
 * {@linkcode passed}. The queue is bounded: once too many rows wait, the batch
 * at its head is given up.
 */
export class StreamSubscription {
  readonly #handler: StreamHandler;
  readonly #options: SubscribeOptions;
  readonly #parts: SubscriptionParts;
  readonly #queue: Queued[] = [];
  readonly #closing = new AbortController();
  #queuedRows = 0;
  /** Ends the pause before the next attempt. */
  #hurry: AbortController | undefined;
  /** Those who wait for room in the queue. */
  #room: Deferred<void> | undefined;

  /**
   * Constructs a subscription that has had no batch.
   *
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for a number of attempts that can't be.
   */
  constructor(
    handler: StreamHandler,
    options: SubscribeOptions,
    parts: SubscriptionParts,
  ) {
    const { attempts = MAX_TRIES } = options.retry ?? {};
    if (!Number.isSafeInteger(attempts) || attempts < 1) {
      throw new HeadwaterError(
        "INVALID_ARGUMENT",
        `Cannot subscribe: attempts is ${attempts}; give a positive integer`,
      );
    }
    this.#handler = handler;
    this.#options = options;
    this.#parts = parts;
  }

  /** Batches that wait, the one that is tried again included. */
  get queued(): number {
    return this.#queue.length;
  }

  /**
   * Calls the handler, or lines the batch up behind one that is tried again.
   *
   * @returns A promise if there is something to wait for before the next batch.
   */
  take(batch: Batch): undefined | Promise<void> {
    if (this.#closing.signal.aborted) return undefined;
    if (this.#queue.length > 0) return this.#push(batch);
    try {
      const done = this.#handler(batch);
      if (done === undefined) return undefined;
      return Promise.resolve(done)
        .catch((error) => this.#failedFirst(batch, error));
    } catch (error) {
      this.#failedFirst(batch, error);
      return undefined;
    }
  }

  /** Waits until nothing up to a token of an instance is queued any more. */
  passed(instance: string, token: Token): undefined | Promise<void> {
    const last = this.#queue.findLast(({ batch }) =>
      batch.instance === instance && batch.token <= token
    );
    if (last === undefined) return undefined;
    last.done ??= deferred();
    return last.done.promise;
  }

  /**
   * Gives up what is queued of an instance: its rows are to be forgotten.
   *
   * @returns A promise if there is something to wait for: the handler may be at
   *   work on one.
   */
  giveUp(instance: string): undefined | Promise<void> {
    const [head, ...others] = this.#queue;
    if (head === undefined) return undefined;
    this.#queue.length = 1;
    for (const each of others) {
      if (each.batch.instance !== instance) this.#queue.push(each);
      else {
        this.#queuedRows -= each.batch.rows.length;
        each.done?.resolve();
      }
    }
    this.#makeRoom();
    if (head.batch.instance !== instance) return undefined;
    head.isGivenUp = true;
    this.#hurry?.abort();
    head.done ??= deferred();
    return head.done.promise;
  }

  /** Calls it no more, and forgets what is queued. */
  close(): void {
    this.#closing.abort();
    this.#hurry?.abort();
    for (const { done } of this.#queue.splice(0)) done?.resolve();
    this.#queuedRows = 0;
    this.#room?.resolve();
    this.#room = undefined;
  }

  get #isFull(): boolean {
    const { maxQueuedRows = MAX_QUEUED_ROWS } = this.#options.retry ?? {};
    return this.#queuedRows > maxQueuedRows;
  }

  #failedFirst(batch: Batch, error: unknown): void {
    const { attempts = MAX_TRIES } = this.#options.retry ?? { attempts: 1 };
    const isGivenUp = attempts <= 1 || this.#closing.signal.aborted;
    this.#report({ batch, error, attempt: 1, isGivenUp });
    if (isGivenUp) return;
    this.#queue.push({
      batch,
      attempts: 1,
      error,
      isGivenUp: false,
      done: undefined,
    });
    void this.#drain();
  }

  #push(batch: Batch): undefined | Promise<void> {
    this.#queue.push({
      batch,
      attempts: 0,
      error: undefined,
      isGivenUp: false,
      done: undefined,
    });
    this.#queuedRows += batch.rows.length;
    if (!this.#isFull) return undefined;
    this.#hurry?.abort();
    this.#room ??= deferred();
    return this.#room.promise;
  }

  async #drain(): Promise<void> {
    const { minBackoffMs = MIN_BACKOFF_MS, maxBackoffMs = MAX_BACKOFF_MS } =
      this.#options.retry ?? {};
    const { signal } = this.#closing;
    let delayMs = minBackoffMs;
    for (let turn = 1; !signal.aborted; turn += 1) {
      const head = this.#queue[0];
      // Before it lets go: with nothing queued, whoever fails next begins anew.
      if (head === undefined) return;
      // A long queue of quick calls would let nobody else run.
      if (turn % TURN_CALLS === 0) {
        await new Promise<void>((resolve) =>
          this.#parts.clock.nextTurn(resolve)
        );
        if (signal.aborted) return;
      }
      if (head.attempts > 0 && !head.isGivenUp) {
        await this.#pause(delayMs);
        if (signal.aborted) return;
        delayMs = Math.min(maxBackoffMs, delayMs * Math.E);
      }
      if (head.attempts > 0 && (this.#isFull || head.isGivenUp)) {
        const { batch, error, attempts } = head;
        this.#report({ batch, error, attempt: attempts, isGivenUp: true });
      } else if (!await this.#try(head)) continue;
      if (signal.aborted) return;
      delayMs = minBackoffMs;
      this.#shift(head);
    }
  }

  async #pause(delayMs: number): Promise<void> {
    if (this.#isFull) return;
    this.#hurry = new AbortController();
    await pause(this.#parts.clock, delayMs, this.#hurry.signal);
    this.#hurry = undefined;
  }

  /** Whether the batch is done with, well or not. */
  async #try(queued: Queued): Promise<boolean> {
    const { batch } = queued;
    const { attempts = MAX_TRIES } = this.#options.retry ?? {};
    queued.attempts += 1;
    try {
      await this.#handler(batch);
      return true;
    } catch (error) {
      queued.error = error;
      const attempt = queued.attempts;
      const isGivenUp = attempt >= attempts || queued.isGivenUp ||
        this.#closing.signal.aborted;
      this.#report({ batch, error, attempt, isGivenUp });
      return isGivenUp;
    }
  }

  #shift(head: Queued): void {
    this.#queue.shift();
    head.done?.resolve();
    // The head's own rows do not wait: they are being handled.
    const next = this.#queue[0];
    if (next !== undefined) this.#queuedRows -= next.batch.rows.length;
    this.#makeRoom();
  }

  #makeRoom(): void {
    if (this.#isFull) return;
    this.#room?.resolve();
    this.#room = undefined;
  }

  #report(failure: HandlerFailure): void {
    const { logger, failed } = this.#parts;
    const { batch: { stream, instance, token }, error, attempt } = failure;
    failed();
    const { isGivenUp } = failure;
    logger("error", "stream handler failed", {
      stream,
      instance,
      token,
      attempt,
      isGivenUp,
      error: messageOf(error),
    });
    try {
      this.#options.onFailure?.(failure);
    } catch (thrown) {
      logger("error", "onFailure failed", { error: messageOf(thrown) });
    }
  }
}

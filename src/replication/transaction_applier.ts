/**
 * Taking whole transactions in, each in one step.
 *
 * @module
 */

import type { CacheRegistry } from "../caches/cache_registry.ts";
import { readCachesRow } from "../protocol/caches_row.ts";
import { HeadwaterError, messageOf, quote } from "../runtime/errors.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Token } from "../tokens/token.ts";
import type { ReaderPosition } from "./reader_position.ts";
import {
  CACHES_STREAM,
  cachesFirst,
  type LoggedTransaction,
} from "./transaction.ts";

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

/** Resolves once what a transaction wrote can be read. */
export type VisibilityGate = (
  instance: string,
  token: Token,
  isRewound?: boolean,
) => Promise<void>;

/** What has been taken in so far. */
export interface ApplierStats {
  /** Transactions applied. */
  readonly transactions: number;
  /** Rows of them, in all streams. */
  readonly rows: number;
  /** Handlers that threw or rejected. */
  readonly handlerFailures: number;
}

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
  readonly #logger: Logger;
  readonly #visible: VisibilityGate | undefined;
  readonly #handlers = new Map<string, StreamHandler[]>();
  #busy: Promise<void> | undefined;
  #transactions = 0;
  #rows = 0;
  #handlerFailures = 0;

  /**
   * Constructs an applier without handlers.
   *
   * @param visible What to wait for where reads come from a replica.
   */
  constructor(
    caches: CacheRegistry,
    position: ReaderPosition,
    logger: Logger,
    visible?: VisibilityGate,
  ) {
    this.#caches = caches;
    this.#position = position;
    this.#logger = logger;
    this.#visible = visible;
  }

  /** What has been taken in so far. */
  get stats(): ApplierStats {
    return {
      transactions: this.#transactions,
      rows: this.#rows,
      handlerFailures: this.#handlerFailures,
    };
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
  addHandler(stream: string, handler: StreamHandler): () => void {
    const handlers = this.#handlers.get(stream) ?? [];
    this.#handlers.set(stream, [...handlers, handler]);
    return () => {
      const left = this.#handlers.get(stream)?.filter((kept) =>
        kept !== handler
      );
      if (left === undefined || left.length === 0) {
        this.#handlers.delete(stream);
      } else this.#handlers.set(stream, left);
    };
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
    if (applied === undefined) return;
    const busy = applied.finally(() => {
      if (this.#busy === busy) this.#busy = undefined;
    });
    this.#busy = busy;
    return busy;
  }

  #apply(transaction: LoggedTransaction): void | Promise<void> {
    const { instance, token } = transaction;
    if (this.#position.contains(instance, token)) return;
    const records = cachesFirst(transaction.records);
    let isHandled = false;
    for (const { stream, rows } of records) {
      this.#rows += rows.length;
      if (stream === CACHES_STREAM) this.#invalidate(rows);
      isHandled ||= this.#handlers.has(stream);
    }
    if (this.#visible !== undefined) {
      return this.#visible(instance, token).then(() => {
        // Promise 10: what was loaded since the first time may be older.
        for (const { stream, rows } of records) {
          if (stream === CACHES_STREAM) this.#invalidate(rows);
        }
        return this.#finishHandled(transaction, records, isHandled);
      });
    }
    return this.#finishHandled(transaction, records, isHandled);
  }

  #finishHandled(
    transaction: LoggedTransaction,
    records: LoggedTransaction["records"],
    isHandled: boolean,
  ): void | Promise<void> {
    const { instance, token } = transaction;
    if (!isHandled) {
      this.#finish(instance, token);
      return;
    }
    const handled = this.#handle(transaction, records);
    if (handled === undefined) this.#finish(instance, token);
    else return handled.then(() => this.#finish(instance, token));
  }

  #invalidate(rows: readonly string[]): void {
    for (let index = 0; index < rows.length; index += 1) {
      const row = rows[index] as string;
      if (!readCachesRow(row, this.#caches)) throw invalidRow(row);
    }
  }

  #finish(instance: string, token: Token): void {
    this.#transactions += 1;
    this.#position.advance(instance, token);
  }

  /** Runs handlers one after another; stays synchronous while they do. */
  #handle(
    { instance, token }: LoggedTransaction,
    records: LoggedTransaction["records"],
  ): undefined | Promise<void> {
    // All are parsed before the first is called: a row that can't be must not
    // leave some of the transaction's handlers behind and others not.
    const calls: (readonly [StreamHandler, Batch])[] = [];
    for (const { stream, rows } of records) {
      const handlers = this.#handlers.get(stream);
      if (handlers === undefined) continue;
      const batch = { stream, instance, token, rows: rows.map(parseRow) };
      for (const handler of handlers) calls.push([handler, batch]);
    }
    let waiting: Promise<void> | undefined;
    for (const [handler, batch] of calls) {
      waiting = waiting === undefined
        ? this.#call(handler, batch)
        : waiting.then(() => this.#call(handler, batch));
    }
    return waiting;
  }

  #call(handler: StreamHandler, batch: Batch): undefined | Promise<void> {
    try {
      const done = handler(batch);
      if (done === undefined) return undefined;
      return Promise.resolve(done).catch((error) => this.#report(batch, error));
    } catch (error) {
      this.#report(batch, error);
      return undefined;
    }
  }

  #report({ stream, instance, token }: Batch, error: unknown): void {
    this.#handlerFailures += 1;
    this.#logger("error", "stream handler failed", {
      stream,
      instance,
      token,
      error: messageOf(error),
    });
  }
}

function parseRow(row: string): unknown {
  try {
    return JSON.parse(row);
  } catch {
    throw invalidRow(row);
  }
}

function invalidRow(row: string): HeadwaterError {
  return new HeadwaterError(
    "LINE_INVALID",
    `failed to parse row (${quote(row)})`,
  );
}

/**
 * Who handles which streams, and how many rows of each there were.
 *
 * @module
 */

import { toCachesRows } from "../protocol/invalidations.ts";
import type { Clock } from "../runtime/clock.ts";
import { MAX_COUNTED_STREAMS } from "../runtime/limits.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Position } from "../tokens/position.ts";
import { parseRow } from "./row_errors.ts";
import {
  type Batch,
  type StreamHandler,
  StreamSubscription,
  type SubscribeOptions,
} from "./stream_subscription.ts";
import {
  CACHES_STREAM,
  cachesFirst,
  type LoggedTransaction,
} from "./transaction.ts";

/** What is known of one stream. */
interface StreamState {
  subscriptions: readonly StreamSubscription[];
  rows: number;
}

/** Calls of handlers that a transaction makes, in their order. */
export type HandlerCalls = readonly (readonly [StreamSubscription, Batch])[];

/** What {@linkcode StreamHandlers} works with. */
export interface StreamHandlersOptions {
  /** Tells when handlers are called again. */
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The handlers of all streams. */
export class StreamHandlers {
  readonly #options: StreamHandlersOptions;
  readonly #streams = new Map<string, StreamState>();
  /** Of streams beyond those that are counted apart. */
  readonly #others: StreamState = { subscriptions: [], rows: 0 };
  #rows = 0;
  #failures = 0;

  /** Constructs one without handlers. */
  constructor(options: StreamHandlersOptions) {
    this.#options = options;
  }

  /** Rows counted so far, in all streams. */
  get rows(): number {
    return this.#rows;
  }

  /** The same, stream by stream. */
  get rowsByStream(): ReadonlyMap<string, number> {
    return new Map(
      Array.from(this.#streams, ([stream, { rows }]) => [stream, rows]),
    );
  }

  /** Calls that threw or rejected. */
  get failures(): number {
    return this.#failures;
  }

  /** Batches that wait behind one that a handler is to get again, that one included. */
  get queuedBatches(): number {
    return this.#subscriptions().reduce((sum, { queued }) => sum + queued, 0);
  }

  /** The streams that somebody handles. */
  get streams(): readonly string[] {
    return [...this.#streams].flatMap(([stream, { subscriptions }]) =>
      subscriptions.length > 0 ? [stream] : []
    );
  }

  /** Calls a handler for every later transaction with rows of the stream. */
  add(
    stream: string,
    handler: StreamHandler,
    options: SubscribeOptions,
  ): () => void {
    const subscription = new StreamSubscription(handler, options, {
      ...this.#options,
      failed: () => void (this.#failures += 1),
    });
    const state = this.#streams.get(stream) ?? { subscriptions: [], rows: 0 };
    this.#streams.set(stream, state);
    state.subscriptions = [...state.subscriptions, subscription];
    return () => {
      subscription.close();
      state.subscriptions = state.subscriptions.filter((kept) =>
        kept !== subscription
      );
    };
  }

  /** Counts rows of a stream; says whether anybody handles it. */
  count(stream: string, rows: number): boolean {
    const state = this.#stateOf(stream);
    this.#rows += rows;
    state.rows += rows;
    return state.subscriptions.length > 0;
  }

  /**
   * The calls that a transaction makes. All rows are parsed before the first is
   * called: a row that can't be must not leave some of the transaction's
   * handlers behind and others not.
   *
   * @throws {HeadwaterError} `LINE_INVALID` if a row is none of its stream's.
   */
  callsFor(
    { instance, token, records, invalidations }: LoggedTransaction,
  ): HandlerCalls {
    const calls: (readonly [StreamSubscription, Batch])[] = [];
    const add = (stream: string, parse: () => readonly unknown[]) => {
      const { subscriptions } = this.#stateOf(stream);
      if (subscriptions.length === 0) return;
      const batch = { stream, instance, token, rows: parse() };
      for (const subscription of subscriptions) {
        calls.push([subscription, batch]);
      }
    };
    if (invalidations !== undefined) {
      add(CACHES_STREAM, () => toCachesRows(invalidations));
    }
    for (const { stream, lines } of cachesFirst(records)) {
      add(stream, () => lines.map(parseRow));
    }
    return calls;
  }

  /** Waits until those of some streams are through with all up to a position. */
  async passed(streams: readonly string[], position: Position): Promise<void> {
    for (const stream of streams) {
      for (const subscription of this.#subscriptionsOf(stream)) {
        for (const [instance, token] of position) {
          await subscription.passed(instance, token);
        }
      }
    }
  }

  /** Whether {@linkcode passed} has nothing to wait for. */
  hasPassed(streams: readonly string[], position: Position): boolean {
    return streams.every((stream) =>
      this.#subscriptionsOf(stream).every((subscription) =>
        [...position].every(([instance, token]) =>
          subscription.passed(instance, token) === undefined
        )
      )
    );
  }

  /** Calls none any more. */
  close(): void {
    for (const subscription of this.#subscriptions()) subscription.close();
  }

  #stateOf(stream: string): StreamState {
    const known = this.#streams.get(stream);
    if (known !== undefined) return known;
    if (this.#streams.size >= MAX_COUNTED_STREAMS) return this.#others;
    const state = { subscriptions: [], rows: 0 };
    this.#streams.set(stream, state);
    return state;
  }

  #subscriptionsOf(stream: string): readonly StreamSubscription[] {
    return this.#streams.get(stream)?.subscriptions ?? [];
  }

  #subscriptions(): readonly StreamSubscription[] {
    return [...this.#streams.values()].flatMap(({ subscriptions }) =>
      subscriptions
    );
  }
}

/** Makes calls one after another; stays synchronous while they do. */
export function callInTurn(calls: HandlerCalls): undefined | Promise<void> {
  let waiting: Promise<void> | undefined;
  for (const [subscription, batch] of calls) {
    waiting = waiting === undefined
      ? subscription.take(batch)
      : waiting.then(() => subscription.take(batch));
  }
  return waiting;
}

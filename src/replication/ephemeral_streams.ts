/**
 * What a reader knows of streams that are in no log, and who is told of them.
 *
 * @module
 */

import type { CacheRegistry } from "../caches/cache_registry.ts";
import type { Clock } from "../runtime/clock.ts";
import { messageOf } from "../runtime/errors.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Stream } from "../streams/stream.ts";
import { type Token, TOKEN_ZERO } from "../tokens/token.ts";
import {
  type Batch,
  type StreamHandler,
  StreamSubscription,
  type SubscribeOptions,
} from "./stream_subscription.ts";

/** Why rows of an ephemeral stream are missing: told before those that follow. */
export interface StreamReset {
  /** The stream's name. */
  readonly stream: string;
  /** Whose rows are missing. */
  readonly instance: string;
  /** Why, for people. */
  readonly reason: string;
}

/** Is told that rows are missing for good: what they said has to be forgotten. */
export type ResetHandler = (reset: StreamReset) => void | Promise<void>;

/** How far one instance's part of a stream has been taken in. */
export interface Channel {
  readonly stream: string;
  readonly instance: string;
  /** The last token that was taken in. */
  token: Token;
  /** The writer's life that the token is of; `undefined` if nobody has said. */
  run: string | undefined;
}

/** What {@linkcode EphemeralStreams} works with. */
export interface EphemeralStreamsOptions {
  readonly streams: readonly Stream[];
  readonly caches: CacheRegistry;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Options of a subscription to an ephemeral stream. */
export interface EphemeralSubscribeOptions extends SubscribeOptions {
  /** Is told that rows are missing. */
  readonly onReset?: ResetHandler | undefined;
}

interface Subscriber {
  readonly subscription: StreamSubscription;
  readonly onReset: ResetHandler | undefined;
}

/**
 * Takes rows in for a whole process, over whatever connection they come: each
 * token once, in order, and one handler of a stream at a time.
 */
export class EphemeralStreams {
  readonly #options: EphemeralStreamsOptions;
  readonly #streams: ReadonlyMap<string, Stream>;
  readonly #channels = new Map<string, Channel>();
  /** The streams that somebody has subscribed to, as an empty list if nobody is left. */
  readonly #subscribers = new Map<string, Subscriber[]>();
  readonly #onWanted: ((stream: string) => void)[] = [];
  /** What is being done for a stream; later work waits for it. */
  readonly #busy = new Map<string, Promise<void>>();
  #handlerFailures = 0;
  #resets = 0;

  /** Constructs one that knows no position. */
  constructor(options: EphemeralStreamsOptions) {
    this.#options = options;
    this.#streams = new Map(options.streams.map((each) => [each.name, each]));
  }

  /** How many catch-ups are under way: streams that are not live yet. */
  pending = 0;

  /** Handlers that threw or rejected. */
  get handlerFailures(): number {
    return this.#handlerFailures;
  }

  /** Times that rows could not be had. */
  get resets(): number {
    return this.#resets;
  }

  /** Batches that wait for a handler which is called again. */
  get queuedBatches(): number {
    return [...this.#subscribers.values()].flat()
      .reduce((sum, { subscription }) => sum + subscription.queued, 0);
  }

  /** Whether there are none. */
  get isEmpty(): boolean {
    return this.#streams.size === 0;
  }

  /** Whether a stream is one of these. */
  has(stream: string): boolean {
    return this.#streams.has(stream);
  }

  /**
   * Calls a handler with later rows, by its own policy, and `onReset` if some
   * are missing: then what it would be called with again is given up first.
   */
  addHandler(
    stream: string,
    handler: StreamHandler,
    options: EphemeralSubscribeOptions = {},
  ): () => void {
    const { clock, logger } = this.#options;
    const subscription = new StreamSubscription(handler, options, {
      clock,
      logger,
      failed: () => void (this.#handlerFailures += 1),
    });
    const added = { subscription, onReset: options.onReset };
    const others = () => this.#subscribersOf(stream).filter((s) => s !== added);
    const isFirst = !this.isWanted(stream);
    this.#subscribers.set(stream, [...others(), added]);
    if (isFirst) { for (const wanted of this.#onWanted) wanted(stream); }
    return () => {
      subscription.close();
      this.#subscribers.set(stream, others());
    };
  }

  /** Calls no handler again that has failed. */
  close(): void {
    for (const { subscription } of [...this.#subscribers.values()].flat()) {
      subscription.close();
    }
  }

  /**
   * Whether anybody has ever subscribed: before, rows are of no use here, and
   * the first subscriber is to be given all that is held.
   */
  isWanted(stream: string): boolean {
    return this.#subscribers.has(stream);
  }

  /** Calls `wanted` with each stream that gets its first subscriber. */
  onWanted(wanted: (stream: string) => void): void {
    this.#onWanted.push(wanted);
  }

  /** How far an instance's part of a stream has been taken in. */
  channel(stream: string, instance: string): Channel {
    const name = `${stream} ${instance}`;
    let channel = this.#channels.get(name);
    if (channel === undefined) {
      channel = { stream, instance, token: TOKEN_ZERO, run: undefined };
      this.#channels.set(name, channel);
    }
    return channel;
  }

  /**
   * Takes in the rows of a token, unless they have been: then the position
   * stands at it. Without rows it only moves.
   *
   * @returns A promise if there is something to wait for.
   */
  apply(
    channel: Channel,
    token: Token,
    rows: readonly unknown[],
  ): void | Promise<void> {
    return this.#inTurn(channel.stream, () => {
      if (token <= channel.token) return undefined;
      const { stream, instance } = channel;
      const subscribers = rows.length === 0 ? [] : this.#subscribersOf(stream);
      const batch: Batch = { stream, instance, token, rows };
      const handled = this.#each(
        subscribers.map(({ subscription }) => () => subscription.take(batch)),
        channel,
      );
      return moveAfter(handled, channel, token);
    });
  }

  /**
   * Promise 6, missed means flushed: clears every cache that the rows could
   * have touched, tells the handlers, and then stands at a token.
   */
  reset(
    channel: Channel,
    token: Token,
    reason: string,
  ): void | Promise<void> {
    const { stream, instance } = channel;
    const { caches, logger } = this.#options;
    return this.#inTurn(stream, () => {
      this.#resets += 1;
      logger("info", "rows of an ephemeral stream are missing", {
        stream,
        instance,
        reason,
      });
      if (this.#streams.get(stream)?.touchesCaches) {
        caches.flush({
          reason: `stream "${stream}": ${reason}`,
          instance,
          mayServeOld: true,
        });
      }
      const told = this.#each(
        this.#subscribersOf(stream).flatMap(({ subscription, onReset }) => [
          () => subscription.giveUp(instance),
          () => onReset?.({ stream, instance, reason }),
        ]),
        channel,
      );
      return moveAfter(told, channel, token);
    });
  }

  #subscribersOf(stream: string): readonly Subscriber[] {
    return this.#subscribers.get(stream) ?? [];
  }

  #inTurn(
    stream: string,
    work: () => void | Promise<void>,
  ): void | Promise<void> {
    const before = this.#busy.get(stream);
    const done = before === undefined ? work() : before.then(work);
    if (done === undefined) return;
    const busy = done.finally(() => {
      if (this.#busy.get(stream) === busy) this.#busy.delete(stream);
    });
    this.#busy.set(stream, busy);
    return busy;
  }

  /** Calls one after another; stays synchronous while they do. */
  #each(
    calls: readonly (() => void | Promise<void>)[],
    channel: Channel,
  ): undefined | Promise<void> {
    let waiting: Promise<void> | undefined;
    for (const call of calls) {
      waiting = waiting === undefined
        ? this.#call(call, channel)
        : waiting.then(() => this.#call(call, channel));
    }
    return waiting;
  }

  #call(
    call: () => void | Promise<void>,
    channel: Channel,
  ): undefined | Promise<void> {
    try {
      const done = call();
      if (done === undefined) return undefined;
      return Promise.resolve(done).catch((e) => this.#report(channel, e));
    } catch (error) {
      this.#report(channel, error);
      return undefined;
    }
  }

  #report({ stream, instance, token }: Channel, error: unknown): void {
    this.#handlerFailures += 1;
    this.#options.logger("error", "stream handler failed", {
      stream,
      instance,
      after: token,
      error: messageOf(error),
    });
  }
}

/** Moves a position once the handlers are done. */
function moveAfter(
  handled: Promise<void> | undefined,
  channel: Channel,
  token: Token,
): undefined | Promise<void> {
  if (handled !== undefined) {
    return handled.then(() => void (channel.token = token));
  }
  channel.token = token;
  return undefined;
}

/**
 * Hearing, through the database, that there is something to read.
 *
 * @module
 */

import type { ListenClient } from "../database/postgres_notify.ts";
import { Backoff } from "../runtime/backoff.ts";
import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError, messageOf } from "../runtime/errors.ts";
import { LISTEN_CHECK_INTERVAL_MS } from "../runtime/limits.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Random } from "../runtime/random.ts";
import { abortable, pause } from "../runtime/waiting.ts";
import { parseToken, type Token } from "../tokens/token.ts";

/** What {@linkcode NotifyListener} works with. */
export interface NotifyListenerOptions {
  /** Opens a connection, which is thrown away once it is lost. */
  readonly open: (
    notified: (payload: string) => void,
    disconnected: () => void,
  ) => ListenClient;
  /** An instance has come to a token. */
  readonly poked: (instance: string, token: Token) => void;
  /** It listens, from now on: what was said before may have been missed. */
  readonly listening: () => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/**
 * Keeps one connection that listens. Whatever is said while there is none is
 * lost, so each beginning counts as a gap. Whether the server still knows that
 * it listens is asked every few seconds: a connection can be lost unnoticed.
 */
export class NotifyListener {
  readonly #options: NotifyListenerOptions;
  readonly #closing = new AbortController();
  readonly #running: Promise<void>;
  #isListening = false;

  /** Begins to listen. */
  constructor(options: NotifyListenerOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  /** Whether it hears what is said now, as far as it knows. */
  get isListening(): boolean {
    return this.#isListening;
  }

  /** Disconnects for good. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { logger } = this.#options;
    const { signal } = this.#closing;
    const backoff = new Backoff(this.#options);
    while (!signal.aborted) {
      try {
        await this.#listen(() => backoff.reset());
      } catch (error) {
        logger("warn", "cannot listen for NOTIFY, trying again", {
          error: messageOf(error),
        });
      }
      this.#isListening = false;
      await backoff.pause(signal);
    }
  }

  /** One connection, until it is lost or closed. */
  async #listen(listens: () => void): Promise<void> {
    const { open, clock, listening } = this.#options;
    const { signal } = this.#closing;
    const ending = new AbortController();
    const end = () => ending.abort(lostError());
    signal.addEventListener("abort", end);
    const client = open((payload) => this.#heard(payload), end);
    try {
      await this.#inTime(client.listen(), ending);
      this.#isListening = true;
      listens();
      listening();
      while (!ending.signal.aborted) {
        await pause(clock, LISTEN_CHECK_INTERVAL_MS, ending.signal);
        if (ending.signal.aborted) break;
        if (!await this.#inTime(client.isListening(), ending)) break;
      }
    } finally {
      signal.removeEventListener("abort", end);
      await client.close();
    }
  }

  /** A connection whose other end is gone would answer never. */
  async #inTime<Value>(
    answer: Promise<Value>,
    ending: AbortController,
  ): Promise<Value> {
    // It may fail after it was given up.
    answer.catch(() => {});
    ending.signal.throwIfAborted();
    const end = () => ending.abort(lostError());
    const cancel = this.#options.clock.schedule(end, LISTEN_CHECK_INTERVAL_MS);
    try {
      return await abortable(answer, ending.signal);
    } finally {
      cancel();
    }
  }

  #heard(payload: string): void {
    const [instance, text] = payload.split(" ");
    const token = Number(text);
    // Whoever else uses the channel.
    if (!instance || !Number.isSafeInteger(token) || token < 0) return;
    this.#options.poked(instance, parseToken(token));
  }
}

function lostError(): HeadwaterError {
  return new HeadwaterError(
    "DATABASE_UNAVAILABLE",
    "Cannot listen for NOTIFY: the connection is lost; it is made again by itself",
  );
}

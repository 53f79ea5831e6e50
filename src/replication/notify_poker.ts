/**
 * Telling readers, through the database, that there is something to read.
 *
 * @module
 */

import type { NotifyClient } from "../database/postgres_notify.ts";
import type { Clock } from "../runtime/clock.ts";
import { messageOf } from "../runtime/errors.ts";
import {
  CLOSE_GRACE_MS,
  MAX_BACKOFF_MS,
  NOTIFY_INTERVAL_MS,
} from "../runtime/limits.ts";
import type { Logger } from "../runtime/logger.ts";
import { pause, soon } from "../runtime/waiting.ts";
import type { Token } from "../tokens/token.ts";

/** What {@linkcode NotifyPoker} works with. */
export interface NotifyPokerOptions {
  readonly client: NotifyClient;
  /** Who writes. */
  readonly instance: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Says how far an instance has come, and nothing else: rows are in the log.
 *
 * It speaks after commits, on a connection of its own: a NOTIFY in a write
 * transaction would make all commits of the server wait for each other. It
 * speaks once for all commits of an interval, so that there is one at a time.
 * What is lost, as with a process that dies, readers find by their poll.
 */
export class NotifyPoker {
  readonly #options: NotifyPokerOptions;
  readonly #closing = new AbortController();
  #token: Token | undefined;
  #told: Token | undefined;
  #running: Promise<void> | undefined;

  /** Constructs one that has said nothing. */
  constructor(options: NotifyPokerOptions) {
    this.#options = options;
  }

  /** Says soon that everything up to a token is committed. */
  poke(token: Token): void {
    this.#token = token;
    this.#running ??= this.#run();
  }

  /** Says what is left to say, if the server takes it at once, and disconnects. */
  async close(): Promise<void> {
    const { client, clock } = this.#options;
    this.#closing.abort();
    await soon(this.#running ?? Promise.resolve(), clock, CLOSE_GRACE_MS);
    await client.close();
  }

  async #run(): Promise<void> {
    const { client, instance, clock, logger } = this.#options;
    const { signal } = this.#closing;
    // Commits of one turn come together.
    await new Promise<void>((resolve) => clock.nextTurn(resolve));
    let delayMs = NOTIFY_INTERVAL_MS;
    while (this.#told !== this.#token) {
      const token = this.#token;
      try {
        await client.notify(`${instance} ${token}`);
        this.#told = token;
        delayMs = NOTIFY_INTERVAL_MS;
      } catch (error) {
        if (signal.aborted) break;
        logger("warn", "cannot notify readers, trying again", {
          error: messageOf(error),
        });
        delayMs = Math.min(MAX_BACKOFF_MS, delayMs * Math.E);
      }
      await pause(clock, delayMs, signal);
    }
    // In the turn in which nothing was left to say.
    this.#running = undefined;
  }
}

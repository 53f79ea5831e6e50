/**
 * Trying again what the database may refuse for a while.
 *
 * @module
 */

import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError, messageOf, quote } from "../runtime/errors.ts";
import {
  MAX_ADOPTION_TRIES,
  MAX_BACKOFF_MS,
  MIN_BACKOFF_MS,
} from "../runtime/limits.ts";
import type { Logger } from "../runtime/logger.ts";
import { pause } from "../runtime/waiting.ts";
import type { Token } from "../tokens/token.ts";

/** What {@linkcode Attempts} works with. */
export interface AttemptsOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Gives up what is under way. */
  readonly signal: AbortSignal;
}

/** Tries things until they succeed, take too long, or can't succeed. */
export class Attempts {
  readonly #options: AttemptsOptions;
  #running = 0;

  /** Constructs one that tries nothing. */
  constructor(options: AttemptsOptions) {
    this.#options = options;
  }

  /** How many things are being tried. */
  get running(): number {
    return this.#running;
  }

  /**
   * Tries until it succeeds.
   *
   * @param problem What to log where it does not.
   * @param instance Whose position it concerns.
   * @param attempt What to try.
   * @returns Whether it has; not if it was given up.
   * @throws What it failed with, if that takes too long or what is wanted is gone.
   */
  async run(
    problem: string,
    instance: string,
    attempt: () => Promise<void>,
  ): Promise<boolean> {
    const { clock, logger, signal } = this.#options;
    let delayMs = MIN_BACKOFF_MS;
    this.#running += 1;
    try {
      for (let tries = 1; !signal.aborted; tries += 1) {
        try {
          await attempt();
          return !signal.aborted;
        } catch (error) {
          if (signal.aborted) return false;
          logger("error", problem, { instance, error: messageOf(error) });
          if (tries === MAX_ADOPTION_TRIES || isFinal(error)) throw error;
        }
        await pause(clock, delayMs, signal);
        delayMs = Math.min(MAX_BACKOFF_MS, delayMs * Math.E);
      }
      return false;
    } finally {
      this.#running -= 1;
    }
  }
}

function isFinal(error: unknown): boolean {
  return error instanceof HeadwaterError &&
    (error.code === "LOG_REWOUND" || error.code === "POSITION_FOREIGN");
}

/** The error of a token that lies beyond the log. */
export function foreignError(
  instance: string,
  token: Token,
  end: Token,
  source = "the writer",
): HeadwaterError {
  return new HeadwaterError(
    "POSITION_FOREIGN",
    `Cannot adopt token ${token} of instance ${quote(instance)}, as ` +
      `${source} tells it: this database's log ends at ${end}; replicate from ` +
      "this database's own writer, and give each log a channel of its own",
  );
}

/** Whether it is that error. */
export function isForeign(error: unknown): boolean {
  return error instanceof HeadwaterError && error.code === "POSITION_FOREIGN";
}

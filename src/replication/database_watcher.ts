/**
 * Following instances through the database, where there is no connection to them.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";
import { readNewestId } from "../log/history.ts";
import { readHorizon } from "../log/horizon.ts";
import { type InstanceEnd, readEnds } from "../log/instances.ts";
import type { CancelTimer, Clock } from "../runtime/clock.ts";
import { messageOf } from "../runtime/errors.ts";
import { MAX_BACKOFF_MS } from "../runtime/limits.ts";
import type { Logger } from "../runtime/logger.ts";
import { abortable } from "../runtime/waiting.ts";
import { type Token, TOKEN_ZERO } from "../tokens/token.ts";

/** What {@linkcode DatabaseWatcher} works with. */
export interface DatabaseWatcherOptions {
  /** Reads the log. */
  readonly session: Session;
  /** Clears the caches if the database has been replaced; says how often it was. */
  readonly refresh?: (() => Promise<number>) | undefined;
  /** Whether an instance tells of its commits itself, over a connection. */
  readonly isConnected: (instance: string) => boolean;
  /** Whether an instance's log ends where the reader stands. */
  readonly isReached: (end: InstanceEnd) => boolean;
  /** Whether a token of an instance has been applied. */
  readonly isApplied: (instance: string, token: Token) => boolean;
  /** Which instances' names another process has by now; none is believed to tell of them. */
  readonly taken?: (() => Promise<readonly string[]>) | undefined;
  /** Applies what an instance has written up to a token that is complete. */
  readonly follow: (
    instance: string,
    base: Token | undefined,
    upTo: Token,
  ) => Promise<void>;
  /** How often to look, in ms; 0 for only when poked. */
  readonly intervalMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Looks for what instances have written that nobody tells of: new ones, ones
 * whose process has died or can't be reached, and ones that listen nowhere.
 *
 * What it reads is complete: see {@linkcode readHorizon}. So a process that was
 * killed between its commit and its announcement holds nobody up.
 */
export class DatabaseWatcher {
  readonly #options: DatabaseWatcherOptions;
  readonly #closing = new AbortController();
  readonly #cancelTimer: CancelTimer | undefined;
  #cancelRetry: CancelTimer | undefined;
  #isPoked = false;
  #linear: Token | undefined;
  /** Which of the databases that were in this one's place it is. */
  #life: number | undefined;
  /** The commit id of the newest transaction up to there. */
  #newest: string | undefined;
  #looking: Promise<void> | undefined;

  /**
   * Begins to watch.
   *
   * @param options What to work with.
   */
  constructor(options: DatabaseWatcherOptions) {
    this.#options = options;
    const { clock, intervalMs } = options;
    if (intervalMs === 0) return;
    this.#cancelTimer = clock.repeat(() => void this.look(), intervalMs);
  }

  /**
   * The token up to which everything of every instance has been applied. It
   * moves back only where the log did, or the database was replaced.
   */
  get linear(): Token {
    return this.#linear ?? TOKEN_ZERO;
  }

  /**
   * Ends watching, once what is under way is done. A handler that is still at
   * work is not waited for: it may be the one that closes.
   */
  async close(): Promise<void> {
    this.#cancelTimer?.();
    this.#cancelRetry?.();
    this.#closing.abort();
    await this.#looking;
  }

  /** Looks now; nothing else happens if it is looking already. */
  look(): Promise<void> {
    this.#looking ??= this.#look()
      .catch((error) => {
        if (this.#closing.signal.aborted) return;
        this.#options.logger("warn", "cannot look for other instances", {
          error: messageOf(error),
        });
        this.#retry();
      })
      .finally(() => {
        this.#looking = undefined;
        if (this.#isPoked) this.poke();
      });
    return this.#looking;
  }

  /** Looks once more, after one that is under way: it may have begun too early. */
  poke(): void {
    this.#isPoked = this.#looking !== undefined;
    if (this.#isPoked || this.#closing.signal.aborted) return;
    void this.look();
  }

  /** What a poke told of must not wait for the next one, or for a long interval. */
  #retry(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = this.#options.clock.schedule(
      () => this.poke(),
      MAX_BACKOFF_MS,
    );
  }

  async #look(): Promise<void> {
    const { session, isConnected, isReached, isApplied, follow, clock } =
      this.#options;
    const { signal } = this.#closing;
    const life = await this.#options.refresh?.();
    if (life !== this.#life) {
      // What was applied of the one before says nothing of this one.
      this.#linear = this.#newest = undefined;
      this.#life = life;
    }
    const horizon = await readHorizon(session, { clock, signal });
    const base = this.#linear;
    // Promise 7: over a shared channel nothing else shows it if HELD was lost.
    for (const name of await this.#options.taken?.() ?? []) {
      await follow(name, base, horizon);
    }
    // A log that was rewound may have come to the same token again.
    const newest = await readNewestId(session, horizon);
    if (horizon === this.#linear && newest === this.#newest) return;
    let isComplete = true;
    for (const end of await readEnds(session, horizon)) {
      if (signal.aborted) return;
      const { name, token } = end;
      if (!isConnected(name) && !isReached(end)) {
        await abortable(follow(name, base, horizon), signal);
      }
      isComplete &&= token === TOKEN_ZERO || isApplied(name, token);
    }
    // Behind it the log was rewound: `follow` has seen to the caches.
    const isRewound = base !== undefined && horizon < base;
    if (!isComplete && !isRewound) return;
    this.#linear = horizon;
    this.#newest = newest;
  }
}

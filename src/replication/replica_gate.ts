/**
 * Waiting until a read replica has seen what its primary's writers tell of.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";
import { readFloor } from "../log/history.ts";
import type { Clock } from "../runtime/clock.ts";
import { messageOf } from "../runtime/errors.ts";
import { MAX_BACKOFF_MS } from "../runtime/limits.ts";
import type { Logger } from "../runtime/logger.ts";
import { pause } from "../runtime/waiting.ts";
import { type Token, TOKEN_ZERO } from "../tokens/token.ts";

const LOOK_INTERVAL_MS = 2;
const MAX_LOOK_INTERVAL_MS = 50;
const MAX_SEEN = 1_000;

const READ_SEEN = `SELECT token FROM headwater_log
  WHERE token >= ? AND instance = ? ORDER BY token LIMIT ${MAX_SEEN}`;

/** What {@linkcode ReplicaGate} works with. */
export interface ReplicaGateOptions {
  /** A session of the replica. */
  readonly replica: Session;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Tells when a transaction is visible on the replica: its log record arrives
 * with its data. Transactions arrive in the order of their commits, which is not
 * that of their tokens, so each is looked for by itself.
 */
export class ReplicaGate {
  readonly #options: ReplicaGateOptions;
  readonly #closing = new AbortController();
  /** Tokens of an instance that were seen at the last look. */
  readonly #seen = new Map<string, Set<Token>>();

  /** Constructs one that has seen nothing. */
  constructor(options: ReplicaGateOptions) {
    this.#options = options;
  }

  /**
   * Resolves once the transaction is visible; never, if the replica stays behind.
   *
   * @param isRewound Whether what was seen before may be of a log that was
   *   rewound: its tokens are given again.
   */
  async visible(
    instance: string,
    token: Token,
    isRewound = false,
  ): Promise<void> {
    if (isRewound) this.#seen.delete(instance);
    if (token === TOKEN_ZERO) return;
    const { clock, logger } = this.#options;
    const { signal } = this.#closing;
    let delayMs = LOOK_INTERVAL_MS;
    while (!this.#seen.get(instance)?.has(token)) {
      try {
        if (await this.#look(instance, token)) return;
        delayMs = Math.min(delayMs * 2, MAX_LOOK_INTERVAL_MS);
      } catch (error) {
        delayMs = Math.min(delayMs * Math.E, MAX_BACKOFF_MS);
        logger("warn", "cannot ask the replica", { error: messageOf(error) });
      }
      await pause(clock, delayMs, signal);
      signal.throwIfAborted();
    }
  }

  /** Ends every wait with an error. */
  close(): void {
    this.#closing.abort();
  }

  async #look(instance: string, token: Token): Promise<boolean> {
    const { replica } = this.#options;
    const rows = await replica.rows(READ_SEEN, [token, instance]);
    const seen = new Set(rows.map(([found]) => Number(found) as Token));
    this.#seen.set(instance, seen);
    // A record that retention has deleted there was there before.
    return seen.has(token) || await readFloor(replica) >= token;
  }
}

/**
 * Waiting until a read replica has seen what its primary's writers tell of.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";
import { readFloor, readHolderMark } from "../log/history.ts";
import { hasRecord } from "../log/read.ts";
import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError, messageOf } from "../runtime/errors.ts";
import { MARK_INTERVAL_MS, MAX_BACKOFF_MS } from "../runtime/limits.ts";
import type { Logger } from "../runtime/logger.ts";
import { pause } from "../runtime/waiting.ts";
import { isSameHolder } from "../tokens/holders.ts";
import { type Token, TOKEN_ZERO } from "../tokens/token.ts";

const LOOK_INTERVAL_MS = 2;
const MAX_LOOK_INTERVAL_MS = 50;
const MAX_SEEN = 1_000;

const READ_SEEN = `SELECT token FROM headwater_log
  WHERE token >= ? AND instance = ? ORDER BY token LIMIT ${MAX_SEEN}`;

const READ_WRITTEN = "SELECT pg_current_wal_lsn()::text";
const READ_REPLAYED = "SELECT pg_last_wal_replay_lsn()::text";

/** Resolves once what a transaction wrote can be read. */
export type VisibilityGate = (
  instance: string,
  token: Token,
  isRewound?: boolean,
) => Promise<void>;

/** What {@linkcode ReplicaGate} works with. */
export interface ReplicaGateOptions {
  /** A session of the replica. */
  readonly replica: Session;
  /** A session of the primary: what is gone there never comes to the replica. */
  readonly primary: Session;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Tells when a transaction is visible on the replica: its log record arrives
 * with its data. Transactions arrive in the order of their commits, which is not
 * that of their tokens, so each is looked for by itself.
 *
 * A wait ends with `LOG_REWOUND` once the primary's log has lost what is waited
 * for: by a restore, or by a failover.
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
   * Resolves once the transaction is visible; with `isReset`, once everything
   * is that the primary has by now, whatever was seen before: lower tokens may
   * have been committed later, and a log that was rewound gives tokens again.
   *
   * @throws {HeadwaterError} `LOG_REWOUND` if it never will be; `CLOSED`.
   */
  async visible(
    instance: string,
    token: Token,
    isReset = false,
  ): Promise<void> {
    const isSeen = () => this.#seen.get(instance)?.has(token) === true;
    if (isReset) {
      this.#seen.delete(instance);
      await this.#untilReplayed(instance);
    }
    if (token === TOKEN_ZERO || isSeen()) return;
    await this.#until(
      () => isSeen() || this.#look(instance, token),
      () => this.#requireRecord(instance, token),
    );
  }

  /** Ends every wait with an error. */
  close(reason: HeadwaterError): void {
    this.#closing.abort(reason);
  }

  /** Asks until it is so, and now and then whether it can still become so. */
  async #until(
    isSo: () => boolean | Promise<boolean>,
    requirePossible: () => Promise<void>,
  ): Promise<void> {
    const { clock, logger } = this.#options;
    const { signal } = this.#closing;
    let delayMs = LOOK_INTERVAL_MS;
    let askedMs = clock.monotonicMs();
    while (true) {
      try {
        if (await isSo()) return;
        delayMs = Math.min(delayMs * 2, MAX_LOOK_INTERVAL_MS);
        if (clock.monotonicMs() - askedMs >= MARK_INTERVAL_MS) {
          await requirePossible();
          askedMs = clock.monotonicMs();
        }
      } catch (error) {
        if (error instanceof HeadwaterError && error.code === "LOG_REWOUND") {
          throw error;
        }
        delayMs = Math.min(delayMs * Math.E, MAX_BACKOFF_MS);
        logger("warn", "cannot ask the replica", { error: messageOf(error) });
      }
      await pause(clock, delayMs, signal);
      signal.throwIfAborted();
    }
  }

  async #look(instance: string, token: Token): Promise<boolean> {
    const { replica } = this.#options;
    const rows = await replica.rows(READ_SEEN, [token, instance]);
    const seen = new Set(rows.map(([found]) => Number(found) as Token));
    this.#seen.set(instance, seen);
    // A record that retention has deleted there was there before.
    return seen.has(token) || await readFloor(replica) >= token;
  }

  async #requireRecord(instance: string, token: Token): Promise<void> {
    const { primary } = this.#options;
    if (await hasRecord(primary, instance, token)) return;
    if (await readFloor(primary) >= token) return;
    throw goneError(`token ${token} of instance "${instance}"`);
  }

  /**
   * Waits until the replica has what the primary has now, and knows the same
   * holder of the name: one that stands apart since before a restore doesn't.
   * A copy that can't say how far it has come, as it isn't a physical one, is
   * asked for the holder and the record only.
   */
  async #untilReplayed(instance: string): Promise<void> {
    const { primary, replica } = this.#options;
    const written = await readLsn(primary, READ_WRITTEN);
    let holder = await readHolderMark(primary, instance);
    await this.#until(
      async () => {
        const replayed = await readLsn(replica, READ_REPLAYED);
        const isThere = replayed === undefined || written === undefined ||
          replayed >= written;
        return isThere &&
          isSameHolder(holder, await readHolderMark(replica, instance));
      },
      async () => {
        const now = await readLsn(primary, READ_WRITTEN);
        if (now !== undefined && written !== undefined && now < written) {
          throw goneError("what the primary had");
        }
        holder = await readHolderMark(primary, instance);
      },
    );
  }
}

/** A place in PostgreSQL's own log, which it writes as two hexadecimal numbers. */
async function readLsn(
  session: Session,
  sql: string,
): Promise<bigint | undefined> {
  const [row] = await session.rows(sql, []);
  const [high, low] = String(row?.[0] ?? "").split("/");
  if (!high || !low) return undefined;
  return (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`);
}

function goneError(what: string): HeadwaterError {
  return new HeadwaterError(
    "LOG_REWOUND",
    `Cannot wait for the replica to have ${what}: the primary does not have it ` +
      "any more; it was restored, or failed over to a copy that lacks it",
  );
}

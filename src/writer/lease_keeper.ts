/**
 * Holding an instance's name for as long as a writer store is open.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";
import { CommitUnknownError } from "../database/postgres_errors.ts";
import { retryReason } from "../database/retry.ts";
import { type Lease, releaseLease, renewLease } from "../log/lease.ts";
import type { CancelTimer, Clock } from "../runtime/clock.ts";
import { HeadwaterError, messageOf } from "../runtime/errors.ts";
import { MAX_ATTEMPTS } from "../runtime/limits.ts";
import type { Token } from "../tokens/token.ts";
import type { Logger } from "../runtime/logger.ts";

/** What a keeper works with. */
export interface LeaseKeeperOptions {
  /** Runs something in a transaction of the database that the lease is in. */
  readonly transact: (
    name: string,
    work: (session: Session) => Promise<void>,
  ) => Promise<void>;
  /** The lease, just taken. */
  readonly lease: Lease;
  /** How long it holds unless renewed, in ms. */
  readonly leaseMs: number;
  /** The last token that was taken under it. */
  readonly lastTaken: () => Token;
  /** How far the instance has got. */
  readonly position: () => Token;
  /** Called once, when another process has the name. */
  readonly lost: () => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Renews a lease three times in the time that it holds, until it is released. */
export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions;
  readonly #cancelTimer: CancelTimer;
  #renewing: Promise<void> | undefined;
  #isLost = false;

  /** Begins to keep a lease. */
  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
    this.#cancelTimer = options.clock.repeat(
      () => this.#renew(),
      options.leaseMs / 3,
    );
  }

  /**
   * Another process has the name: what it writes is not told of here, so nobody
   * must go on believing that it is.
   */
  lose(): void {
    if (this.#isLost) return;
    this.#isLost = true;
    this.#cancelTimer();
    this.#options.logger("error", "lease lost: readers are disconnected", {
      instance: this.#options.lease.instance,
    });
    this.#options.lost();
  }

  /** Gives the name free, behind every transaction that was called for before. */
  async release(): Promise<void> {
    const { transact, lease, lastTaken, position, logger } = this.#options;
    this.#cancelTimer();
    // It would take the name back.
    await this.#renewing;
    for (let attempt = 1;; attempt += 1) {
      try {
        return await transact(
          "release lease",
          (session) => releaseLease(session, lease, lastTaken(), position()),
        );
      } catch (error) {
        // The fence keeps it from giving another's name free.
        const mayHelp = retryReason(error) !== undefined ||
          error instanceof CommitUnknownError;
        if (mayHelp && attempt < MAX_ATTEMPTS) continue;
        logger("warn", "lease not released", { error: messageOf(error) });
        return;
      }
    }
  }

  /** One at a time: the next would only wait behind the one that hangs. */
  #renew(): void {
    this.#renewing ??= this.#tryToRenew().finally(() => {
      this.#renewing = undefined;
    });
  }

  /** A renewal that fails is tried again in its time, unless the lease is lost. */
  async #tryToRenew(): Promise<void> {
    const { transact, lease, leaseMs, position, clock, logger } = this.#options;
    try {
      await transact(
        "renew lease",
        (session) => renewLease(session, lease, leaseMs, position(), clock),
      );
    } catch (error) {
      logger("error", "lease not renewed", { error: messageOf(error) });
      if (error instanceof HeadwaterError && error.code === "LEASE_LOST") {
        this.lose();
      }
    }
  }
}

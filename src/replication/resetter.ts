/**
 * Starting over from a position, where what lies before it can't be had.
 *
 * @module
 */

import type { CacheRegistry } from "../caches/cache_registry.ts";
import type { Logger } from "../runtime/logger.ts";
import { resets } from "../telemetry/channels.ts";
import type { Holders } from "../tokens/holders.ts";
import type { Token } from "../tokens/token.ts";
import type { ChangeFiller } from "./change_filler.ts";
import type { LagMeter } from "./lag_meter.ts";
import type { ReaderPosition } from "./reader_position.ts";
import type { TransactionApplier } from "./transaction_applier.ts";

/** Why every cache is cleared, as logs and the journal have it. */
export type ResetReason =
  /** At which position what is cached was loaded, nobody knows. */
  | "first position of the instance"
  /** What is cached may have been read from a history that is no more. */
  | "the log was rewound"
  /** Retention has deleted some of what was missed. */
  | "the log does not reach back";

/** What a resetter works with. */
export interface ResetterOptions {
  readonly applier: TransactionApplier;
  readonly caches: CacheRegistry;
  readonly position: ReaderPosition;
  readonly logger: Logger;
  /** Is told where it starts over. */
  readonly lag?: LagMeter | undefined;
  /** Fills the change caches; if any are declared. */
  readonly changes?: ChangeFiller | undefined;
}

/**
 * Promise 6, missed means flushed: clears every cache, and then adopts the
 * position. Test: `tests/promises/06_missed_means_flushed.test.ts`.
 */
export class Resetter {
  readonly #options: ResetterOptions;
  #resets = 0;

  /** Constructs one that has cleared nothing. */
  constructor(options: ResetterOptions) {
    this.#options = options;
  }

  /** How often it has cleared every cache. */
  get resets(): number {
    return this.#resets;
  }

  /**
   * Clears every cache and adopts a position of an instance.
   *
   * @param holders Who has held the name, if that is adopted with it.
   */
  async reset(
    instance: string,
    token: Token,
    reason: ResetReason,
    holders?: Holders,
  ): Promise<void> {
    const { applier, caches, position, logger, lag, changes } = this.#options;
    const isRewound = reason === "the log was rewound";
    const reached = position.get(instance);
    const begin = reached === undefined && changes !== undefined
      ? await changes.read(instance, token)
      : () => changes?.suspend(instance);
    this.#resets += 1;
    logger("info", "every cache cleared", { instance, token, reason });
    if (resets.isHeard) resets.publish({ instance, token, reason });
    begin();
    // Of another history nothing is served, however old it may be.
    const cause = { reason, instance, token, mayServeOld: !isRewound };
    caches.flush(cause);
    const visible = applier.visibleAgain(instance, token);
    if (visible !== undefined) {
      await visible;
      // Promise 10: what was loaded meanwhile may be older.
      caches.flush(cause);
    }
    // Promise 3: not between two handlers of a transaction, nor while one waits.
    await applier.alone(() => {
      const now = position.get(instance);
      // Over another way it may have come further; only a rewound log goes back.
      const goesOn = !isRewound && position.contains(instance, token);
      const from = goesOn ? now ?? token : token;
      if (reached !== undefined) changes?.restart(instance, from, now);
      if (goesOn) {
        if (holders !== undefined) position.goOn(instance, holders);
        return;
      }
      position.reset(instance, token, holders);
      lag?.reset(instance, token);
    });
  }
}

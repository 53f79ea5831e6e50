/**
 * What a follower works with.
 *
 * @module
 */

import type { CacheRegistry } from "../caches/cache_registry.ts";
import type { Session } from "../database/engine.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { CatchUpProgress } from "./catch_up_progress.ts";
import type { ChangeFiller } from "./change_filler.ts";
import type { EphemeralFollower } from "./ephemeral_follower.ts";
import type { HistoryMarks } from "./history_marks.ts";
import type { LagMeter } from "./lag_meter.ts";
import type { ReaderPosition } from "./reader_position.ts";
import type { TransactionApplier } from "./transaction_applier.ts";

/** What a follower works with. */
export interface FollowerOptions {
  /** Reads the log. */
  readonly session: Session;
  /** Clears the caches, and has the database opened anew, if it has been replaced. */
  readonly refresh: () => void | Promise<void>;
  readonly applier: TransactionApplier;
  readonly caches: CacheRegistry;
  readonly position: ReaderPosition;
  readonly history: HistoryMarks;
  /** Takes what belongs to streams that are in no log; if any are declared. */
  readonly ephemeral?: EphemeralFollower | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  /**
   * Whether the connection is one on which anybody may tell under an instance's
   * name, without a beginning or an end: a shared channel. It isn't by default.
   */
  readonly isShared?: (() => boolean) | undefined;
  /** Called when the first position is adopted, on each connection. */
  readonly live: () => void;
  /** Where the connection leads, for messages. */
  readonly source?: string | undefined;
  /** Is told what is announced. */
  readonly lag?: LagMeter | undefined;
  /** Fills the change caches; if any are declared. */
  readonly changes?: ChangeFiller | undefined;
  /** Keys of one cache in a step of a catch-up beyond which it is cleared; 10,000 by default. */
  readonly maxCatchUpKeys?: number | undefined;
  /** Is told how a catch-up comes along, page by page. */
  readonly onProgress?: ((progress: CatchUpProgress) => void) | undefined;
}

/** What a follower had to do besides applying what it was sent. */
export interface FollowerStats {
  /** Times that rows were fetched from the log. */
  readonly catchUps: number;
  /** Rows that were fetched, in all streams. */
  readonly catchUpRows: number;
  /** Times that rows could not be had, and every cache was cleared instead. */
  readonly resets: number;
  /** Catch-ups that are under way. */
  readonly catchingUp: readonly CatchUpProgress[];
}

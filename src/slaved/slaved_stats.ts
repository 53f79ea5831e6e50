/**
 * What a slaved store says of itself.
 *
 * @module
 */

/**
 * What a slaved store is doing: `"connecting"` has no writer to hear from and
 * answers from what it knows; `"live"` hears of every write as it happens;
 * `"closed"` answers no more.
 */
export type SlavedState = "connecting" | "live" | "closed";

/** What a slaved store has done so far. */
export interface SlavedStats {
  /** What it is doing. */
  readonly state: SlavedState;
  /** Transactions applied. */
  readonly transactions: number;
  /** Rows of them, in all streams. */
  readonly rows: number;
  /** Invalidation rows among them. */
  readonly invalidations: number;
  /** Invalidations of caches that this process doesn't have. */
  readonly unknownInvalidations: number;
  /** Times that every cache was cleared. */
  readonly flushes: number;
  /** Connections made. */
  readonly connections: number;
  /** Times that missed rows were fetched from the log. */
  readonly catchUps: number;
  /** Handlers that failed. */
  readonly handlerFailures: number;
}

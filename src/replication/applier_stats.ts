/**
 * What an applier tells of itself.
 *
 * @module
 */

/** What has been taken in so far. */
export interface ApplierStats {
  /** Transactions applied. */
  readonly transactions: number;
  /** Rows of them, in all streams. */
  readonly rows: number;
  /** The same, stream by stream. */
  readonly rowsByStream: ReadonlyMap<string, number>;
  /** Calls of handlers that threw or rejected. */
  readonly handlerFailures: number;
  /** Batches that wait behind one that a handler is to get again, that one included. */
  readonly queuedBatches: number;
}

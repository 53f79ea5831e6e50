/**
 * What a writer store counts.
 *
 * @module
 */

import type { StreamerStats } from "../replication/streamer_options.ts";

/** What a writer store has done so far. */
export interface WriterStats extends StreamerStats {
  /** Transactions committed. */
  readonly commits: number;
  /** Transactions rolled back. */
  readonly rollbacks: number;
  /** Times that one was run again, after the database gave it up. */
  readonly retries: number;
}

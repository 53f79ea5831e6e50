/**
 * Noticing that a database was restored, or is served by another server.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";
import { readDatabaseLife } from "../log/identity.ts";

/**
 * Remembers which lives of which servers reads have come from.
 *
 * What a reader has loaded may be newer than its position, and a restore or a
 * failover may undo it while the position still stands in the log's history:
 * then nothing in the log tells. Neither happens within a server's life without
 * the log's table being made anew.
 */
export class DatabaseLife {
  readonly #sessions: readonly Session[];
  #known: string | undefined;

  /** Constructs one that knows nothing yet; of SQLite's it never will. */
  constructor(sessions: readonly Session[]) {
    this.#sessions = sessions;
  }

  /** Whether it is another than when this was asked last. */
  async isAnother(): Promise<boolean> {
    const lives: (string | undefined)[] = [];
    for (const session of this.#sessions) {
      lives.push(await readDatabaseLife(session));
    }
    const before = this.#known;
    this.#known = lives.join("; ");
    return before !== undefined && before !== this.#known;
  }
}

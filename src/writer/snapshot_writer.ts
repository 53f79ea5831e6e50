/**
 * Storing snapshots of folded aggregates.
 *
 * @module
 */

import type { Engine } from "../database/engine.ts";
import {
  type Snapshot,
  type SnapshotKey,
  writeSnapshot,
} from "../events/snapshots.ts";
import { messageOf } from "../runtime/errors.ts";
import type { Logger } from "../runtime/logger.ts";
import type { RunningTransactions } from "./running_transactions.ts";

/** Snapshots that may wait to be written; those beyond are left for another fold. */
const MAX_PENDING_SNAPSHOTS = 100;

/**
 * What stores snapshots. A fold is right without: what fails is logged, and
 * nobody waits for it who may be in a transaction, which would wait for itself.
 *
 * @param engine The database.
 * @param running The store's transactions.
 */
export function snapshotWriter<Database>(
  engine: Pick<Engine<Database>, "transaction">,
  running: RunningTransactions,
  logger: Logger,
): (key: SnapshotKey, snapshot: Snapshot) => Promise<void> | undefined {
  const pending = new Set<string>();
  return (key, snapshot) => {
    const id = JSON.stringify([key.aggregate, key.reducer]);
    if (pending.has(id) || pending.size >= MAX_PENDING_SNAPSHOTS) return;
    pending.add(id);
    const isAlone = running.isIdle;
    const stored = engine.transaction(
      "snapshot",
      (session) => writeSnapshot(session, key, snapshot),
    ).catch((error) =>
      logger("warn", "snapshot not stored", { error: messageOf(error) })
    ).finally(() => pending.delete(id));
    return isAlone ? stored : undefined;
  };
}

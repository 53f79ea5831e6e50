/**
 * The thread that moves SQLite's log into its database file.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import { parentPort, workerData } from "node:worker_threads";

/** What the thread says of each checkpoint. */
export interface Checkpointed {
  /** Pages in the log. */
  readonly logged: number;
  /** Pages of them that are in the database file by now. */
  readonly moved: number;
}

const database = new DatabaseSync((workerData as { path: string }).path);
const checkpoint = database.prepare("PRAGMA wal_checkpoint(PASSIVE)");

parentPort?.on("message", () => {
  const { log, checkpointed } = checkpoint.get() as Record<string, number>;
  parentPort?.postMessage({ logged: log, moved: checkpointed });
});

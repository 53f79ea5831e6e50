/**
 * A connection of node:sqlite on a thread of its own, a message a statement:
 * the other way not to wait for the disk in the caller's thread.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import {
  isMainThread,
  parentPort,
  Worker,
  workerData,
} from "node:worker_threads";

/** A statement, and its parameters. */
type Message = readonly [sql: string, parameters: readonly (string | number)[]];

/** The connection, from the caller's side. */
export interface ThreadedConnection {
  /** Runs a statement there; those before come first. */
  run(...statement: Message): Promise<void>;
  close(): Promise<unknown>;
}

/** Starts the thread. */
export function openThread(path: string): ThreadedConnection {
  const worker = new Worker(new URL(import.meta.url), {
    workerData: { sqliteThread: path },
    execArgv: [],
  });
  const waiting: (() => void)[] = [];
  worker.on("message", () => waiting.shift()?.());
  return {
    run: (...statement) =>
      new Promise((resolve) => {
        waiting.push(resolve);
        worker.postMessage(statement);
      }),
    close: () => worker.terminate(),
  };
}

const path = (workerData as { sqliteThread?: string } | null)?.sqliteThread;
if (!isMainThread && path !== undefined) {
  const database = new DatabaseSync(path);
  database.exec("PRAGMA synchronous = full; PRAGMA wal_autocheckpoint = 10000");
  const prepared = new Map<string, ReturnType<typeof database.prepare>>();
  parentPort?.on("message", ([sql, parameters]: Message) => {
    const statement = prepared.get(sql) ?? database.prepare(sql);
    prepared.set(sql, statement);
    statement.run(...parameters);
    parentPort?.postMessage(undefined);
  });
}

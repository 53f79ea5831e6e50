/**
 * Keeping SQLite's write-ahead log short, without waiting for it in this thread.
 *
 * @module
 */

import { statSync } from "node:fs";
import { Worker } from "node:worker_threads";
import type { CancelTimer, Clock } from "../runtime/clock.ts";
import type { Checkpointed } from "./checkpoint_thread.ts";

/**
 * Commits between two checkpoints. Fewer cost small transactions a quarter of
 * their rate; at three pages each these are about 50 MiB of log.
 */
const COMMITS_PER_CHECKPOINT = 4_000;

/** How often, in ms, a log that is written slowly, or not any more, is looked at. */
const LOOK_INTERVAL_MS = 1_000;

/** Bytes of a log that are worth a checkpoint before its commits are enough. */
const MIN_LOG_BYTES = 4 * 1024 * 1024;

/** Pages of 4 KiB in the log, at which writers are held: 200 MiB. */
const MAX_LOG_PAGES = 50_000;

/** Commits without a fresh start of the log, at which writers are held. */
const MAX_COMMITS_LOGGED = 40_000;

/**
 * Has checkpoints made on a thread of its own, which begins with the first.
 *
 * A checkpoint writes and fsyncs tens of megabytes: a tenth of a second in
 * which the caller's event loop would stand still. The log starts over only
 * once a checkpoint has caught up with it, so writers that outrun theirs are
 * held until it has. Once nobody writes, one more is made: reads look each page
 * up in the log before they look in the file, which takes three times as long
 * while the log is long.
 */
export class SqliteCheckpointer {
  readonly #path: string;
  readonly #cancelTimer: CancelTimer;
  #worker: Worker | undefined;
  #running: Promise<void> | undefined;
  #sinceCheckpoint = 0;
  #sinceStart = 0;
  #isBehind = false;
  readonly #failed: (error: unknown) => void;
  #hasFailed = false;

  /**
   * Constructs one without a thread.
   *
   * @param failed Called if the thread can't be had; no further one is tried.
   */
  constructor(path: string, clock: Clock, failed: (error: unknown) => void) {
    this.#path = path;
    this.#failed = failed;
    this.#cancelTimer = clock.repeat(() => this.#look(), LOOK_INTERVAL_MS);
  }

  /**
   * Tells of a commit.
   *
   * @returns A promise if no other may begin before it resolves.
   */
  committed(): Promise<void> | undefined {
    this.#sinceCheckpoint += 1;
    this.#sinceStart += 1;
    if (this.#sinceStart >= MAX_COMMITS_LOGGED) this.#isBehind = true;
    if (this.#isBehind) return this.#catchUp();
    if (this.#sinceCheckpoint >= COMMITS_PER_CHECKPOINT) this.#beginOnce();
    return undefined;
  }

  /** Ends the thread. */
  async close(): Promise<void> {
    this.#cancelTimer();
    await this.#running;
    this.#worker?.ref();
    await this.#worker?.terminate();
    this.#worker = undefined;
  }

  #look(): void {
    if (this.#sinceCheckpoint === 0) return;
    const log = statSync(`${this.#path}-wal`, { throwIfNoEntry: false });
    if ((log?.size ?? 0) >= MIN_LOG_BYTES) this.#beginOnce();
  }

  #beginOnce(): void {
    if (this.#running === undefined && !this.#hasFailed) void this.#begin();
  }

  #begin(): Promise<void> {
    this.#running = this.#checkpoint().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** With nobody writing beside it, a checkpoint moves all there is. */
  async #catchUp(): Promise<void> {
    await this.#running;
    this.#isBehind = false;
    this.#sinceStart = 0;
    if (!this.#hasFailed) await this.#begin();
  }

  async #checkpoint(): Promise<void> {
    const before = this.#sinceStart;
    this.#sinceCheckpoint = 0;
    try {
      this.#worker ??= openWorker(this.#path);
      const { logged, moved } = await ask(this.#worker);
      if (logged > MAX_LOG_PAGES) this.#isBehind = true;
      if (logged === moved && this.#sinceStart === before) this.#sinceStart = 0;
    } catch (error) {
      // A bundle without the thread's file, say.
      this.#hasFailed = true;
      this.#failed(error);
    }
  }
}

function openWorker(path: string): Worker {
  const { url } = import.meta;
  const file = new URL(
    `./checkpoint_thread${url.slice(url.lastIndexOf("."))}`,
    url,
  );
  return new Worker(file, { workerData: { path }, execArgv: [] });
}

function ask(worker: Worker): Promise<Checkpointed> {
  return new Promise((resolve, reject) => {
    // Alone, the thread keeps no process alive; while it is waited for, it does.
    worker.ref();
    const end = () => {
      worker.unref();
      worker.off("message", answered);
      worker.off("error", failed);
    };
    const answered = (message: Checkpointed) => {
      end();
      resolve(message);
    };
    const failed = (error: unknown) => {
      end();
      reject(error);
    };
    worker.on("message", answered);
    worker.on("error", failed);
    worker.postMessage("checkpoint");
  });
}

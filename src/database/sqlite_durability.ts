/**
 * Pressing commits on the disk without waiting for it in this thread.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import fs from "node:fs";
import { dirname } from "node:path";
import { HeadwaterError, messageOf } from "../runtime/errors.ts";
import { LOG_ROOM_BYTES } from "../runtime/limits.ts";
import { type Deferred, deferred } from "../runtime/waiting.ts";

/**
 * A commit could not be pressed on the disk, or a transaction was not run since
 * an earlier one could not be. Never mended by running it again.
 */
export class UndurableError extends HeadwaterError {}

/** A commit that is in the log file and not yet known to be on the disk. */
interface Pending {
  readonly durable: () => void;
  readonly settled: Deferred<void>;
}

/**
 * What `synchronous = FULL` does, for many commits at once.
 *
 * SQLite appends a commit to its write-ahead log and, with FULL, calls fsync on
 * that file before it returns. Here it runs with NORMAL, which leaves that out,
 * and the same fsync is called on a thread of the runtime's pool: the commits
 * that come while it runs share the next one. None is told of before the fsync
 * that began after it has ended. What SQLite syncs besides, at a checkpoint, it
 * syncs with NORMAL too (https://sqlite.org/pragma.html#pragma_synchronous).
 */
export class SqliteDurability {
  readonly #path: string;
  #file: number | undefined;
  /** The file's length when it was last looked at. */
  #bytes = 0;
  #lacksRoom = false;
  #canGrow = true;
  #pending: Pending[] = [];
  #isPressing = false;
  #failure: UndurableError | undefined;
  #idle: Deferred<void> | undefined;

  /** Constructs one for the log of a database file; opened when it is needed. */
  constructor(path: string) {
    this.#path = path;
  }

  /**
   * Has the last commit pressed on the disk.
   *
   * @param durable Called once it is there, in the order of the calls.
   * @returns Resolves after it.
   * @throws {UndurableError} `COMMIT_UNKNOWN` if the disk refused: the commit can
   *   be read, and nothing can be known of what the disk holds any more.
   */
  press(durable: () => void): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const settled = deferred<void>();
    this.#pending.push({ durable, settled });
    if (!this.#isPressing) this.#begin();
    return settled.promise;
  }

  /** Whether the disk has refused: nothing is pressed any more. */
  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  /** Why a transaction is not to be run; only where it {@linkcode hasFailed}. */
  refusal(name: string): UndurableError {
    return new UndurableError(
      "DATABASE_UNAVAILABLE",
      `Cannot run "${name}" on database "${this.#path}": an earlier commit could ` +
        "not be pressed on the disk, so nothing more is written; check the " +
        "disk, close the store and open it again",
      { cause: this.#failure },
    );
  }

  /**
   * Lengthens the log file ahead of its commits, once they have come to its end.
   * An fsync need not wait then for the file system to note a new length: a
   * commit that waits for its own takes half the time. SQLite passes over what
   * is no frame (https://sqlite.org/walformat.html, section 4).
   *
   * To be called with SQLite's write lock held: nobody else lengthens it.
   */
  makeRoom(): void {
    if (!this.#lacksRoom || this.#file === undefined) return;
    this.#lacksRoom = false;
    try {
      const { size } = fs.fstatSync(this.#file);
      const zeros = Buffer.alloc(Math.min(size, LOG_ROOM_BYTES));
      this.#bytes = size +
        fs.writeSync(this.#file, zeros, 0, zeros.length, size);
    } catch {
      // The disk is full: SQLite is to have what is left of it.
      this.#canGrow = false;
    }
  }

  /** Waits for what is under way, and lets go of the file. */
  async close(): Promise<void> {
    if (this.#isPressing) {
      this.#idle ??= deferred();
      await this.#idle.promise;
    }
    if (this.#file !== undefined) fs.closeSync(this.#file);
    this.#file = undefined;
  }

  #begin(): void {
    this.#isPressing = true;
    // Commits of this turn of the event loop share the fsync.
    queueMicrotask(() => this.#press());
  }

  #press(): void {
    const pending = this.#pending;
    this.#pending = [];
    const done = (error: unknown) => this.#pressed(pending, error);
    const isNew = this.#file === undefined;
    try {
      this.#file ??= fs.openSync(`${this.#path}-wal`, "r+");
      this.#noteLength(this.#file);
    } catch (error) {
      done(error);
      return;
    }
    const file = this.#file;
    if (!isNew) {
      fs.fdatasync(file, done);
      return;
    }
    // Its name, too, must be on the disk: SQLite would see to that with FULL.
    pressFolder(dirname(this.#path), (error) => {
      if (error) done(error);
      else fs.fdatasync(file, done);
    });
  }

  #noteLength(file: number): void {
    const { size } = fs.fstatSync(file);
    this.#lacksRoom = this.#canGrow && size !== this.#bytes;
    this.#bytes = size;
  }

  #pressed(pending: readonly Pending[], error: unknown): void {
    if (error) this.#failure = failedError(this.#path, error);
    for (const { durable, settled } of pending) {
      if (this.#failure !== undefined) settled.reject(this.#failure);
      else {
        durable();
        settled.resolve();
      }
    }
    this.#isPressing = false;
    if (this.#pending.length > 0) this.#begin();
    else this.#idle?.resolve();
  }
}

function pressFolder(folder: string, done: (error: unknown) => void): void {
  let file: number;
  try {
    file = fs.openSync(folder, "r");
  } catch {
    // Not every system opens folders; such have no need for it.
    done(null);
    return;
  }
  fs.fsync(file, (error) => {
    fs.closeSync(file);
    done(error);
  });
}

function failedError(path: string, error: unknown): UndurableError {
  return new UndurableError(
    "COMMIT_UNKNOWN",
    `Cannot press database "${path}" on the disk: ${messageOf(error)}; the ` +
      "transaction is committed, but may be lost in a power failure; nothing " +
      "more is written: check the disk, close the store and open it again, " +
      "and read what is there before you repeat it",
    { cause: error },
  );
}

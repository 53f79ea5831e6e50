/**
 * SQLite as a database with one write connection.
 *
 * @module
 */

import type { DatabaseConnection } from "kysely";
import type { ReadonlyKysely } from "kysely/readonly";
import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import { Gate } from "../runtime/gate.ts";
import { pause } from "../runtime/waiting.ts";
import {
  BUSY_TIMEOUT_MS,
  MAX_QUEUED_TRANSACTIONS,
  MAX_READ_CONNECTIONS,
  MAX_TURN_MS,
  QUEUE_TIMEOUT_MS,
} from "../runtime/limits.ts";
import { type CommitGroup, createMember, rejectGroup } from "./commit_group.ts";
import type {
  Engine,
  Session,
  TransactionOptions,
  WriteSession,
} from "./engine.ts";
import { SqliteCheckpointer } from "./sqlite_checkpointer.ts";
import type { SqliteConnection } from "./sqlite_connection.ts";
import { sqliteDialect, writeConnection } from "./sqlite_dialect.ts";
import { describeSqliteError, isBusy } from "./sqlite_errors.ts";
import { SqliteDurability } from "./sqlite_durability.ts";
import { SqliteReads } from "./sqlite_reads.ts";
import { openForWriting, SqliteWriteSession } from "./sqlite_write.ts";
import { renamer, type TableNameOptions } from "./table_names.ts";
import { inertDriver, WriteKysely } from "./write_kysely.ts";

/**
 * How hard a commit is pressed on the disk. `"full"`: an acknowledged write
 * survives power loss, at the price of one fsync each. `"normal"`: it survives
 * the death of the process, not of the machine.
 */
export type Synchronous = "full" | "normal";

/** Options of an SQLite database. */
export interface SqliteOptions {
  /**
   * How hard a commit is pressed on the disk.
   *
   * @default {"full"}
   */
  readonly synchronous?: Synchronous | undefined;
  /**
   * How long to wait for another process's lock, in ms.
   *
   * @default {5000}
   */
  readonly busyTimeoutMs?: number | undefined;
  /**
   * Read-only connections for transactions and streamed queries of stores.
   *
   * @default {8}
   */
  readonly maxReadConnections?: number | undefined;
  /**
   * Transactions that may wait for the write connection.
   *
   * @default {10000}
   */
  readonly maxQueuedTransactions?: number | undefined;
  /**
   * How long a transaction may wait for the write connection, in ms.
   *
   * @default {30000}
   */
  readonly queueTimeoutMs?: number | undefined;
}

/** What {@linkcode SqliteEngine} takes. */
export interface SqliteEngineOptions extends SqliteOptions, TableNameOptions {
  /** The file; created if it isn't there. */
  readonly path: string;
  /** The clock that measures waits and turns. */
  readonly clock: Clock;
  /** Called once every connection is closed. */
  readonly closed?: (() => void) | undefined;
}

/**
 * One write connection, and read-only ones beside it.
 *
 * - WAL: readers see the last commit and never wait for a writer, nor it for them.
 * - `BEGIN IMMEDIATE`: the lock is taken first, so that no transaction fails
 *   halfway because another process wrote meanwhile.
 * - Nothing here waits for the disk, or for another process, in the caller's
 *   thread: see {@linkcode SqliteDurability} and {@linkcode SqliteCheckpointer}.
 */
export class SqliteEngine<Database> implements Engine<Database> {
  readonly dialect = "sqlite";
  readonly disconnections = 0;
  readonly #path: string;
  readonly #clock: Clock;
  readonly #busyTimeoutMs: number;
  readonly #connection: SqliteConnection;
  readonly #kyselyConnection: DatabaseConnection;
  readonly #durability: SqliteDurability | undefined;
  readonly #checkpointer: SqliteCheckpointer;
  readonly #reads: SqliteReads<Database>;
  readonly #gate: Gate;
  readonly #writes: WriteKysely<Database>;
  readonly #closed: (() => void) | undefined;
  /** Names of transactions that take long: they share no commit. */
  readonly #slow = new Set<string>();
  #group: CommitGroup | undefined;
  #awaited: CommitGroup | undefined;
  #isRunning = false;
  #turnBeganMs = 0;
  #isClosed = false;

  /**
   * Opens or creates the file.
   *
   * @param options Which file, and how.
   * @throws {HeadwaterError} `DATABASE_UNAVAILABLE`, `DATABASE_READ_ONLY` or `DATABASE_INVALID`.
   */
  constructor(options: SqliteEngineOptions) {
    const { path, clock, busyTimeoutMs = BUSY_TIMEOUT_MS } = options;
    const { maxReadConnections = MAX_READ_CONNECTIONS } = options;
    this.#path = path;
    this.#clock = clock;
    const rename = renamer(options);
    this.#busyTimeoutMs = busyTimeoutMs;
    this.#closed = options.closed;
    this.#connection = openForWriting({
      path,
      synchronous: options.synchronous ?? "full",
      busyTimeoutMs,
      rename,
    });
    this.#kyselyConnection = writeConnection(this.#connection);
    this.#writes = new WriteKysely(sqliteDialect(inertDriver()));
    this.#durability = options.synchronous === "normal"
      ? undefined
      : new SqliteDurability(path);
    this.#checkpointer = new SqliteCheckpointer(
      path,
      clock,
      // Without the thread SQLite does it itself, in this one.
      () => this.#connection.script("PRAGMA wal_autocheckpoint = 10000"),
    );
    try {
      this.#reads = new SqliteReads({
        path,
        busyTimeoutMs,
        maxReadConnections,
        rename,
      });
    } catch (error) {
      this.#connection.close();
      throw error;
    }
    this.#gate = new Gate({
      subject: "the write connection",
      permits: 1,
      maxQueued: options.maxQueuedTransactions ?? MAX_QUEUED_TRANSACTIONS,
      timeoutMs: options.queueTimeoutMs ?? QUEUE_TIMEOUT_MS,
      clock,
    });
  }

  get db(): ReadonlyKysely<Database> {
    return this.#reads.db;
  }

  get session(): Session {
    return this.#reads.session;
  }

  async transaction<Value>(
    name: string,
    work: (session: WriteSession<Database>) => Promise<Value>,
    options: TransactionOptions<Value> = {},
  ): Promise<Value> {
    await this.#gate.enter(name);
    let value: Value;
    let settled: Promise<void>;
    try {
      if (this.#isClosed) throw this.#closedError(name);
      const mayShare = options.mayShare === true && !this.#slow.has(name);
      const group = await this.#enterGroup(name, mayShare);
      const session = this.#begin(name);
      value = await this.#run(name, work, group, session);
      const member = createMember(
        name,
        () => options.committed?.(value),
        () => session.rolledBack(),
      );
      settled = member.settled.promise;
      group.members.push(member);
      this.#leaveGroup(group, mayShare);
      await this.#checkpointer.committed();
      await this.#yieldTurn();
    } finally {
      this.#gate.leave();
    }
    await settled;
    return value;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    // After the transactions that came first; those behind are refused.
    await this.#gate.enterLast("close");
    try {
      if (this.#isClosed) return;
      this.#commitGroup();
      this.#isClosed = true;
      await this.#durability?.close();
      await this.#checkpointer.close();
      await this.#reads.close();
      this.#connection.close();
      this.#closed?.();
    } finally {
      this.#gate.leave();
    }
  }

  /** The group that a transaction belongs to: the open one, or one of its own. */
  async #enterGroup(
    name: string,
    mayShare: boolean,
  ): Promise<CommitGroup> {
    if (this.#group !== undefined) {
      if (mayShare) {
        this.#connection.beginShared();
        return this.#group;
      }
      this.#commitGroup();
    }
    await this.#lock(name);
    this.#group = { members: [], beganMs: this.#clock.monotonicMs() };
    return this.#group;
  }

  #begin(name: string): SqliteWriteSession<Database> {
    const { db, end } = this.#writes.begin(name, this.#kyselyConnection);
    return new SqliteWriteSession(this.#connection, db, end);
  }

  async #run<Value>(
    name: string,
    work: (session: WriteSession<Database>) => Promise<Value>,
    group: CommitGroup,
    session: SqliteWriteSession<Database>,
  ): Promise<Value> {
    const beganMs = this.#clock.monotonicMs();
    this.#isRunning = true;
    try {
      const value = await work(session);
      session.end();
      this.#connection.releaseShared();
      return value;
    } catch (error) {
      session.end();
      session.rolledBack();
      this.#rollBackMember(group, error);
      throw this.#describe(name, error);
    } finally {
      this.#isRunning = false;
      this.#noteTime(name, this.#clock.monotonicMs() - beganMs);
    }
  }

  /** A failing transaction fails alone, if its part can be taken back by itself. */
  #rollBackMember(group: CommitGroup, error: unknown): void {
    this.#connection.endIterations();
    if (group.members.length > 0 && this.#connection.rollBackShared()) {
      this.#commitSoon(group);
      return;
    }
    this.#group = undefined;
    this.#rollBack();
    const members = [...group.members, NOBODY];
    rejectGroup({ ...group, members }, error, () => error);
  }

  #leaveGroup(group: CommitGroup, mayShare: boolean): void {
    const isFull = !mayShare || group.members.length >= MAX_GROUP ||
      this.#clock.monotonicMs() - group.beganMs >= MAX_TURN_MS;
    if (isFull) this.#commitGroup();
    else this.#commitSoon(group);
  }

  /** Leaves the commit to the next in line, if there is one. */
  #commitSoon(group: CommitGroup): void {
    if (this.#gate.queued === 0) {
      this.#commitGroup();
      return;
    }
    if (this.#awaited === group) return;
    this.#awaited = group;
    // Should the next have given up waiting, nobody else would.
    this.#clock.nextTurn(() => {
      if (this.#group === group && !this.#isRunning) this.#commitGroup();
    });
  }

  #commitGroup(): void {
    const group = this.#group;
    if (group === undefined) return;
    this.#group = undefined;
    try {
      this.#connection.commit();
    } catch (error) {
      this.#rollBack();
      rejectGroup(group, error, (name) => this.#describe(name, error));
      return;
    }
    const { members } = group;
    const durable = () => {
      for (const { committed, settled } of members) {
        committed();
        settled.resolve();
      }
    };
    if (this.#durability === undefined) return durable();
    this.#durability.press(durable).catch((error) => {
      for (const { settled } of members) settled.reject(error);
    });
  }

  /** A function that waits for something else would keep those before it waiting. */
  #noteTime(name: string, ms: number): void {
    if (ms < SLOW_MS) return;
    if (this.#slow.size >= MAX_SLOW_NAMES) this.#slow.clear();
    this.#slow.add(name);
  }

  /** Takes the write lock; waits for another process's without blocking this one. */
  async #lock(name: string): Promise<void> {
    const deadlineMs = this.#clock.monotonicMs() + this.#busyTimeoutMs;
    for (let delayMs = 1;; delayMs = Math.min(delayMs * 2, MAX_BUSY_PAUSE_MS)) {
      try {
        return this.#connection.begin();
      } catch (error) {
        const isOver = this.#clock.monotonicMs() >= deadlineMs;
        if (isOver || !isBusy(error)) throw this.#describe(name, error);
      }
      await pause(this.#clock, delayMs);
    }
  }

  #describe(name: string, error: unknown): unknown {
    return describeSqliteError(`run "${name}" on "${this.#path}"`, error);
  }

  #rollBack(): void {
    try {
      this.#connection.rollBack();
    } catch {
      // SQLite has rolled back by itself: a COMMIT that failed.
    }
  }

  /** See {@linkcode MAX_TURN_MS}. */
  #yieldTurn(): Promise<void> | undefined {
    const now = this.#clock.monotonicMs();
    if (now - this.#turnBeganMs < MAX_TURN_MS) return undefined;
    return new Promise((resolve) =>
      this.#clock.nextTurn(() => {
        this.#turnBeganMs = this.#clock.monotonicMs();
        resolve();
      })
    );
  }

  #closedError(name: string): HeadwaterError {
    return new HeadwaterError(
      "CLOSED",
      `Cannot run "${name}": database "${this.#path}" is closed; open it again`,
    );
  }
}

/** Transactions that share a commit, at most. */
const MAX_GROUP = 32;

/** How long, in ms, a transaction's function takes that shares no commit the next time. */
const SLOW_MS = 5;
const MAX_SLOW_NAMES = 1_000;

/** The transaction that failed is told by its own error. */
const NOBODY = createMember("", () => {}, () => {});

/** The longest pause, in ms, between two looks at another process's lock. */
const MAX_BUSY_PAUSE_MS = 10;

/**
 * Transactions on SQLite's one write connection, and the commits they share.
 *
 * @module
 */

import type { DatabaseConnection } from "kysely";
import type { Clock } from "../runtime/clock.ts";
import { MAX_TURN_MS } from "../runtime/limits.ts";
import { pause } from "../runtime/waiting.ts";
import {
  type CommitGroup,
  createFailed,
  createMember,
  rejectGroup,
  settleGroup,
  SharedRollbackError,
} from "./commit_group.ts";
import type { TransactionOptions, WriteSession } from "./engine.ts";
import type { SqliteConnection } from "./sqlite_connection.ts";
import { sqliteDialect, writeConnection } from "./sqlite_dialect.ts";
import type { SqliteDurability } from "./sqlite_durability.ts";
import { describeSqliteError, isBusy } from "./sqlite_errors.ts";
import { SqliteWriteSession } from "./sqlite_write.ts";
import { inertDriver, WriteKysely } from "./write_kysely.ts";

/** What {@linkcode SqliteTransactions} works with. */
export interface SqliteTransactionsOptions {
  /** The file, for errors. */
  readonly path: string;
  readonly connection: SqliteConnection;
  /** Presses commits on the disk; left out where they are durable as they are. */
  readonly durability: SqliteDurability | undefined;
  readonly busyTimeoutMs: number;
  readonly clock: Clock;
  /** How many wait for their turn. */
  readonly queued: () => number;
}

/** A transaction whose function is done. */
export interface Ran<Value> {
  /** What it gave; nothing if it failed. */
  readonly value?: Value;
  /** Settles once it is durable, or rolled back with others; rejects if it failed. */
  readonly settled: Promise<void>;
}

/**
 * Runs transactions, one after another; those that wait in line share a commit.
 *
 * Each of a group is behind a savepoint, so that one that fails is taken back
 * alone. Should the common commit fail, all are rolled back, and told to run
 * again by themselves. Nobody waits for a function that waits for something
 * else: it is taken back, the others are committed, and it is run again.
 */
export class SqliteTransactions<Database> {
  readonly #options: SqliteTransactionsOptions;
  readonly #connection: SqliteConnection;
  readonly #kyselyConnection: DatabaseConnection;
  readonly #writes: WriteKysely<Database>;
  /** Names of transactions that took no time the last time. */
  readonly #quick = new Set<string>();
  #group: CommitGroup | undefined;
  #awaited: CommitGroup | undefined;
  #running: SqliteWriteSession<Database> | undefined;

  /** Constructs one that runs nothing. */
  constructor(options: SqliteTransactionsOptions) {
    this.#options = options;
    this.#connection = options.connection;
    this.#kyselyConnection = writeConnection(options.connection);
    this.#writes = new WriteKysely(sqliteDialect(inertDriver()));
  }

  /**
   * Runs a transaction. Call it for one at a time.
   *
   * @returns Once its function is done; it is not committed by then.
   */
  async run<Value>(
    name: string,
    work: (session: WriteSession<Database>) => Promise<Value>,
    options: TransactionOptions<Value>,
  ): Promise<Ran<Value>> {
    const { durability } = this.#options;
    const mayBeLost = options.mayBeLost === true;
    if (durability?.hasFailed && !mayBeLost) throw durability.refusal(name);
    const mayShare = options.mayShare === true && this.#quick.has(name);
    const entered = this.#enterGroup(name, mayShare);
    if (entered !== undefined) await entered;
    const session = this.#begin(name);
    const beganMs = this.#options.clock.monotonicMs();
    this.#running = session;
    let value: Value;
    try {
      value = await work(session);
      session.end();
      if (session.isEvicted) throw new SharedRollbackError(EVICTED);
      this.#connection.releaseShared();
      this.#ended(name, session, beganMs);
    } catch (error) {
      session.end();
      session.rolledBack();
      this.#ended(name, session, beganMs);
      return { settled: this.#fail(name, session, error) };
    }
    const member = createMember(
      name,
      () => options.committed?.(value),
      () => session.rolledBack(),
    );
    // Not the one it began in, if those before could not wait for it.
    const group = this.#group as CommitGroup;
    group.members.push(member);
    this.#leaveGroup(group, mayShare, mayBeLost);
    return { value, settled: member.settled.promise };
  }

  /** Commits those that wait for others to come. */
  commit(): void {
    this.#commitGroup();
  }

  /** Begins a transaction: in the open group, or in one of its own. */
  #enterGroup(name: string, mayShare: boolean): Promise<void> | undefined {
    if (this.#group !== undefined) {
      if (mayShare) {
        this.#connection.beginShared();
        return undefined;
      }
      this.#commitGroup();
    }
    if (!this.#tryLock(name)) return this.#waitForLock(name);
    this.#openGroup();
    return undefined;
  }

  #openGroup(): void {
    this.#group = { members: [], beganMs: this.#options.clock.monotonicMs() };
  }

  #begin(name: string): SqliteWriteSession<Database> {
    const view = this.#writes.begin(name, this.#kyselyConnection);
    return new SqliteWriteSession(this.#connection, view);
  }

  #ended(
    name: string,
    session: SqliteWriteSession<Database>,
    beganMs: number,
  ): void {
    this.#running = undefined;
    const isQuick = this.#options.clock.monotonicMs() - beganMs < QUICK_MS;
    this.#noteTime(name, isQuick && !session.isEvicted);
  }

  /**
   * A failing transaction fails alone, if its part can be taken back by itself.
   * What it read of others of its group may never be: its error is held until
   * their commit, and if that fails, it is run again like them.
   *
   * @returns Rejects with its error.
   */
  #fail(
    name: string,
    session: SqliteWriteSession<Database>,
    error: unknown,
  ): Promise<void> {
    if (session.isEvicted) throw new SharedRollbackError(error);
    this.#connection.endIterations();
    const group = this.#group as CommitGroup;
    if (group.members.length > 0 && this.#connection.rollBackShared()) {
      const member = createFailed(name, this.#describe(name, error));
      group.members.push(member);
      this.#commitSoon(group);
      return member.settled.promise;
    }
    this.#group = undefined;
    this.#rollBack();
    if (group.members.length === 0) throw this.#describe(name, error);
    const members = [...group.members, NOBODY];
    rejectGroup({ ...group, members }, error, () => error);
    throw new SharedRollbackError(error);
  }

  /**
   * Commits without the transaction that runs, which waits for something: it
   * may be for one of those that are done. If it has used the connection, it is
   * taken back and run again, by itself.
   */
  #commitWithout(
    group: CommitGroup,
    running: SqliteWriteSession<Database>,
  ): void {
    if (this.#connection.isUsed) {
      running.evict();
      if (!this.#connection.rollBackShared()) {
        this.#group = undefined;
        this.#rollBack();
        rejectGroup(
          { ...group, members: [...group.members, NOBODY] },
          EVICTED,
          () => EVICTED,
        );
        return;
      }
      this.#commitGroup();
      return;
    }
    // What it remembers of the others holds only if they are committed.
    if (!this.#commitGroup()) return running.evict();
    try {
      this.#connection.begin();
      this.#openGroup();
    } catch {
      // Another process was quicker.
      running.evict();
    }
  }

  #leaveGroup(
    group: CommitGroup,
    mayShare: boolean,
    mayBeLost: boolean,
  ): void {
    const isFull = !mayShare || group.members.length >= MAX_GROUP ||
      this.#options.clock.monotonicMs() - group.beganMs >= MAX_TURN_MS;
    if (isFull) this.#commitGroup(mayBeLost);
    else this.#commitSoon(group);
  }

  /** Leaves the commit to the next in line, if there is one. */
  #commitSoon(group: CommitGroup): void {
    if (this.#options.queued() === 0) {
      this.#commitGroup();
      return;
    }
    if (this.#awaited === group) return;
    this.#awaited = group;
    this.#options.clock.nextTurn(() => {
      if (this.#group !== group) return;
      // Should the next have given up waiting, nobody else would commit.
      if (this.#running === undefined) this.#commitGroup();
      else this.#commitWithout(group, this.#running);
    });
  }

  /** Gives `false` if it was rolled back. */
  #commitGroup(mayBeLost = false): boolean {
    const group = this.#group;
    if (group === undefined) return true;
    this.#group = undefined;
    const { durability } = this.#options;
    const hasFailed = durability?.hasFailed === true;
    if (hasFailed && !mayBeLost) {
      this.#refuseGroup(group, durability);
      return false;
    }
    durability?.makeRoom();
    try {
      this.#connection.commit();
    } catch (error) {
      this.#rollBack();
      rejectGroup(group, error, (name) => this.#describe(name, error));
      return false;
    }
    const durable = () => settleGroup(group);
    if (durability === undefined || hasFailed) {
      durable();
      return true;
    }
    durability.press(durable).catch((error) => {
      for (const { settled, failed } of group.members) {
        settled.reject(failed === undefined ? error : failed.error);
      }
    });
    return true;
  }

  /** The disk has refused while they ran. */
  #refuseGroup(group: CommitGroup, durability: SqliteDurability): void {
    this.#rollBack();
    for (const { name, rolledBack, settled } of group.members) {
      rolledBack();
      settled.reject(durability.refusal(name));
    }
  }

  /** Those who share a commit wait for each other: only the quick may. */
  #noteTime(name: string, isQuick: boolean): void {
    if (!isQuick) {
      this.#quick.delete(name);
      return;
    }
    if (this.#quick.size >= MAX_QUICK_NAMES) this.#quick.clear();
    this.#quick.add(name);
  }

  /** Waits for another process's write lock without blocking this one. */
  async #waitForLock(name: string): Promise<void> {
    const { clock, busyTimeoutMs } = this.#options;
    const deadlineMs = clock.monotonicMs() + busyTimeoutMs;
    for (let delayMs = 1;; delayMs = Math.min(delayMs * 2, MAX_BUSY_PAUSE_MS)) {
      await pause(clock, delayMs);
      const isOver = clock.monotonicMs() >= deadlineMs;
      if (this.#tryLock(name, isOver)) return this.#openGroup();
    }
  }

  /** Takes the write lock; `false` if another process has it, unless that is the end. */
  #tryLock(name: string, isOver = false): boolean {
    try {
      this.#connection.begin();
      return true;
    } catch (error) {
      if (isOver || !isBusy(error)) throw this.#describe(name, error);
      return false;
    }
  }

  #describe(name: string, error: unknown): unknown {
    return describeSqliteError(
      `run "${name}" on "${this.#options.path}"`,
      error,
    );
  }

  #rollBack(): void {
    try {
      this.#connection.rollBack();
    } catch {
      // SQLite has rolled back by itself: a COMMIT that failed.
    }
  }
}

/** Transactions that share a commit, at most. */
const MAX_GROUP = 32;

/** How long, in ms, a transaction's function takes that may share a commit the next time. */
const QUICK_MS = 5;
const MAX_QUICK_NAMES = 1_000;

/** The transaction that failed is told by its own error. */
const NOBODY = createMember("", () => {}, () => {});

const EVICTED = "it waited for something while others waited for it";

/** The longest pause, in ms, between two looks at another process's lock. */
const MAX_BUSY_PAUSE_MS = 10;

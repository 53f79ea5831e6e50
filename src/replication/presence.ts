/**
 * Who is connected where, as the writer knows it.
 *
 * @module
 */

import type {
  ClearUserSyncCommand,
  UserSyncCommand,
} from "../protocol/command.ts";
import type { CancelTimer, Clock } from "../runtime/clock.ts";
import { messageOf } from "../runtime/errors.ts";
import type { Lifetime } from "../runtime/lifetime.ts";
import { callListener } from "../runtime/listeners.ts";
import { MAX_ID_CHARS } from "../runtime/limits.ts";
import type { Logger } from "../runtime/logger.ts";
import {
  keyOf,
  tooManyUsers,
  toSession,
  type UserSession,
} from "./user_session.ts";

/** One user at one process, by device where it is told. */
export interface PresentSession {
  /** The user. */
  readonly userId: string;
  /** `null` where none is told. */
  readonly deviceId: string | null;
  /** The process's random id. */
  readonly instanceId: string;
  /** When it began, as the process told it, in ms since 1970. */
  readonly sinceMs: number;
}

/** A session that has begun or ended. */
export interface PresenceChange extends PresentSession {
  /** Whether it has begun. */
  readonly isStart: boolean;
  /** Whether the user is present now, at whatever process. */
  readonly isPresent: boolean;
}

/** Ends a subscription to changes. */
export type StopListening = () => void;

/** Who is connected to which process. */
export interface Presence {
  /** Sessions known now. */
  readonly size: number;
  /**
   * A user is connected to the writer's own process. Saying so twice changes
   * nothing.
   *
   * @param userId The user; any text without spaces.
   * @param deviceId The device, if that matters; likewise.
   * @throws {HeadwaterError} `LINE_INVALID` for an id that is empty or holds a
   *   space; `LINE_TOO_LONG` for ids of more than 896 characters together;
   *   `TOO_MANY_USERS` beyond `maxPresentUsers`.
   */
  start(userId: string, deviceId?: string): void;
  /** A user is connected to the writer's own process no more. */
  end(userId: string, deviceId?: string): void;
  /** The users that have a session. */
  users(): string[];
  /** Whether a user has a session. */
  isPresent(userId: string): boolean;
  /** A user's sessions. */
  sessions(userId: string): PresentSession[];
  /**
   * Calls a listener with every session that begins or ends from now on. What it
   * throws is logged.
   */
  onChange(listener: (change: PresenceChange) => void): StopListening;
}

/** The connection that a process speaks over. */
export interface PresenceSource {
  /** Whether others speak over it, too: then its life says nothing of theirs. */
  readonly isShared: boolean;
  /** When it was heard last, by the monotonic clock. */
  readonly heardMs: number;
}

/** Options of {@linkcode PresenceTable}. */
export interface PresenceTableOptions {
  /** What the writer's own process is called. */
  readonly instance: string;
  /** How long a process that lost its connection keeps its users, in ms. */
  readonly graceMs: number;
  /** How long a process that says nothing keeps its users, in ms. */
  readonly timeoutMs: number;
  /** Sessions at a time. */
  readonly maxUsers: number;
  /** The store's, if it is one's: once it is over, nobody is taken in. */
  readonly life?: Lifetime | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What one process has told; it is there while it has sessions. */
interface Process {
  readonly sessions: Map<string, PresentSession>;
  /** Of an earlier connection, and not told again on this one. */
  unconfirmed: Set<string>;
  source: PresenceSource | undefined;
  heardMs: number;
  lostMs: number | undefined;
}

/** The writer's own process lives as long as the table. */
const OWN: PresenceSource = { isShared: false, heardMs: Infinity };

const MIN_SWEEP_MS = 20;

/**
 * The sessions that processes have told with USER_SYNC.
 *
 * A process tells all of its users on each connection before it sends REPLICATE;
 * whom it doesn't tell again has left meanwhile. Its users are forgotten when it
 * says CLEAR_USER_SYNC, when its connection is lost and it isn't back within a
 * grace, and when nothing is heard of it for too long.
 */
export class PresenceTable implements Presence {
  readonly #options: PresenceTableOptions;
  readonly #processes = new Map<string, Process>();
  /** User → the processes that told of them, and how many sessions each has. */
  readonly #users = new Map<string, Map<string, number>>();
  readonly #listeners = new Set<(change: PresenceChange) => void>();
  readonly #cancelTimer: CancelTimer;
  readonly #sweepMs: number;
  #sweptMs: number;
  #size = 0;
  #isFull = false;

  /** Constructs a table without users. */
  constructor(options: PresenceTableOptions) {
    this.#options = options;
    const { clock, graceMs, timeoutMs } = options;
    this.#sweepMs = Math.max(MIN_SWEEP_MS, Math.min(graceMs, timeoutMs) / 4);
    this.#sweptMs = clock.monotonicMs();
    this.#cancelTimer = clock.repeat(() => this.#sweep(), this.#sweepMs);
  }

  get size(): number {
    return this.#size;
  }

  start(userId: string, deviceId?: string): void {
    const { maxUsers, life } = this.#options;
    life?.require("tell that a user is present");
    const session = toSession(userId, deviceId);
    const known = this.#processes.get(this.#options.instance);
    const isKnown = known?.sessions.has(keyOf(session));
    if (!isKnown && this.#size >= maxUsers) {
      throw tooManyUsers(userId, maxUsers);
    }
    this.userSync(this.#ownSync(session, true), OWN);
  }

  end(userId: string, deviceId?: string): void {
    this.userSync(this.#ownSync(toSession(userId, deviceId), false), OWN);
  }

  users(): string[] {
    return [...this.#users.keys()];
  }

  isPresent(userId: string): boolean {
    return this.#users.has(userId);
  }

  sessions(userId: string): PresentSession[] {
    const processes = this.#users.get(userId)?.keys() ?? [];
    return [...processes].flatMap((instanceId) =>
      [...this.#processes.get(instanceId)?.sessions.values() ?? []]
        .filter((session) => session.userId === userId)
    );
  }

  onChange(listener: (change: PresenceChange) => void): StopListening {
    this.#options.life?.require("listen for who is present");
    // A function of its own, or one that listens twice would be told once.
    const own = (change: PresenceChange) => listener(change);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  /**
   * A process tells of a user.
   *
   * @returns Whether that is known now: not if there are too many already.
   */
  userSync(command: UserSyncCommand, source: PresenceSource): boolean {
    const { instanceId, userId, deviceId, isSyncing } = command;
    const process = this.#processes.get(instanceId);
    if (process !== undefined) this.#hear(process, source);
    const key = keyOf({ userId, deviceId });
    if (isSyncing) return this.#start(command, key, process, source);
    if (process !== undefined) this.#end(instanceId, process, key);
    return true;
  }

  /** A process tells that all of its users have left. */
  clear({ instanceId }: Pick<ClearUserSyncCommand, "instanceId">): void {
    const process = this.#processes.get(instanceId);
    for (const key of [...process?.sessions.keys() ?? []]) {
      this.#end(instanceId, process as Process, key);
    }
  }

  /** A connection's process has told all that it tells as it connects. */
  replicating(source: PresenceSource): void {
    if (source.isShared) return;
    for (const [instanceId, process] of this.#processes) {
      if (process.source !== source) continue;
      for (const key of process.unconfirmed) {
        this.#end(instanceId, process, key);
      }
    }
  }

  /** A connection is gone. */
  gone(source: PresenceSource): void {
    const now = this.#options.clock.monotonicMs();
    for (const process of this.#processes.values()) {
      if (process.source !== source) continue;
      process.source = undefined;
      // Of a shared one, others' lives say nothing; their silence will.
      if (!source.isShared) process.lostMs = now;
    }
  }

  /** Forgets everybody, without a word. */
  close(): void {
    this.#cancelTimer();
    this.#listeners.clear();
  }

  #ownSync(session: UserSession, isSyncing: boolean): UserSyncCommand {
    const { instance, clock } = this.#options;
    const lastSyncMs = Math.round(clock.wallMs());
    const instanceId = instance;
    return { kind: "USER_SYNC", instanceId, ...session, isSyncing, lastSyncMs };
  }

  #hear(process: Process, source: PresenceSource): void {
    process.heardMs = this.#options.clock.monotonicMs();
    if (process.source === source) return;
    process.source = source;
    process.lostMs = undefined;
    process.unconfirmed = new Set(
      source.isShared ? [] : process.sessions.keys(),
    );
  }

  #start(
    { instanceId, userId, deviceId, lastSyncMs }: UserSyncCommand,
    key: string,
    known: Process | undefined,
    source: PresenceSource,
  ): boolean {
    if (known?.sessions.has(key)) {
      known.unconfirmed.delete(key);
      return true;
    }
    const { maxUsers, clock, logger } = this.#options;
    const isTooLong = instanceId.length + key.length > MAX_ID_CHARS;
    if (this.#size >= maxUsers || isTooLong) {
      if (!this.#isFull) {
        logger("warn", "no more users are taken in", { maxUsers });
      }
      this.#isFull = true;
      return false;
    }
    const process = known ?? {
      sessions: new Map(),
      unconfirmed: new Set(),
      source,
      heardMs: clock.monotonicMs(),
      lostMs: undefined,
    };
    if (known === undefined) this.#processes.set(instanceId, process);
    const session = { userId, deviceId, instanceId, sinceMs: lastSyncMs };
    process.sessions.set(key, session);
    this.#size += 1;
    const processes = this.#users.get(userId) ?? new Map<string, number>();
    this.#users.set(userId, processes);
    processes.set(instanceId, (processes.get(instanceId) ?? 0) + 1);
    this.#tell({ ...session, isStart: true, isPresent: true });
    return true;
  }

  #end(instanceId: string, process: Process, key: string): void {
    const session = process.sessions.get(key);
    if (session === undefined) return;
    process.sessions.delete(key);
    process.unconfirmed.delete(key);
    if (process.sessions.size === 0) this.#processes.delete(instanceId);
    this.#size -= 1;
    this.#isFull = false;
    const { userId } = session;
    const processes = this.#users.get(userId);
    const left = (processes?.get(instanceId) ?? 0) - 1;
    if (left > 0) processes?.set(instanceId, left);
    else processes?.delete(instanceId);
    if (processes?.size === 0) this.#users.delete(userId);
    this.#tell({
      ...session,
      isStart: false,
      isPresent: this.#users.has(userId),
    });
  }

  #sweep(): void {
    const { clock, graceMs, timeoutMs } = this.#options;
    const now = clock.monotonicMs();
    // A process that was itself held up has not listened in that time.
    const wasHeldUp = now - this.#sweptMs > 4 * this.#sweepMs;
    this.#sweptMs = now;
    for (const [instanceId, process] of this.#processes) {
      const { source, lostMs } = process;
      if (wasHeldUp) {
        process.heardMs = now;
        if (lostMs !== undefined) process.lostMs = now;
        continue;
      }
      const heardMs = source === undefined || source.isShared
        ? process.heardMs
        : Math.max(process.heardMs, source.heardMs);
      const isLost = lostMs !== undefined && now - lostMs >= graceMs;
      if (isLost || now - heardMs >= timeoutMs) this.clear({ instanceId });
    }
  }

  #tell(change: PresenceChange): void {
    const failed = (error: unknown) =>
      this.#options.logger("error", "a listener to presence failed", {
        error: messageOf(error),
      });
    for (const listener of this.#listeners) {
      callListener(() => listener(change), failed);
    }
  }
}

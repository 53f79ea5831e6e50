/**
 * Who is connected to this process, told to the writer.
 *
 * @module
 */

import type { Command } from "../protocol/command.ts";
import type { CancelTimer, Clock } from "../runtime/clock.ts";
import type { Lifetime } from "../runtime/lifetime.ts";
import {
  keyOf,
  tooManyUsers,
  toSession,
  type UserSession,
} from "./user_session.ts";

/** Tells the writer which users are connected to this process. */
export interface SlavedPresence {
  /** The users, by device, that are connected now. */
  readonly size: number;

  /**
   * A user is connected to this process. Saying so twice changes nothing. It is
   * told again on every new connection.
   *
   * @param userId The user; any text without spaces.
   * @param deviceId The device, if that matters; likewise.
   * @throws {HeadwaterError} `LINE_INVALID` for an id that is empty or holds a
   *   space; `LINE_TOO_LONG` for ids of more than 896 characters together;
   *   `TOO_MANY_USERS` beyond `maxPresentUsers`; `CLOSED`.
   */
  start(userId: string, deviceId?: string): void;

  /**
   * A user is connected no more.
   *
   * @param userId The user.
   * @param deviceId The device that {@linkcode start} was given.
   */
  end(userId: string, deviceId?: string): void;
}

/** Options of {@linkcode PresenceReporter}. */
export interface PresenceReporterOptions {
  /** This process's random id. */
  readonly instanceId: string;
  /** Users at a time. */
  readonly maxUsers: number;
  /** How often a sign of life is due, in ms. */
  readonly refreshMs: number;
  /** The store's: once it is over, nobody is taken in. */
  readonly life: Lifetime;
  readonly clock: Clock;
  /** Sends a command to every writer that is there. */
  readonly send: (command: Command) => void;
}

/** Keeps what is to be told on every new connection. */
export class PresenceReporter implements SlavedPresence {
  readonly #options: PresenceReporterOptions;
  readonly #sessions = new Map<string, UserSession>();
  readonly #cancelTimer: CancelTimer;
  #hasSpoken = false;

  /** Constructs one without users. */
  constructor(options: PresenceReporterOptions) {
    this.#options = options;
    const { clock, refreshMs } = options;
    this.#cancelTimer = clock.repeat(() => this.#refresh(), refreshMs);
  }

  get size(): number {
    return this.#sessions.size;
  }

  start(userId: string, deviceId?: string): void {
    this.#options.life.require("tell that a user is present");
    const session = toSession(userId, deviceId);
    const key = keyOf(session);
    if (this.#sessions.has(key)) return;
    const { maxUsers } = this.#options;
    if (this.#sessions.size >= maxUsers) {
      throw tooManyUsers(userId, maxUsers);
    }
    this.#sessions.set(key, session);
    this.#hasSpoken = true;
    this.#options.send(this.#toCommand(session, true));
  }

  end(userId: string, deviceId?: string): void {
    const session = toSession(userId, deviceId);
    if (!this.#sessions.delete(keyOf(session))) return;
    this.#options.send(this.#toCommand(session, false));
  }

  /**
   * What is to be said on a new connection, before positions are asked for.
   *
   * @param isShared Whether nobody can tell the connection from the one before:
   *   then whoever ended meanwhile must be taken back.
   */
  greeting(isShared: boolean): Command[] {
    const { instanceId } = this.#options;
    if (!this.#hasSpoken) return [];
    const all = Array.from(
      this.#sessions.values(),
      (session) => this.#toCommand(session, true),
    );
    if (!isShared && all.length > 0) return all;
    return [{ kind: "CLEAR_USER_SYNC", instanceId }, ...all];
  }

  /** Tells that nobody is connected to this process any more. */
  close(): void {
    this.#cancelTimer();
    if (!this.#hasSpoken) return;
    const { instanceId, send } = this.#options;
    send({ kind: "CLEAR_USER_SYNC", instanceId });
  }

  /** Any user's start, told again, is a sign of life. */
  #refresh(): void {
    const first = this.#sessions.values().next();
    if (!first.done) this.#options.send(this.#toCommand(first.value, true));
  }

  #toCommand({ userId, deviceId }: UserSession, isSyncing: boolean): Command {
    const { instanceId, clock } = this.#options;
    const lastSyncMs = Math.round(clock.wallMs());
    return {
      kind: "USER_SYNC",
      instanceId,
      userId,
      deviceId,
      isSyncing,
      lastSyncMs,
    };
  }
}

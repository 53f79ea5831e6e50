/**
 * Who is connected to the threads behind a relay.
 *
 * @module
 */

import type {
  ClearUserSyncCommand,
  UserSyncCommand,
} from "../protocol/command.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import {
  type PresenceChange,
  type PresenceSource,
  PresenceTable,
} from "./presence.ts";

/** Options of {@linkcode RelayPresence}. */
export interface RelayPresenceOptions {
  /** How long a thread that lost its connection keeps its users, in ms. */
  readonly graceMs: number;
  /** How long a thread that says nothing keeps its users, in ms. */
  readonly timeoutMs: number;
  /** Users, by thread and device, at a time. */
  readonly maxUsers: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Takes the end of a session that its thread has not told. */
  readonly ended: (command: UserSyncCommand) => void;
}

/**
 * Ends the sessions of threads that are gone.
 *
 * Their writer can't: it hears of all threads over one connection, which lives
 * on. So they are held to the rules of {@linkcode PresenceTable} here, where
 * each has a connection of its own.
 */
export class RelayPresence {
  readonly #options: RelayPresenceOptions;
  readonly #table: PresenceTable;
  #isHearing = false;

  /** Constructs one that knows nobody. */
  constructor(options: RelayPresenceOptions) {
    this.#options = options;
    // Nobody is connected to the relay itself: it has no name.
    this.#table = new PresenceTable({ ...options, instance: "" });
    this.#table.onChange((change) => {
      // What a thread tells goes to the writer in its own words.
      if (!change.isStart && !this.#isHearing) this.#tellEnd(change);
    });
  }

  /**
   * A thread tells of its users.
   *
   * @returns Whether the writer is to be told: who is not remembered here could
   *   never be ended.
   */
  hear(
    command: UserSyncCommand | ClearUserSyncCommand,
    source: PresenceSource,
  ): boolean {
    this.#isHearing = true;
    try {
      if (command.kind === "USER_SYNC") {
        return this.#table.userSync(command, source);
      }
      this.#table.clear(command);
      return true;
    } finally {
      this.#isHearing = false;
    }
  }

  /** A thread has told all that it tells as it connects. */
  replicating(source: PresenceSource): void {
    this.#table.replicating(source);
  }

  /** A thread's connection is gone. */
  gone(source: PresenceSource): void {
    this.#table.gone(source);
  }

  /** Forgets everybody, without a word. */
  close(): void {
    this.#table.close();
  }

  #tellEnd({ instanceId, userId, deviceId }: PresenceChange): void {
    const { clock, ended } = this.#options;
    ended({
      kind: "USER_SYNC",
      instanceId,
      userId,
      deviceId,
      isSyncing: false,
      lastSyncMs: Math.round(clock.wallMs()),
    });
  }
}

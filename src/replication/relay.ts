/**
 * One connection to a writer, shared by many readers of this process.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { formatCommand } from "../protocol/codec.ts";
import type { Command, UserSyncCommand } from "../protocol/command.ts";
import type { CustomCommand } from "../protocol/custom_command.ts";
import { Backoff } from "../runtime/backoff.ts";
import type { CancelTimer, Clock } from "../runtime/clock.ts";
import { messageOf } from "../runtime/errors.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Random } from "../runtime/random.ts";
import type {
  Connection,
  ConnectionHandler,
  Transport,
} from "../transport/transport.ts";
import { KeepAlive, type KeepAliveOptions } from "./keep_alive.ts";
import { RelayPresence, type RelayPresenceOptions } from "./relay_presence.ts";
import { RelayReader } from "./relay_reader.ts";
import { RelayUpstream } from "./relay_upstream.ts";

/** Options of {@linkcode Relay}. */
export interface RelayOptions extends KeepAliveOptions {
  /** Makes the connection to the writer. */
  readonly transport: Transport;
  /** What to be called in the writer's logs. */
  readonly name: string;
  /** The name that the writer must have; any by default. */
  readonly serverName?: string | undefined;
  /** Bytes that may wait for one reader. */
  readonly maxOutboxBytes: number;
  /** Readers at a time. */
  readonly maxConnections: number;
  /** How long the users of a reader that is gone are kept, and how many. */
  readonly presence: Pick<
    RelayPresenceOptions,
    "graceMs" | "timeoutMs" | "maxUsers"
  >;
  /** The first pause before connecting again, in ms. */
  readonly minBackoffMs?: number | undefined;
  /** The longest pause before connecting again, in ms. */
  readonly maxBackoffMs?: number | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** What a relay has done so far. */
export interface RelayStats {
  /** Whether it hears from the writer. */
  readonly isConnected: boolean;
  /** Connections to the writer made. */
  readonly connections: number;
  /** Readers connected now. */
  readonly readers: number;
  /** Readers disconnected because they could not keep up. */
  readonly laggards: number;
}

/**
 * Hands on what a writer sends, line for line, encoded once for all readers.
 *
 * A reader is let in while the writer is connected, and waits until then. When
 * the writer is lost every reader's connection is closed, so that each notices,
 * connects again, asks for positions, and fetches what it has missed: a relay
 * keeps no rows, and repairs nothing. On a channel where everybody hears everybody
 * it says so, as nothing else shows there that one of many writers is gone. Whoever can't keep up, or says what nobody
 * may, is disconnected, and holds up nobody. It does know whose users are
 * present, to tell the writer when a thread of many is gone.
 */
export class Relay {
  readonly #options: RelayOptions;
  readonly #closing = new AbortController();
  readonly #readers = new Set<RelayReader>();
  readonly #presence: RelayPresence;
  readonly #cancelTimer: CancelTimer;
  #upstream: RelayUpstream | undefined;
  #running: Promise<void> | undefined;
  #connections = 0;
  #laggards = 0;
  #isReplicateDue = false;

  /** Constructs a relay that is not connected. */
  constructor(options: RelayOptions) {
    this.#options = options;
    const { clock, logger, presence } = options;
    this.#presence = new RelayPresence({
      ...presence,
      clock,
      logger,
      ended: (command) => this.#tellEnd(command),
    });
    this.#cancelTimer = clock.repeat(() => {
      for (const reader of this.#readers) reader.beat();
    }, KeepAlive.checkIntervalMs(options));
  }

  /** What it has done so far. */
  get stats(): RelayStats {
    return {
      isConnected: this.#upstream?.isReady ?? false,
      connections: this.#connections,
      readers: this.#readers.size,
      laggards: this.#laggards,
    };
  }

  /** Connects to the writer, and goes on connecting. */
  open(): void {
    this.#running ??= this.#run();
  }

  /** Takes a reader in. */
  accept(connection: Connection): ConnectionHandler {
    const reader: RelayReader = new RelayReader(connection, {
      replicate: () => {
        this.#presence.replicating(reader);
        this.#replicate();
      },
      forward: (line, command) => {
        if (this.#isWanted(command, reader)) this.#say(line);
      },
      closed: () => {
        this.#readers.delete(reader);
        this.#presence.gone(reader);
      },
    }, this.#options);
    if (this.#closing.signal.aborted) {
      reader.fail("relay closing");
    } else if (this.#readers.size >= this.#options.maxConnections) {
      reader.fail("too many connections");
    } else {
      this.#readers.add(reader);
      reader.wait();
      this.#admit(reader);
    }
    return reader;
  }

  /** Disconnects from the writer, and every reader. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#cancelTimer();
    this.#upstream?.close();
    for (const reader of [...this.#readers]) reader.fail("relay closing");
    this.#presence.close();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { logger } = this.#options;
    const { signal } = this.#closing;
    const backoff = new Backoff(this.#options);
    // Said once for each time that there is nobody.
    let isToldOf = false;
    while (!signal.aborted) {
      try {
        const wasOfUse = await this.#follow(signal);
        isToldOf = false;
        if (wasOfUse) backoff.reset();
      } catch (error) {
        const level = isToldOf || signal.aborted ? "debug" : "warn";
        logger(level, "cannot connect, trying again", {
          error: messageOf(error),
        });
        isToldOf = true;
      }
      await backoff.pause(signal);
    }
  }

  /** One connection, from its making to its end; resolves to whether it was of use. */
  async #follow(signal: AbortSignal): Promise<boolean> {
    const upstream = await RelayUpstream.open(this.#options, {
      ready: () => {
        for (const reader of this.#readers) this.#admit(reader);
      },
      received: (lines) => this.#forward(lines),
    }, signal);
    this.#upstream = upstream;
    this.#connections += 1;
    // What it said while it was connecting came before it was known here.
    for (const reader of this.#readers) this.#admit(reader);
    if (signal.aborted) upstream.close();
    await upstream.ended;
    this.#upstream = undefined;
    for (const reader of [...this.#readers]) {
      if (reader.isAdmitted) reader.close();
    }
    return upstream.isOfUse;
  }

  #admit(reader: RelayReader): void {
    const { serverName: name, isShared } = this.#upstream ?? {};
    if (name === undefined || reader.isAdmitted) return;
    const server = `${formatCommand({ kind: "SERVER", name })}\n`;
    const shared = `${formatCommand({ kind: "SHARED" })}\n`;
    reader.admit(isShared ? server + shared : server);
  }

  #forward(lines: string): void {
    const { maxOutboxBytes, logger } = this.#options;
    const bytes = Buffer.from(lines);
    for (const reader of this.#readers) {
      if (!reader.isAdmitted) continue;
      reader.send(bytes);
      const { queuedBytes } = reader;
      if (queuedBytes <= maxOutboxBytes) continue;
      this.#laggards += 1;
      logger("warn", "reader can't keep up: disconnected", {
        reader: reader.name,
        queuedBytes,
      });
      reader.fail("Failed to keep up");
    }
  }

  #isWanted(command: Command | CustomCommand, reader: RelayReader): boolean {
    switch (command.kind) {
      case "COMMANDS":
        // Where everybody hears everybody there is nobody to tell.
        return !this.#upstream?.isShared;
      case "USER_SYNC":
      case "CLEAR_USER_SYNC":
        return this.#presence.hear(command, reader);
    }
    return true;
  }

  #tellEnd(command: UserSyncCommand): void {
    // Between two ends, who told no device may speak with those that know none.
    const isOld = command.deviceId === null && !this.#upstream?.isShared;
    this.#say(formatCommand(command, isOld ? "tcp" : "current"));
  }

  #say(line: string): void {
    this.#upstream?.send(`${line}\n`);
  }

  /** All who ask in one turn are answered by one round of positions. */
  #replicate(): void {
    if (this.#isReplicateDue) return;
    this.#isReplicateDue = true;
    this.#options.clock.nextTurn(() => {
      this.#isReplicateDue = false;
      this.#say(formatCommand({ kind: "REPLICATE" }));
    });
  }
}

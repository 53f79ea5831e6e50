/**
 * One reader of a relay.
 *
 * @module
 */

import {
  formatCommand,
  maySend,
  parseCommand,
  wrongDirection,
} from "../protocol/codec.ts";
import type { Command } from "../protocol/command.ts";
import type { CustomCommand } from "../protocol/custom_command.ts";
import { withoutToken } from "../protocol/fields.ts";
import type { Clock } from "../runtime/clock.ts";
import { messageOf, quote } from "../runtime/errors.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Connection, ConnectionHandler } from "../transport/transport.ts";
import { KeepAlive, type KeepAliveOptions } from "./keep_alive.ts";
import type { PresenceSource } from "./presence.ts";

/** Options of {@linkcode RelayReader}. */
export interface RelayReaderOptions extends KeepAliveOptions {
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What a reader asks of its relay. */
export interface RelayReaderEvents {
  /** It wants to know the writer's positions. */
  replicate(): void;
  /** It has a line for the writer, which is a command that it may send. */
  forward(line: string, command: Command | CustomCommand): void;
  /** It is gone. */
  closed(): void;
}

/**
 * One reader. Nothing of it goes on that the writer would end the connection
 * for, as the others are behind it, too; and like a writer's own readers, it is
 * disconnected if it has pinged and falls silent.
 */
export class RelayReader implements ConnectionHandler, PresenceSource {
  /** It speaks for itself alone. */
  readonly isShared = false;
  name: string;
  readonly #connection: Connection;
  readonly #events: RelayReaderEvents;
  readonly #logger: Logger;
  readonly #keepAlive: KeepAlive;
  #isAdmitted = false;
  #isOver = false;

  /** Constructs a reader that has been told nothing. */
  constructor(
    connection: Connection,
    events: RelayReaderEvents,
    options: RelayReaderOptions,
  ) {
    this.name = connection.remote;
    this.#connection = connection;
    this.#events = events;
    this.#logger = options.logger;
    this.#keepAlive = new KeepAlive(options.clock, options);
    this.#keepAlive.pause();
  }

  /** When it was heard last, by the monotonic clock. */
  get heardMs(): number {
    return this.#keepAlive.receivedMs;
  }

  /** Whether it is given what the writer sends. */
  get isAdmitted(): boolean {
    return this.#isAdmitted;
  }

  /** Bytes that wait for it. */
  get queuedBytes(): number {
    return this.#connection.queuedBytes;
  }

  /** Leaves what it says unread until it is admitted. */
  wait(): void {
    this.#connection.pause();
  }

  /** Says who the writer is, and hears what it wants. */
  admit(greeting: string): void {
    this.#isAdmitted = true;
    this.#connection.send(greeting);
    this.#keepAlive.resume();
    this.#connection.resume();
  }

  /** Hands lines on. */
  send(lines: Uint8Array): void {
    this.#connection.send(lines);
  }

  /** Gives it up if it has been silent for too long. */
  beat(): void {
    if (this.#keepAlive.check() === "give up") this.fail("ping timeout");
  }

  received(lines: string): void {
    this.#keepAlive.received();
    for (const line of lines.split("\n")) {
      if (this.#isOver) return;
      try {
        this.#read(line);
      } catch (error) {
        this.failed(error as Error);
      }
    }
  }

  failed(error: Error): void {
    // The error quotes the line, and that may hold a user's token.
    this.#logger("warn", "reader sent nonsense: disconnected", {
      reader: this.name,
    });
    this.fail(messageOf(error));
  }

  closed(): void {
    this.#isOver = true;
    this.#events.closed();
  }

  /** Says what is wrong, and closes. */
  fail(text: string): void {
    if (this.#isOver) return;
    const line = text.replaceAll("\n", " ");
    this.#connection.send(`${formatCommand({ kind: "ERROR", text: line })}\n`);
    this.close();
  }

  /** Lets it notice that the writer is lost. */
  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#connection.close();
    this.#events.closed();
  }

  #read(line: string): void {
    const command = parseCommand(line);
    if (command === undefined) return;
    if (command.kind !== "CUSTOM" && !maySend(command.kind, "client")) {
      throw wrongDirection(command.kind);
    }
    switch (command.kind) {
      case "PING":
        this.#keepAlive.pinged();
        return;
      case "REPLICATE":
        this.#events.replicate();
        return;
      case "NAME":
        this.name = `${command.name} (${this.#connection.remote})`;
        return;
      case "ERROR":
        this.#logger("warn", "a reader reported an error", {
          reader: this.name,
          text: withoutToken(quote(command.text)),
        });
        return;
      default:
        this.#events.forward(line, command);
    }
  }
}

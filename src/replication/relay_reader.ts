/**
 * One reader of a relay.
 *
 * @module
 */

import { formatCommand } from "../protocol/codec.ts";
import { withoutToken } from "../protocol/fields.ts";
import { messageOf, quote } from "../runtime/errors.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Connection, ConnectionHandler } from "../transport/transport.ts";

/** What a reader asks of its relay. */
export interface RelayReaderEvents {
  /** It wants to know the writer's positions. */
  replicate(): void;
  /** It has a line for the writer. */
  forward(line: string): void;
  /** It is gone. */
  closed(): void;
}

/** One reader: its lines are looked at for what concerns the relay, no further. */
export class RelayReader implements ConnectionHandler {
  name: string;
  readonly #connection: Connection;
  readonly #events: RelayReaderEvents;
  readonly #logger: Logger;
  #isAdmitted = false;
  #isOver = false;

  /** Constructs a reader that has been told nothing. */
  constructor(
    connection: Connection,
    events: RelayReaderEvents,
    logger: Logger,
  ) {
    this.name = connection.remote;
    this.#connection = connection;
    this.#events = events;
    this.#logger = logger;
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
    this.#connection.resume();
  }

  /** Hands lines on. */
  send(lines: Uint8Array): void {
    this.#connection.send(lines);
  }

  received(lines: string): void {
    for (const line of lines.split("\n")) {
      if (this.#isOver) return;
      this.#read(line);
    }
  }

  failed(error: Error): void {
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
    const [word = ""] = line.split(" ", 1);
    switch (word) {
      case "":
      case "PING":
        return;
      case "REPLICATE":
        this.#events.replicate();
        return;
      case "NAME":
        this.name = `${
          line.slice(word.length + 1)
        } (${this.#connection.remote})`;
        return;
      case "ERROR":
        this.#logger("warn", "a reader reported an error", {
          reader: this.name,
          text: withoutToken(quote(line.slice(word.length + 1))),
        });
        return;
      default:
        this.#events.forward(line);
    }
  }
}

// A writer's end of a connection, and how much it may have waiting.

import type { Connection } from "../../src/transport/transport.ts";

/** For the ERROR that ends a connection. */
const LAST_WORDS_BYTES = 100;

export class MeteredConnection implements Connection {
  readonly isShared: boolean;
  readonly remote: string;
  readonly #connection: Connection;
  #largest = 0;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.isShared = connection.isShared;
    this.remote = connection.remote;
  }

  get queuedBytes(): number {
    return this.#connection.queuedBytes;
  }

  /**
   * What may wait beside the bound: one text that is larger, and what was sent at
   * once, before it was looked at.
   */
  get slackBytes(): number {
    return 2 * this.#largest + LAST_WORDS_BYTES;
  }

  send(lines: string | Uint8Array): void {
    this.#largest = Math.max(this.#largest, lines.length);
    this.#connection.send(lines);
  }

  pause(): void {
    this.#connection.pause();
  }

  resume(): void {
    this.#connection.resume();
  }

  close(): void {
    this.#connection.close();
  }
}

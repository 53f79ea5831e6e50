/**
 * Lines over a socket, whatever kind it is.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import type { CancelTimer, Clock } from "../runtime/clock.ts";
import { CLOSE_GRACE_MS } from "../runtime/limits.ts";
import { type Logger, silentLogger } from "../runtime/logger.ts";
import { LineReader } from "./line_reader.ts";
import type { Connection, ConnectionHandler } from "./transport.ts";

/** Options of {@linkcode SocketConnection}. */
export interface SocketConnectionOptions {
  /** The other end, for logs. */
  readonly remote: string;
  /** Bytes of a line without its newline. */
  readonly maxLineBytes: number;
  /** Takes why a connection broke. */
  readonly logger?: Logger | undefined;
  readonly clock: Clock;
}

/** Lines over a socket that is connected: TCP, TLS or a unix socket. */
export class SocketConnection implements Connection {
  readonly isShared = false;
  readonly remote: string;
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #lines: LineReader;
  readonly #logger: Logger;
  #handler: ConnectionHandler | undefined;
  #isPaused = false;
  #isClosing = false;
  #cancelGrace: CancelTimer | undefined;
  /** Lines that were on their way when the connection was paused. */
  #held = "";

  /** Constructs one that reads nothing before {@linkcode handle}. */
  constructor(socket: Socket, options: SocketConnectionOptions) {
    this.remote = options.remote;
    this.#socket = socket;
    this.#clock = options.clock;
    this.#lines = new LineReader(options.maxLineBytes);
    this.#logger = options.logger ?? silentLogger;
  }

  get queuedBytes(): number {
    return this.#socket.writableLength;
  }

  /** Tells a handler what happens from now on. */
  handle(handler: ConnectionHandler): void {
    this.#handler = handler;
    this.#socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    // Without this a reset would be an uncaught exception; "close" follows.
    this.#socket.on("error", (error: Error & { code?: string }) => {
      // In TLS 1.3 a client learns only now that it was turned away.
      const level = error.code?.startsWith("ERR_SSL") ? "warn" : "debug";
      const fields = { remote: this.remote, error: error.message.trim() };
      this.#logger(level, "a connection broke", fields);
    });
    this.#socket.on("close", () => {
      this.#isClosing = true;
      this.#cancelGrace?.();
      handler.closed();
    });
  }

  send(lines: string | Uint8Array): void {
    // Nothing, over Deno's TLS, would hold up all that follows.
    if (this.#isClosing || lines.length === 0) return;
    // A socket counts text that waits in characters.
    this.#socket.write(typeof lines === "string" ? Buffer.from(lines) : lines);
  }

  pause(): void {
    this.#isPaused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    const held = this.#held;
    this.#held = "";
    if (held !== "" && !this.#isClosing) this.#handler?.received(held);
    this.#failIfDue();
    // The handler may have paused it again.
    if (!this.#isPaused) this.#socket.resume();
  }

  close(): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#socket.end();
    // A peer that neither reads nor closes is not waited for.
    this.#cancelGrace = this.#clock.schedule(
      () => this.#socket.destroy(),
      CLOSE_GRACE_MS,
    );
    // Bytes that still come are read and dropped, or the end would not be seen.
    this.#socket.resume();
  }

  #receive(chunk: Buffer): void {
    if (this.#isClosing) return;
    const lines = this.#lines.read(chunk);
    if (this.#isPaused) this.#held += lines;
    else if (lines !== "") this.#handler?.received(lines);
    this.#failIfDue();
  }

  #failIfDue(): void {
    if (this.#isPaused || this.#isClosing) return;
    this.#lines.tellFailure(this.#handler);
  }
}

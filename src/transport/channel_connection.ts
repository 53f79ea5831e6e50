/**
 * A connection over anything that carries messages in order.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { CancelTimer, Clock } from "../runtime/clock.ts";
import { CLOSE_GRACE_MS } from "../runtime/limits.ts";
import { LineReader } from "./line_reader.ts";
import type { Connection, ConnectionHandler } from "./transport.ts";

/**
 * What one end tells the other: bytes of lines; how many of them were taken;
 * that no more will come.
 */
export type ChannelMessage = Uint8Array | number | "close";

/** Options of {@linkcode ChannelConnection}. */
export interface ChannelConnectionOptions {
  /** The other end, for logs. */
  readonly remote: string;
  /** Bytes of a line without its newline. */
  readonly maxLineBytes: number;
  /** Carries a message to the other end, which takes it in a later turn. */
  readonly post: (message: ChannelMessage) => void;
  /** The connection is over: nothing is posted any more. */
  readonly ended: () => void;
  readonly clock: Clock;
}

const encoder = new TextEncoder();

/**
 * Lines within messages. Each end says how many bytes its handler has taken, so
 * that the other knows what waits; a paused end takes none.
 */
export class ChannelConnection implements Connection {
  readonly isShared = false;
  readonly remote: string;
  readonly #options: ChannelConnectionOptions;
  readonly #lines: LineReader;
  #handler: ConnectionHandler | undefined;
  #queuedBytes = 0;
  #isPaused = false;
  #isTaking = false;
  #isClosing = false;
  #isOver = false;
  #cancelGrace: CancelTimer | undefined;
  /** What has come and was not taken, for the connection is paused. */
  #held: (Uint8Array | "close")[] = [];
  /** Bytes that were taken and not yet acknowledged. */
  #takenBytes = 0;

  /** Constructs one that keeps what comes before {@linkcode handle}. */
  constructor(options: ChannelConnectionOptions) {
    this.remote = options.remote;
    this.#options = options;
    this.#lines = new LineReader(options.maxLineBytes);
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Tells a handler what happens from now on. */
  handle(handler: ConnectionHandler): void {
    this.#handler = handler;
    this.#take();
  }

  send(lines: string | Uint8Array): void {
    if (this.#isClosing || lines.length === 0) return;
    const bytes = typeof lines === "string" ? encoder.encode(lines) : lines;
    this.#queuedBytes += bytes.length;
    this.#options.post(bytes);
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#take();
  }

  close(): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    const { clock, post } = this.#options;
    post("close");
    // A peer that neither reads nor closes is not waited for.
    this.#cancelGrace = clock.schedule(() => this.end(), CLOSE_GRACE_MS);
    // What still comes is dropped, or the end would not be seen.
    this.#take();
  }

  /** Takes what the other end has posted. */
  receive(message: ChannelMessage): void {
    if (this.#isOver) return;
    if (typeof message === "number") {
      this.#queuedBytes -= message;
      return;
    }
    this.#held.push(message);
    this.#take();
  }

  /** Ends it at once: the other end is gone, or has said good-bye. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#isClosing = true;
    this.#held = [];
    this.#queuedBytes = 0;
    this.#cancelGrace?.();
    this.#options.ended();
    this.#handler?.closed();
  }

  #take(): void {
    // The handler may pause, resume or close it while it is called.
    if (this.#isTaking || this.#handler === undefined) return;
    this.#isTaking = true;
    this.#failIfDue();
    let taken = 0;
    while (taken < this.#held.length && !(this.#isPaused && !this.#isClosing)) {
      const message = this.#held[taken] as Uint8Array | "close";
      taken += 1;
      if (message === "close") {
        if (!this.#isClosing) this.#options.post("close");
        this.#isTaking = false;
        return this.end();
      }
      this.#acknowledge(message.length);
      this.#read(message);
    }
    this.#held.splice(0, taken);
    this.#isTaking = false;
  }

  #read(bytes: Uint8Array): void {
    if (this.#isClosing) return;
    const { buffer, byteOffset, byteLength } = bytes;
    const lines = this.#lines.read(Buffer.from(buffer, byteOffset, byteLength));
    if (lines !== "") this.#handler?.received(lines);
    this.#failIfDue();
  }

  #failIfDue(): void {
    if (this.#isPaused || this.#isClosing) return;
    this.#lines.tellFailure(this.#handler);
  }

  /** Once a turn: a message of its own for each would be half of what is sent. */
  #acknowledge(bytes: number): void {
    const isDue = this.#takenBytes > 0;
    this.#takenBytes += bytes;
    if (isDue) return;
    this.#options.clock.nextTurn(() => {
      const taken = this.#takenBytes;
      this.#takenBytes = 0;
      if (!this.#isOver) this.#options.post(taken);
    });
  }
}

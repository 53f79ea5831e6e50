/**
 * What carries lines between processes.
 *
 * @module
 */

import type { Logger } from "../runtime/logger.ts";

/** One end of a connection. Lines go in both directions, in order. */
export interface Connection {
  /** The other end, for logs: `127.0.0.1:50432`. */
  readonly remote: string;

  /**
   * Whether everybody on it hears everybody, as on a Redis channel: then nobody
   * says SERVER, NAME, PING or ERROR, and nonsense closes nothing.
   */
  readonly isShared: boolean;

  /** Bytes that were sent and have not left this process. */
  readonly queuedBytes: number;

  /**
   * Sends whole lines. Never waits; see {@linkcode queuedBytes}.
   *
   * @param lines Text that ends with a newline; as bytes if it is sent to many.
   */
  send(lines: string | Uint8Array): void;

  /** Stops reading from the other end, which then has to wait. */
  pause(): void;

  /** Reads on. */
  resume(): void;

  /** Lets what was sent leave, and closes; after a grace it is cut off. */
  close(): void;
}

/** Is told of what happens on a connection. */
export interface ConnectionHandler {
  /**
   * Takes one or more whole lines, each ended by a newline. While the
   * connection is paused it is not called.
   */
  received(lines: string): void;

  /** Takes a line that can't be: too long, or not UTF-8. Nothing follows it. */
  failed(error: Error): void;

  /** The connection is gone, for whatever reason; called once, last. */
  closed(): void;
}

/** Gives a new connection its handler. */
export type AcceptConnection = (connection: Connection) => ConnectionHandler;

/** Accepts connections. */
export interface Listener {
  /** Where, with the port that was chosen: `tcp://127.0.0.1:8823`. */
  readonly url: string;

  /** Accepts no more. Connections that were accepted live on. */
  close(): Promise<void>;
}

/** How a transport behaves. */
export interface TransportOptions {
  /** Bytes of a line without its newline. */
  readonly maxLineBytes: number;
  /** What the server calls itself: the name of what several servers share. */
  readonly serverName?: string | undefined;
  /** Takes what a listener that works on by itself has to say. */
  readonly logger?: Logger | undefined;
}

/**
 * A way for lines to travel. What it connects, and where it listens, is its
 * own affair: an address, a channel, a port to another thread.
 */
export interface Transport {
  /**
   * Listens.
   *
   * @param accept Called for each connection, before anything is read from it.
   * @throws {HeadwaterError} `LISTEN_FAILED` if it can't.
   */
  listen(accept: AcceptConnection): Promise<Listener>;

  /**
   * Connects to whoever listens.
   *
   * @param accept Called once connected, before anything is read.
   * @param signal Gives the attempt up; it rejects with the signal's reason.
   * @throws What went wrong, if there is nobody.
   */
  connect(accept: AcceptConnection, signal?: AbortSignal): Promise<Connection>;
}

/**
 * What carries lines between processes.
 *
 * @module
 */

import type { Logger } from "../runtime/logger.ts";
import type { OptionNames } from "../runtime/option_names.ts";

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

  /**
   * Takes a line that can't be: too long, or not UTF-8. Those before it were
   * {@linkcode received}; nothing follows it.
   */
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

/** Keys and certificates, as PEM. */
export interface TlsOptions {
  /** The private key of {@linkcode cert}. A writer needs one. */
  readonly key?: string | Uint8Array | undefined;

  /** This side's certificate, and those between it and its authority. */
  readonly cert?: string | Uint8Array | undefined;

  /**
   * The authorities that the other side's certificate may come from.
   *
   * @default {those that the runtime knows}
   */
  readonly ca?:
    | string
    | Uint8Array
    | readonly (string | Uint8Array)[]
    | undefined;

  /** What {@linkcode key} is encrypted with. */
  readonly passphrase?: string | undefined;

  /**
   * A writer: whether readers must have a certificate that comes from
   * {@linkcode ca}.
   *
   * @default {false}
   */
  readonly requestCert?: boolean | undefined;

  /**
   * A reader: the name that the writer's certificate must have.
   *
   * @default {the address's host}
   */
  readonly servername?: string | undefined;
}

/** The names of {@linkcode TlsOptions}. */
export const TLS_OPTIONS: OptionNames<TlsOptions> = {
  key: true,
  cert: true,
  ca: true,
  passphrase: true,
  requestCert: true,
  servername: true,
};

/** How a transport behaves. */
export interface TransportOptions {
  /** Bytes of a line without its newline. */
  readonly maxLineBytes: number;
  /** Keys and certificates, for `tls:` and `rediss:`. */
  readonly tls?: TlsOptions | undefined;
  /**
   * Connections that a listener of `tls:` has at a time, handshakes that are
   * under way among them; 10,000 by default.
   */
  readonly maxConnections?: number | undefined;
  /** What the server calls itself: the name of what several servers share. */
  readonly serverName?: string | undefined;
  /** How often Redis is asked whether it is there, in ms; 30,000 by default. */
  readonly redisPingIntervalMs?: number | undefined;
  /** Takes why connections were refused, or broke. */
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

/**
 * One end of a channel to another thread: a `MessagePort` of
 * `node:worker_threads`, or of the web. It is for replication alone.
 */
export interface ThreadPort {
  /** Sends a copy. */
  postMessage(message: unknown): void;
  /** Takes what comes, and the end of it. */
  addEventListener(
    type: "message" | "close",
    listener: (event: object) => void,
  ): void;
  /** Lets messages come. */
  start(): void;
  /** Keeps the thread alive, where the runtime has it. */
  ref?(): void;
  /** Lets the thread end, where the runtime has it. */
  unref?(): void;
}

/**
 * Where to listen, or to connect to: a connection string, a port to another
 * thread, or any transport.
 */
export type Address = string | ThreadPort | Transport;

/**
 * Lines over TCP.
 *
 * @module
 */

import type { Buffer } from "node:buffer";
import { connect, createServer, type Server, type Socket } from "node:net";
import type { CancelTimer, Clock } from "../runtime/clock.ts";
import { HeadwaterError, messageOf } from "../runtime/errors.ts";
import { CLOSE_GRACE_MS, LISTEN_BACKLOG } from "../runtime/limits.ts";
import { LineSplitter } from "./line_splitter.ts";
import type {
  AcceptConnection,
  Connection,
  ConnectionHandler,
  Listener,
  Transport,
  TransportOptions,
} from "./transport.ts";

/** Where to listen, or to connect to. */
export interface TcpAddress {
  /** A host name or an address. */
  readonly host: string;
  /** A port; 0 lets the system choose one to listen on. */
  readonly port: number;
}

/**
 * Lines over TCP.
 *
 * @param address Where to listen, or to connect to.
 * @param clock The clock for closing.
 * @param options The bounds.
 */
export function tcpTransport(
  address: TcpAddress,
  clock: Clock,
  { maxLineBytes }: TransportOptions,
): Transport {
  const take = (socket: Socket, accept: AcceptConnection) => {
    const connection = new TcpConnection(socket, clock, maxLineBytes);
    connection.handle(accept(connection));
    return connection;
  };
  return {
    listen: (accept) =>
      new Promise((resolve, reject) => {
        const server = createServer(
          { noDelay: true },
          (socket) => void take(socket, accept),
        );
        server.once("error", (error) => reject(listenError(address, error)));
        server.listen(
          { host: address.host, port: address.port, backlog: LISTEN_BACKLOG },
          () => resolve(toListener(server, address)),
        );
      }),
    connect: (accept) =>
      new Promise((resolve, reject) => {
        const socket = connect({ ...address, noDelay: true });
        socket.once("error", reject);
        socket.once("connect", () => {
          socket.off("error", reject);
          resolve(take(socket, accept));
        });
      }),
  };
}

class TcpConnection implements Connection {
  readonly isShared = false;
  readonly remote: string;
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #splitter: LineSplitter;
  #handler: ConnectionHandler | undefined;
  #isPaused = false;
  #isClosing = false;
  #hasFailed = false;
  #cancelGrace: CancelTimer | undefined;
  /** Lines that were on their way when the connection was paused. */
  #held = "";

  constructor(socket: Socket, clock: Clock, maxLineBytes: number) {
    this.remote = `${socket.remoteAddress}:${socket.remotePort}`;
    this.#socket = socket;
    this.#clock = clock;
    this.#splitter = new LineSplitter(maxLineBytes);
  }

  get queuedBytes(): number {
    return this.#socket.writableLength;
  }

  handle(handler: ConnectionHandler): void {
    this.#handler = handler;
    this.#socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    // Without this a reset would be an uncaught exception; "close" follows.
    this.#socket.on("error", () => {});
    this.#socket.on("close", () => {
      this.#isClosing = true;
      this.#cancelGrace?.();
      handler.closed();
    });
  }

  send(lines: string | Uint8Array): void {
    if (!this.#isClosing) this.#socket.write(lines);
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
    if (this.#isClosing || this.#hasFailed) return;
    let lines;
    try {
      lines = this.#splitter.push(chunk);
    } catch (error) {
      this.#hasFailed = true;
      this.#held = "";
      this.#handler?.failed(error as Error);
      return;
    }
    if (lines === "") return;
    if (this.#isPaused) this.#held += lines;
    else this.#handler?.received(lines);
  }
}

function toListener(server: Server, { host }: TcpAddress): Listener {
  // What goes wrong from now on concerns one connection that was not accepted.
  server.removeAllListeners("error");
  server.on("error", () => {});
  const { port } = server.address() as { port: number };
  return {
    url: formatUrl({ host, port }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        // close() waits for connections, too; those end in their own time.
        resolve();
      }),
  };
}

function formatUrl({ host, port }: TcpAddress): string {
  return `tcp://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

function listenError(address: TcpAddress, error: unknown): HeadwaterError {
  const code = (error as { code?: string }).code;
  const reason = code === "EADDRINUSE"
    ? "the port is in use"
    : messageOf(error);
  return new HeadwaterError(
    "LISTEN_FAILED",
    `Cannot listen on ${formatUrl(address)}: ${reason}; ` +
      "give another address, or port 0",
    { cause: error },
  );
}

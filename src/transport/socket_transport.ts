/**
 * What transports over sockets have in common: listening, connecting, and how
 * either fails.
 *
 * @module
 */

import type { ListenOptions, Server, Socket } from "node:net";
import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError, messageOf } from "../runtime/errors.ts";
import {
  CONNECT_ATTEMPT_TIMEOUT_MS,
  LISTEN_BACKLOG,
} from "../runtime/limits.ts";
import { SocketConnection } from "./socket_connection.ts";
import type {
  AcceptConnection,
  Listener,
  Transport,
  TransportOptions,
} from "./transport.ts";

/** What makes the sockets of a transport. */
export interface SocketSource {
  /** Where it listens or connects to, as in connection strings. */
  readonly url: string;
  /** Makes a server that gives each socket that is ready. */
  createServer(take: (socket: Socket) => void): Server;
  /** Ends what is no connection yet, as the server closes. */
  closing?(server: Server): void;
  /** Where the server listens. */
  readonly listenOptions: ListenOptions;
  /** What it says of an address that is in use. */
  readonly inUse: string;
  /** What to do about an address that can't be listened on. */
  readonly remedy: string;
  /** Begins to connect. */
  connect(): Socket;
  /** What a socket says once it is ready. */
  readonly readyEvent: "connect" | "secureConnect";
  /** What to say of an attempt that failed, where that is more than the socket says. */
  explain?(error: unknown): HeadwaterError | undefined;
  /** The other end, for logs. */
  remoteOf(socket: Socket): string;
  /** Where it listens now, with what was chosen. */
  urlOf(server: Server): string;
}

/**
 * Lines over the sockets of a source.
 *
 * @param source What makes sockets.
 * @param clock The clock for closing, and for attempts to connect.
 * @param options The bounds.
 */
export function socketTransport(
  source: SocketSource,
  clock: Clock,
  { maxLineBytes, logger }: TransportOptions,
): Transport {
  const take = (socket: Socket, accept: AcceptConnection) => {
    const remote = source.remoteOf(socket);
    const connection = new SocketConnection(socket, {
      remote,
      maxLineBytes,
      logger,
      clock,
    });
    connection.handle(accept(connection));
    return connection;
  };
  return {
    listen: (accept) => listen(source, (socket) => void take(socket, accept)),
    connect: async (accept, signal) =>
      take(await connect(source, clock, signal), accept),
  };
}

function listen(
  source: SocketSource,
  take: (socket: Socket) => void,
): Promise<Listener> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown) => reject(listenError(source, error));
    let server: Server;
    try {
      server = source.createServer(take);
    } catch (error) {
      return fail(error);
    }
    server.once("error", fail);
    const options = { ...source.listenOptions, backlog: LISTEN_BACKLOG };
    server.listen(options, () => resolve(toListener(server, source)));
  });
}

function toListener(server: Server, source: SocketSource): Listener {
  // What goes wrong from now on concerns one connection that was not accepted.
  server.removeAllListeners("error");
  server.on("error", () => {});
  return {
    url: source.urlOf(server),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        // close() waits for connections, too; those end in their own time.
        resolve();
        source.closing?.(server);
      }),
  };
}

/** A socket that is ready; one that is not in time is given up. */
function connect(
  source: SocketSource,
  clock: Clock,
  signal: AbortSignal | undefined,
): Promise<Socket> {
  signal?.throwIfAborted();
  return new Promise((resolve, reject) => {
    const socket = source.connect();
    const settle = () => {
      cancel();
      signal?.removeEventListener("abort", abort);
      socket.off("error", fail);
    };
    const fail = (error: unknown) => {
      settle();
      // It may have more to say as it goes, which nobody needs.
      socket.on("error", () => {});
      socket.destroy();
      reject(source.explain?.(error) ?? error);
    };
    const abort = () => fail(signal?.reason);
    const cancel = clock.schedule(
      () => fail(connectTimeoutError(source.url)),
      CONNECT_ATTEMPT_TIMEOUT_MS,
    );
    signal?.addEventListener("abort", abort);
    socket.on("error", fail);
    socket.once(source.readyEvent, () => {
      settle();
      resolve(socket);
    });
  });
}

function listenError(
  { url, inUse, remedy }: SocketSource,
  error: unknown,
): HeadwaterError {
  if (error instanceof HeadwaterError) return error;
  const { code } = error as { code?: string };
  const reason = code === "EADDRINUSE" ? inUse : messageOf(error);
  return new HeadwaterError(
    "LISTEN_FAILED",
    `Cannot listen on ${url}: ${reason}; ${remedy}`,
    { cause: error },
  );
}

/** The error of an attempt to connect that took too long. */
export function connectTimeoutError(url: string): HeadwaterError {
  return new HeadwaterError(
    "CONNECT_TIMEOUT",
    `Cannot connect to ${url}: no answer within ` +
      `${CONNECT_ATTEMPT_TIMEOUT_MS} ms; see that a writer serves it`,
  );
}

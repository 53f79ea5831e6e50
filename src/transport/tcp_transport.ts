/**
 * Lines over TCP.
 *
 * @module
 */

import { connect, createServer, type Server, type Socket } from "node:net";
import type { Clock } from "../runtime/clock.ts";
import { socketTransport } from "./socket_transport.ts";
import type { Transport, TransportOptions } from "./transport.ts";

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
  options: TransportOptions,
): Transport {
  const url = formatHostUrl("tcp", address);
  return socketTransport(
    {
      url,
      createServer: (take) => createServer({ noDelay: true }, take),
      listenOptions: { host: address.host, port: address.port },
      inUse: "the port is in use",
      remedy: "give another address, or port 0",
      connect: () =>
        connect({ host: address.host, port: address.port, noDelay: true }),
      readyEvent: "connect",
      remoteOf: formatRemote,
      urlOf: (server) =>
        formatHostUrl("tcp", { host: address.host, port: portOf(server) }),
    },
    clock,
    options,
  );
}

/** `tcp://HOST:PORT`. */
export function formatHostUrl(
  scheme: "tcp" | "tls",
  { host, port }: TcpAddress,
): string {
  return `${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** The other end of a socket: `127.0.0.1:50432`. */
export function formatRemote(socket: Socket): string {
  return `${socket.remoteAddress}:${socket.remotePort}`;
}

/** The port that a server listens on. */
export function portOf(server: Server): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

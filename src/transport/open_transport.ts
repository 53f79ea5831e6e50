/**
 * From a connection string to a transport.
 *
 * @module
 */

import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError, quote } from "../runtime/errors.ts";
import {
  type AcceptConnection,
  connectTcp,
  listenTcp,
  type TcpAddress,
} from "./tcp_transport.ts";
import type { Connection, Listener, TransportOptions } from "./transport.ts";

const MAX_PORT = 65_535;

/**
 * Listens where a connection string says.
 *
 * @param url `tcp://HOST:PORT`; without a host, on loopback.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for another scheme, `LISTEN_FAILED` if it can't.
 */
export async function listen(
  url: string,
  accept: AcceptConnection,
  clock: Clock,
  options: TransportOptions,
): Promise<Listener> {
  return await listenTcp(parseTcpUrl(url), accept, clock, options);
}

/**
 * A way to connect to what a connection string names, again and again.
 *
 * @param url `tcp://HOST:PORT`.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for another scheme.
 */
export function connector(
  url: string,
  clock: Clock,
  options: TransportOptions,
): (accept: AcceptConnection) => Promise<Connection> {
  const address = parseTcpUrl(url);
  return (accept) => connectTcp(address, accept, clock, options);
}

function parseTcpUrl(url: string): TcpAddress {
  const match = /^tcp:\/\/(\[[^\]]+\]|[^:/]*):(\d+)\/?$/.exec(String(url));
  const port = Number(match?.[2]);
  if (match === null || port > MAX_PORT) {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot use address ${quote(String(url))}: give tcp://HOST:PORT`,
    );
  }
  const host = match[1] || "127.0.0.1";
  return { host: host.replace(/^\[|\]$/g, ""), port };
}

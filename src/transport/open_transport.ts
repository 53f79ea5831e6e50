/**
 * From a connection string to a transport.
 *
 * @module
 */

import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError, quote } from "../runtime/errors.ts";
import { type TcpAddress, tcpTransport } from "./tcp_transport.ts";
import type { Transport, TransportOptions } from "./transport.ts";

const MAX_PORT = 65_535;

/**
 * The transport that a connection string names; one that is a transport
 * already is taken as it is.
 *
 * @param address `tcp://HOST:PORT`; without a host, on loopback.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for another scheme.
 */
export function openTransport(
  address: string | Transport,
  clock: Clock,
  options: TransportOptions,
): Transport {
  if (typeof address === "object" && address !== null) return address;
  return tcpTransport(parseTcpUrl(address), clock, options);
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

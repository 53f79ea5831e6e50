/**
 * From a connection string to a transport.
 *
 * @module
 */

import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError, quote } from "../runtime/errors.ts";
import { systemRandom } from "../runtime/random.ts";
import { parseRedisUrl, redisTransport } from "./redis_transport.ts";
import { type TcpAddress, tcpTransport } from "./tcp_transport.ts";
import type { Transport, TransportOptions } from "./transport.ts";

const MAX_PORT = 65_535;
const REDIS = /^rediss?:/;
const DEFAULT_CHANNEL = "headwater";

/**
 * The transport that a connection string names; one that is a transport
 * already is taken as it is.
 *
 * @param address `tcp://HOST:PORT`; without a host, on loopback. Or
 *   `redis://HOST:PORT`, `rediss://HOST:PORT`; the channel is the server's name,
 *   unless `?channel=NAME` follows.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for another scheme.
 */
export function openTransport(
  address: string | Transport,
  clock: Clock,
  options: TransportOptions,
): Transport {
  if (typeof address === "object" && address !== null) return address;
  if (REDIS.test(String(address))) {
    const { serverName = DEFAULT_CHANNEL } = options;
    const redis = { ...options, clock, random: systemRandom };
    return redisTransport(parseRedisUrl(address, serverName), redis);
  }
  return tcpTransport(parseTcpUrl(address), clock, options);
}

function parseTcpUrl(url: string): TcpAddress {
  const match = /^tcp:\/\/(\[[^\]]+\]|[^:/]*):(\d+)\/?$/.exec(String(url));
  const port = Number(match?.[2]);
  if (match === null || port > MAX_PORT) {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot use address ${
        quote(String(url))
      }: give tcp://HOST:PORT or redis://HOST:PORT`,
    );
  }
  const host = match[1] || "127.0.0.1";
  return { host: host.replace(/^\[|\]$/g, ""), port };
}

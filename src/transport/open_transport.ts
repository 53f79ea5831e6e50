/**
 * From an address to a transport.
 *
 * @module
 */

import type { Clock } from "../runtime/clock.ts";
import { systemRandom } from "../runtime/random.ts";
import { memoryTransport } from "./memory_transport.ts";
import { hideSecret, parseAddress } from "./parse_address.ts";
import { portTransport } from "./port_transport.ts";
import { parseRedisUrl, redisTransport } from "./redis_transport.ts";
import { tcpTransport } from "./tcp_transport.ts";
import { tlsTransport } from "./tls_transport.ts";
import type { Address, Transport, TransportOptions } from "./transport.ts";
import { unixTransport } from "./unix_transport.ts";

const DEFAULT_CHANNEL = "headwater";

/**
 * The transport that an address names; one that is a transport already is taken
 * as it is.
 *
 * @param address `tcp://HOST:PORT`, `tls://HOST:PORT`, `unix:PATH`,
 *   `memory:NAME`, or `redis://HOST:PORT` or `rediss://`, whose channel is the server's name
 *   unless `?channel=NAME` follows; a `MessagePort`; or a transport.
 * @param clock The clock for closing, and for attempts to connect.
 * @param options The bounds, and keys and certificates.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for another scheme.
 */
export function openTransport(
  address: Address,
  clock: Clock,
  options: TransportOptions,
): Transport {
  if (typeof address === "object" && address !== null) {
    return "postMessage" in address
      ? portTransport(address, clock, options)
      : address;
  }
  const parsed = parseAddress(address);
  switch (parsed.scheme) {
    case "tcp":
      return tcpTransport(parsed, clock, options);
    case "tls":
      return tlsTransport(parsed, clock, options);
    case "unix":
      return unixTransport(parsed.path, clock, options);
    case "memory":
      return memoryTransport(parsed.name, clock, options);
    case "redis": {
      const { serverName = DEFAULT_CHANNEL } = options;
      const redis = { ...options, clock, random: systemRandom };
      const place = parseRedisUrl(parsed.url, serverName, options.tls);
      return redisTransport(place, redis);
    }
  }
}

/**
 * Refuses what is no address.
 *
 * @throws {HeadwaterError} `INVALID_ARGUMENT`.
 */
export function requireAddress(address: Address): void {
  if (typeof address !== "object" || address === null) parseAddress(address);
}

/** What an address is called in errors and logs. */
export function nameOfAddress(address: Address): string {
  // A password in it is nobody's to read.
  if (typeof address === "string") return hideSecret(address);
  return "postMessage" in address ? "a MessagePort" : "a transport of its own";
}

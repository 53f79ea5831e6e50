/**
 * From an address to a transport.
 *
 * @module
 */

import type { Clock } from "../runtime/clock.ts";
import { memoryTransport } from "./memory_transport.ts";
import { parseAddress } from "./parse_address.ts";
import { portTransport } from "./port_transport.ts";
import { tcpTransport } from "./tcp_transport.ts";
import { tlsTransport } from "./tls_transport.ts";
import type { Address, Transport, TransportOptions } from "./transport.ts";
import { unixTransport } from "./unix_transport.ts";

/**
 * The transport that an address names; one that is a transport already is taken
 * as it is.
 *
 * @param address `tcp://HOST:PORT`, `tls://HOST:PORT`, `unix:PATH` or
 *   `memory:NAME`; a `MessagePort`; or a transport.
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
  }
}

/** What an address is called in errors and logs. */
export function nameOfAddress(address: Address): string {
  if (typeof address === "string") return address;
  return "postMessage" in address ? "a MessagePort" : "a transport of its own";
}

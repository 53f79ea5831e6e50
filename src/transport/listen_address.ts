/**
 * Where rows may be served, and to whom.
 *
 * @module
 */

import { HeadwaterError } from "../runtime/errors.ts";
import { parseAddress } from "./parse_address.ts";
import { formatHostUrl } from "./tcp_transport.ts";
import { readKeys, requireListeningKeys } from "./tls_keys.ts";
import type { Address, TlsOptions } from "./transport.ts";

/** What allows a writer to listen. */
export interface ListenOptions {
  /** Keys and certificates, for `tls:`. */
  readonly tls?: TlsOptions | undefined;
  /** Whether anybody on the network may read every row. */
  readonly allowPlaintext?: boolean | undefined;
}

/**
 * Refuses to serve rows to a network in the clear, for whoever connects can
 * read them all, unless that is asked for by name.
 *
 * @param address Where a writer is to listen.
 * @param options What allows it.
 * @throws {HeadwaterError} `INVALID_ARGUMENT`, saying what to do.
 */
export function requireSafeListening(
  address: Address,
  { tls = {}, allowPlaintext = false }: ListenOptions,
): void {
  if (typeof address === "object" && address !== null) return;
  const parsed = parseAddress(address);
  if (parsed.scheme === "tls") {
    const url = formatHostUrl("tls", parsed);
    requireListeningKeys(url, tls);
    readKeys(url, tls);
    return;
  }
  if (parsed.scheme !== "tcp") return;
  if (allowPlaintext || isLoopback(parsed.host)) return;
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot listen on ${formatHostUrl("tcp", parsed)}: whoever can reach it ` +
      "could read every row, and so could whoever listens in; give tls://HOST:PORT " +
      "with tls: { key, cert }, or allowPlaintext: true on a network of your own",
  );
}

/** Whether only this machine can reach a host. */
export function isLoopback(host: string): boolean {
  return /^(?:localhost|127(?:\.\d{1,3}){3}|::1|::ffff:127(?:\.\d{1,3}){3})$/i
    .test(host);
}

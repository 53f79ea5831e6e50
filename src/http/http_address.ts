/**
 * Where requests are taken, and who may be let in there.
 *
 * @module
 */

import { HeadwaterError } from "../runtime/errors.ts";
import { isLoopback } from "../transport/listen_address.ts";
import { readKeys, requireListeningKeys } from "../transport/tls_keys.ts";
import type { TlsOptions } from "../transport/transport.ts";

/** An address to take requests at. */
export interface HttpAddress {
  readonly scheme: "http" | "https";
  readonly host: string;
  readonly port: number;
}

/**
 * Takes an address apart: `http://127.0.0.1:8824`, port 0 for any that is free.
 *
 * @throws {HeadwaterError} `INVALID_ARGUMENT` if it is none. What it says is not
 *   repeated where it may hold a password.
 */
export function parseHttpAddress(address: string): HttpAddress {
  let url: URL;
  try {
    url = new URL(address);
  } catch {
    throw addressError(`${JSON.stringify(address)} is no URL`);
  }
  if (url.username !== "" || url.password !== "") {
    throw addressError("it holds a user or a password");
  }
  const { protocol, hostname, port, pathname, search, hash } = url;
  const isHttp = protocol === "http:" || protocol === "https:";
  if (!isHttp || hostname === "" || `${search}${hash}` !== "") {
    throw addressError(`this is ${JSON.stringify(address)}`);
  }
  if (pathname !== "/" && pathname !== "") {
    throw addressError(`${JSON.stringify(address)} has a path`);
  }
  const scheme = protocol === "https:" ? "https" : "http";
  const standard = scheme === "https" ? 443 : 80;
  return {
    scheme,
    host: hostname.replace(/^\[|\]$/g, ""),
    port: port === "" ? standard : Number(port),
  };
}

/** An address as text: `http://[::1]:8824`. */
export function formatHttpAddress({ scheme, host, port }: HttpAddress): string {
  const shown = host.includes(":") ? `[${host}]` : host;
  return `${scheme}://${shown}:${port}`;
}

/** What keeps strangers out. */
export interface HttpGuards {
  /** What requests must carry. */
  readonly secret?: string | undefined;
  /** The key and the certificate of `https:`, and whose callers may connect. */
  readonly tls?: TlsOptions | undefined;
  /**
   * Whether an address that others can reach may be without a secret and TLS.
   *
   * @default {false}
   */
  readonly allowPlaintext?: boolean | undefined;
}

/**
 * Refuses to be open to a network without being told so.
 *
 * @throws {HeadwaterError} `INVALID_ARGUMENT`.
 */
export function requireGuards(
  address: HttpAddress,
  { secret, tls = {}, allowPlaintext = false }: HttpGuards,
): void {
  const shown = formatHttpAddress(address);
  if (secret === "") {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot take requests at ${shown}: the secret is empty; give a long one, ` +
        "or none",
    );
  }
  if (address.scheme === "https") {
    requireListeningKeys(shown, tls);
    readKeys(shown, tls);
    return;
  }
  if (isLoopback(address.host) || allowPlaintext || secret !== undefined) {
    return;
  }
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot take requests at ${shown}: whoever can reach it could read and ` +
      "write; listen on 127.0.0.1, give a secret, or https://HOST:PORT with " +
      "tls: { key, cert }, or allowPlaintext: true on a network of your own",
  );
}

function addressError(problem: string): HeadwaterError {
  return new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot use the HTTP address: ${problem}; give http://HOST:PORT or ` +
      "https://HOST:PORT",
  );
}

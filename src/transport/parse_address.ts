/**
 * Connection strings of transports, taken apart.
 *
 * @module
 */

import { HeadwaterError, quote } from "../runtime/errors.ts";
import { hideSecrets } from "../runtime/secrets.ts";
import type { TcpAddress } from "./tcp_transport.ts";

/** A connection string's parts. */
export type ParsedAddress =
  | { readonly scheme: "tcp" | "tls" } & TcpAddress
  | { readonly scheme: "unix"; readonly path: string }
  | { readonly scheme: "memory"; readonly name: string }
  | { readonly scheme: "redis"; readonly url: string };

const MAX_PORT = 65_535;

/**
 * Takes a connection string apart.
 *
 * @param url `tcp://HOST:PORT`, `tls://HOST:PORT` (without a host: loopback),
 *   `unix:PATH`, `memory:NAME` or `redis://…`, which is taken apart later.
 * @throws {HeadwaterError} `INVALID_ARGUMENT`, naming the schemes that there are.
 */
export function parseAddress(url: string): ParsedAddress {
  const [, scheme, rest] = /^(tcp|tls|unix|memory|rediss?):(.*)$/s.exec(
    String(url),
  ) ?? [];
  if (scheme === "redis" || scheme === "rediss") {
    return { scheme: "redis", url };
  }
  if (scheme === "unix" && rest && !rest.includes("\0")) {
    // As some write it, after the rules of URLs: unix:///path.
    return { scheme, path: rest.replace(/^\/\/(?=\/)/, "") };
  }
  if (scheme === "memory" && rest) return { scheme, name: rest };
  if (scheme === "tcp" || scheme === "tls") {
    const address = parseHost(rest ?? "");
    if (address !== undefined) return { scheme, ...address };
  }
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot use address ${quote(hideSecrets(String(url)))}: give ` +
      "tcp://HOST:PORT, tls://HOST:PORT, redis://HOST:PORT, unix:PATH, memory:NAME or a " +
      "MessagePort",
  );
}

function parseHost(rest: string): TcpAddress | undefined {
  const match = /^\/\/(\[[^\]]+\]|[^:/@]*):(\d+)\/?$/.exec(rest);
  const port = Number(match?.[2]);
  if (match === null || port > MAX_PORT) return undefined;
  const host = match[1] || "127.0.0.1";
  return { host: host.replace(/^\[|\]$/g, ""), port };
}

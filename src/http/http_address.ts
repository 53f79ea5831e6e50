/**
 * Where requests are taken, and who may be let in there.
 *
 * @module
 */

import { isIP } from "node:net";
import { HeadwaterError } from "../runtime/errors.ts";

/** A certificate of ours, and whose certificates callers must have. */
export interface HttpServerTls {
  /** The certificate, with those between it and the root: PEM. */
  readonly cert: string;
  /** Its private key: PEM. */
  readonly key: string;
  /**
   * Who signs the callers' certificates: PEM. With it, whoever has none is
   * turned away, and a secret is not needed.
   *
   * @default {callers need no certificate}
   */
  readonly ca?: string | undefined;
}

/** Whom to trust, and what to show. */
export interface HttpClientTls {
  /**
   * Who signs the server's certificate: PEM.
   *
   * @default {whom the runtime trusts}
   */
  readonly ca?: string | undefined;
  /** Our own certificate: PEM. */
  readonly cert?: string | undefined;
  /** Its private key: PEM. */
  readonly key?: string | undefined;
}

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
  readonly secret?: string | undefined;
  readonly tls?: HttpServerTls | undefined;
  readonly allowInsecure?: boolean | undefined;
}

/**
 * Refuses to be open to a network without being told so.
 *
 * @throws {HeadwaterError} `INVALID_ARGUMENT`.
 */
export function requireGuards(address: HttpAddress, guards: HttpGuards): void {
  const { secret, tls, allowInsecure = false } = guards;
  const shown = formatHttpAddress(address);
  const refuse = (problem: string) => {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot take requests at ${shown}: ${problem}`,
    );
  };
  if (secret === "") refuse("the secret is empty; give a long one, or none");
  const isTls = address.scheme === "https";
  if (isTls !== (tls !== undefined)) {
    refuse(
      isTls
        ? "give a certificate and its key"
        : "it has a certificate, and its scheme is http; make it https",
    );
  }
  if (isLoopback(address.host) || allowInsecure) return;
  if (secret !== undefined || isTls) return;
  refuse(
    "whoever can reach it could read and write; listen on 127.0.0.1, give a " +
      "secret or a certificate, or allow it explicitly",
  );
}

/** Whether only this machine can reach a host. */
export function isLoopback(host: string): boolean {
  if (host === "localhost" || host === "::1") return true;
  return isIP(host) === 4 && host.startsWith("127.");
}

function addressError(problem: string): HeadwaterError {
  return new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot use the HTTP address: ${problem}; give http://HOST:PORT or ` +
      "https://HOST:PORT",
  );
}

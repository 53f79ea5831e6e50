/**
 * Lines over TLS.
 *
 * @module
 */

import type { Server } from "node:net";
import { connect, createServer } from "node:tls";
import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import { CONNECT_ATTEMPT_TIMEOUT_MS } from "../runtime/limits.ts";
import { socketTransport } from "./socket_transport.ts";
import {
  formatHostUrl,
  formatRemote,
  portOf,
  type TcpAddress,
} from "./tcp_transport.ts";
import type { TlsOptions, Transport, TransportOptions } from "./transport.ts";

const decoder = new TextDecoder();

/**
 * Lines over TLS. A server's certificate is always verified, and so is a
 * client's where one is asked for.
 *
 * @param address Where to listen, or to connect to.
 * @param clock The clock for closing.
 * @param options The bounds, and keys and certificates.
 */
export function tlsTransport(
  address: TcpAddress,
  clock: Clock,
  options: TransportOptions,
): Transport {
  const { logger, tls = {} } = options;
  const url = formatHostUrl("tls", address);
  const { passphrase, servername, requestCert = false } = tls;
  const keys = {
    key: tls.key && toPem(tls.key),
    cert: tls.cert && toPem(tls.cert),
    ca: tls.ca && [tls.ca].flat().map(toPem),
    passphrase,
    minVersion: "TLSv1.2",
  } as const;
  return socketTransport(
    {
      url,
      createServer(take): Server {
        requireKey(url, tls);
        const server = createServer({
          ...keys,
          requestCert,
          rejectUnauthorized: requestCert,
          handshakeTimeout: CONNECT_ATTEMPT_TIMEOUT_MS,
          noDelay: true,
        }, take);
        // OpenSSL's words name what is wrong, and nothing of the key.
        server.on("tlsClientError", (error, socket) => {
          const fields = {
            remote: formatRemote(socket),
            error: error.message.trim(),
          };
          logger?.("warn", "a connection was refused by TLS", fields);
        });
        return server;
      },
      listenOptions: { host: address.host, port: address.port },
      inUse: "the port is in use",
      remedy: "give another address, or port 0",
      connect: () => {
        const socket = connect({
          ...keys,
          host: address.host,
          port: address.port,
          ...(servername === undefined ? {} : { servername }),
          rejectUnauthorized: true,
        });
        socket.setNoDelay(true);
        return socket;
      },
      readyEvent: "secureConnect",
      remoteOf: formatRemote,
      urlOf: (server) =>
        formatHostUrl("tls", { host: address.host, port: portOf(server) }),
    },
    clock,
    options,
  );
}

function toPem(pem: string | Uint8Array): string {
  return typeof pem === "string" ? pem : decoder.decode(pem);
}

/**
 * Refuses to serve without a key and a certificate.
 *
 * @param url Where it would listen.
 * @param tls What was given.
 * @throws {HeadwaterError} `INVALID_ARGUMENT`.
 */
export function requireKey(url: string, { key, cert }: TlsOptions): void {
  if (key !== undefined && cert !== undefined) return;
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot listen on ${url}: no ${
      key === undefined ? "key" : "certificate"
    }; give tls: { key, cert } as PEM`,
  );
}

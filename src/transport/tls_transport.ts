/**
 * Lines over TLS.
 *
 * @module
 */

import type { Server } from "node:net";
import { connect, createServer } from "node:tls";
import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError, messageOf } from "../runtime/errors.ts";
import { MAX_CONNECTIONS } from "../runtime/limits.ts";
import { silentLogger } from "../runtime/logger.ts";
import { socketTransport } from "./socket_transport.ts";
import {
  formatHostUrl,
  formatRemote,
  portOf,
  type TcpAddress,
} from "./tcp_transport.ts";
import { isPlain, SPEAKS_PLAINLY } from "./tls_errors.ts";
import { TlsHandshakes } from "./tls_handshakes.ts";
import { readKeys, requireListeningKeys } from "./tls_keys.ts";
import type { Transport, TransportOptions } from "./transport.ts";

/**
 * Lines over TLS. A server's certificate is always verified, and so is a
 * client's where one is asked for.
 *
 * @param address Where to listen, or to connect to.
 * @param clock The clock for closing.
 * @param options The bounds, and keys and certificates.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for keys that can't be used.
 */
export function tlsTransport(
  address: TcpAddress,
  clock: Clock,
  options: TransportOptions,
): Transport {
  const {
    logger = silentLogger,
    maxConnections = MAX_CONNECTIONS,
    tls = {},
  } = options;
  const url = formatHostUrl("tls", address);
  const { passphrase, servername, requestCert = false } = tls;
  const keys = {
    ...readKeys(url, tls),
    passphrase,
    minVersion: "TLSv1.2",
  } as const;
  const handshakes = new WeakMap<Server, TlsHandshakes>();
  return socketTransport(
    {
      url,
      createServer(take): Server {
        requireListeningKeys(url, tls);
        const server = createServer({
          ...keys,
          requestCert,
          rejectUnauthorized: requestCert,
          noDelay: true,
        }, take);
        const remoteOf = formatRemote;
        const bounds = { maxConnections, remoteOf, clock, logger };
        handshakes.set(server, new TlsHandshakes(server, bounds));
        return server;
      },
      closing: (server) => handshakes.get(server)?.close(),
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
      explain: (error) =>
        isPlain(messageOf(error))
          ? new HeadwaterError(
            "INVALID_ARGUMENT",
            `Cannot connect to ${url}: ${SPEAKS_PLAINLY}`,
            { cause: error },
          )
          : undefined,
      remoteOf: formatRemote,
      urlOf: (server) =>
        formatHostUrl("tls", { host: address.host, port: portOf(server) }),
    },
    clock,
    options,
  );
}

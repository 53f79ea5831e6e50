/**
 * Requests on a socket, on either runtime.
 *
 * @module
 */

import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { requireAboveZero, requireBounds } from "../runtime/bounds.ts";
import { createAdaptorServer, type ServerType } from "@hono/node-server";
import { HeadwaterError } from "../runtime/errors.ts";
import { MAX_CONNECTIONS, REQUEST_TIMEOUT_MS } from "../runtime/limits.ts";
import { type OptionNames, requireNames } from "../runtime/option_names.ts";
import { readKeys } from "../transport/tls_keys.ts";
import {
  formatHttpAddress,
  type HttpAddress,
  type HttpGuards,
  parseHttpAddress,
  requireGuards,
} from "./http_address.ts";

/** Answers a request. */
export type FetchHandler = (request: Request) => Response | Promise<Response>;

/** Options of {@linkcode listenHttp}. */
export interface ListenHttpOptions extends HttpGuards {
  /** `http://HOST:PORT` or `https://HOST:PORT`; port 0 for any that is free. */
  readonly url: string;
  /**
   * What `fetch` asks of each request. Here it only counts as a guard: an
   * address that others can reach needs one.
   *
   * @default {none}
   */
  readonly secret?: string | undefined;
  /**
   * How long a request may take to arrive whole, in ms: above 0.
   *
   * @default {30000}
   */
  readonly requestTimeoutMs?: number | undefined;
}

/** The names of {@linkcode ListenHttpOptions}. */
export const LISTEN_HTTP_OPTIONS: OptionNames<ListenHttpOptions> = {
  url: true,
  secret: true,
  requestTimeoutMs: true,
  tls: true,
  allowPlaintext: true,
};

/** Takes requests. */
export interface HttpServer {
  /** Where, with the port that was chosen: `http://127.0.0.1:8824`. */
  readonly url: string;
  /** Takes no more, and ends those that idle. */
  close(): Promise<void>;
}

/**
 * Listens for requests.
 *
 * @param fetch Answers them.
 * @param options Where.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for an address that can't be, or
 *   that others can reach unguarded; `LISTEN_FAILED` if the port is in use, not
 *   ours, or the certificate is none.
 */
export function listenHttp(
  fetch: FetchHandler,
  options: ListenHttpOptions,
): Promise<HttpServer> {
  requireNames("take requests", LISTEN_HTTP_OPTIONS, options);
  const { requestTimeoutMs } = options;
  requireBounds("take requests", { requestTimeoutMs });
  requireAboveZero("take requests", { requestTimeoutMs });
  const address = parseHttpAddress(options.url);
  requireGuards(address, options);
  const { host, port } = address;
  return new Promise((resolve, reject) => {
    const failed = (error: Error & { code?: string }) => {
      const reason = error.code === "EADDRINUSE"
        ? "the port is in use"
        : error.message;
      reject(
        new HeadwaterError(
          "LISTEN_FAILED",
          `Cannot listen on ${formatHttpAddress(address)}: ${reason}; ` +
            "give another address, or port 0",
          { cause: error },
        ),
      );
    };
    let server: ServerType;
    try {
      server = makeServer(fetch, address, options);
    } catch (error) {
      failed(error as Error);
      return;
    }
    server.once("error", failed);
    server.listen(port, host, () => {
      const bound = server.address() as AddressInfo;
      resolve({
        url: formatHttpAddress({ ...address, port: bound.port }),
        close: () => {
          const closed = new Promise<void>((done) =>
            server.close(() => done())
          );
          // Connections that are kept alive would hold it up for seconds.
          if ("closeAllConnections" in server) server.closeAllConnections();
          return closed;
        },
      });
    });
  });
}

function makeServer(
  fetch: FetchHandler,
  address: HttpAddress,
  { tls = {}, requestTimeoutMs = REQUEST_TIMEOUT_MS }: ListenHttpOptions,
): ServerType {
  const { passphrase, requestCert = false } = tls;
  const limits = {
    headersTimeout: requestTimeoutMs,
    requestTimeout: requestTimeoutMs,
    connectionsCheckingInterval: Math.max(1, requestTimeoutMs / 10),
  };
  const server = address.scheme === "http"
    ? createAdaptorServer({ fetch, createServer, serverOptions: limits })
    : createAdaptorServer({
      fetch,
      createServer: createTlsServer,
      serverOptions: {
        ...limits,
        ...readKeys(formatHttpAddress(address), tls),
        passphrase,
        minVersion: "TLSv1.2",
        requestCert,
        rejectUnauthorized: requestCert,
      },
    });
  server.maxConnections = MAX_CONNECTIONS;
  return server;
}

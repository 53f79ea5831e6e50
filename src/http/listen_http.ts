/**
 * Requests on a socket, on either runtime.
 *
 * @module
 */

import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { requireAboveZero, requireBounds } from "../runtime/bounds.ts";
import type { ServerType } from "@hono/node-server";
import { HeadwaterError } from "../runtime/errors.ts";
import { MAX_CONNECTIONS, REQUEST_TIMEOUT_MS } from "../runtime/limits.ts";
import { loadHttp } from "../runtime/load_http.ts";
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
  return listen(fetch, address, options);
}

async function listen(
  fetch: FetchHandler,
  address: HttpAddress,
  options: ListenHttpOptions,
): Promise<HttpServer> {
  try {
    const server = await makeServer(fetch, address, options);
    const listening = once(server, "listening");
    server.listen(address.port, address.host);
    await listening;
    // What goes wrong from now on concerns one connection that was not accepted.
    server.on("error", () => {});
    const { port } = server.address() as AddressInfo;
    return {
      url: formatHttpAddress({ ...address, port }),
      close: () => {
        const closed = new Promise<void>((done) => server.close(() => done()));
        // Connections that are kept alive would hold it up for seconds.
        if ("closeAllConnections" in server) server.closeAllConnections();
        return closed;
      },
    };
  } catch (error) {
    const { code, message } = error as Error & { code?: string };
    const reason = code === "EADDRINUSE" ? "the port is in use" : message;
    throw new HeadwaterError(
      "LISTEN_FAILED",
      `Cannot listen on ${formatHttpAddress(address)}: ${reason}; ` +
        "give another address, or port 0",
      { cause: error },
    );
  }
}

async function makeServer(
  fetch: FetchHandler,
  address: HttpAddress,
  { tls = {}, requestTimeoutMs = REQUEST_TIMEOUT_MS }: ListenHttpOptions,
): Promise<ServerType> {
  // Most processes take no requests: they would all start later for it.
  const { createAdaptorServer } = await import("@hono/node-server");
  const { passphrase, requestCert = false } = tls;
  const limits = {
    headersTimeout: requestTimeoutMs,
    requestTimeout: requestTimeoutMs,
    connectionsCheckingInterval: Math.max(1, requestTimeoutMs / 10),
  };
  const isTls = address.scheme === "https";
  const { createServer } = loadHttp(isTls);
  const keys = isTls
    ? {
      ...readKeys(formatHttpAddress(address), tls),
      passphrase,
      minVersion: "TLSv1.2",
      requestCert,
      rejectUnauthorized: requestCert,
    }
    : {};
  const server = createAdaptorServer({
    fetch,
    createServer,
    serverOptions: { ...limits, ...keys },
  });
  server.maxConnections = MAX_CONNECTIONS;
  return server;
}

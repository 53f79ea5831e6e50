/**
 * A hono application on a socket, on either runtime.
 *
 * @module
 */

import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import type { Hono } from "hono";
import { HeadwaterError } from "../../mod.ts";

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
 * @param app What answers them.
 * @param address Where; port 0 for any that is free.
 * @throws {HeadwaterError} `LISTEN_FAILED` if the port is in use or not ours.
 */
export function listenHttp(
  app: Hono,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<HttpServer> {
  const server = createAdaptorServer({ fetch: app.fetch });
  const shownHost = host.includes(":") ? `[${host}]` : host;
  return new Promise((resolve, reject) => {
    server.once("error", (error: Error & { code?: string }) => {
      const reason = error.code === "EADDRINUSE"
        ? "the port is in use"
        : error.message;
      reject(
        new HeadwaterError(
          "LISTEN_FAILED",
          `Cannot listen on http://${shownHost}:${port}: ${reason}; ` +
            "give another address, or port 0",
          { cause: error },
        ),
      );
    });
    server.listen(port, host, () => {
      const bound = server.address() as AddressInfo;
      resolve({
        url: `http://${shownHost}:${bound.port}`,
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

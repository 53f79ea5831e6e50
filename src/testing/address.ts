/**
 * Addresses of real sockets.
 *
 * @module
 */

import { connect, type Socket } from "node:net";
import { HeadwaterError } from "../../mod.ts";

/** A port on a host, or a unix socket's path. */
export type Address =
  | { readonly host: string; readonly port: number }
  | { readonly path: string };

const MAX_PORT = 65_535;

/** Reads `tcp://HOST:PORT`, any URL with host and port, `HOST:PORT`, or `unix:PATH`. */
export function parseAddress(text: string): Address {
  if (text.startsWith("unix:")) {
    return { path: text.slice("unix:".length).replace(/^\/\/(?=\/)/, "") };
  }
  const match = /^(?:[a-z][a-z+]*:\/\/)?(?:[^@/]*@)?(\[[^\]]+\]|[^:/]*):(\d+)/
    .exec(text);
  const port = Number(match?.[2]);
  if (match === null || port > MAX_PORT) {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot use address ${
        JSON.stringify(text)
      }: give tcp://HOST:PORT or unix:PATH`,
    );
  }
  const host = (match[1] || "127.0.0.1").replace(/^\[|\]$/g, "");
  return { host, port };
}

/** The address as a URL. */
export function formatAddress(address: Address): string {
  if ("path" in address) return `unix:${address.path}`;
  const { host, port } = address;
  return `tcp://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** Connects to it; errors are heard, and end the socket. */
export function dial(address: Address): Socket {
  const socket = "path" in address
    ? connect({ path: address.path })
    : connect({ ...address, noDelay: true });
  socket.on("error", () => {});
  return socket;
}

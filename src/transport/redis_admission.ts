/**
 * Finding out whether a Redis server takes this side's certificate.
 *
 * @module
 */

import { connect, type ConnectionOptions } from "node:tls";
import { HeadwaterError } from "../runtime/errors.ts";
import { isDeno } from "../runtime/processes.ts";

/**
 * Whether it has to be found out before the package `redis` connects. A server
 * of TLS 1.3 refuses a certificate after the handshake, for the client. Deno may
 * tell of both in one turn, in which the package has let go of its socket: the
 * error would be nobody's, and end the process.
 */
export const MUST_ASK: boolean = isDeno;

/**
 * Connects, has one command answered, whatever the answer is, and disconnects.
 *
 * @param options Where, and with which keys.
 * @param signal Gives the attempt up.
 * @throws What the server, or TLS, has against it.
 */
export async function requireAdmission(
  options: ConnectionOptions,
  signal?: AbortSignal,
): Promise<void> {
  signal?.throwIfAborted();
  const socket = connect(options);
  const giveUp = () => void socket.destroy();
  try {
    await new Promise<void>((resolve, reject) => {
      signal?.addEventListener("abort", giveUp);
      socket.on("error", reject);
      socket.on("close", () => reject(signal?.reason ?? closedError(options)));
      socket.once("data", () => resolve());
      socket.once("secureConnect", () => void socket.write("PING\r\n"));
    });
  } finally {
    signal?.removeEventListener("abort", giveUp);
    socket.destroy();
  }
}

function closedError({ host, port }: ConnectionOptions): HeadwaterError {
  return new HeadwaterError(
    "CONNECT_TIMEOUT",
    `Cannot connect to Redis at ${host}:${port}: it has closed the connection; ` +
      "look at what it logs",
  );
}

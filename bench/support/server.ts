/**
 * A bare TCP server: what the baselines are made of.
 *
 * @module
 */

import { createServer, type Socket } from "node:net";

/** Listens on a port of loopback. */
export interface BareServer {
  readonly port: number;
  /** The last connection, once there is one. */
  socket(): Socket;
  /** All of them. */
  sockets(): readonly Socket[];
  close(): void;
}

/** Starts one. */
export async function listenBare(): Promise<BareServer> {
  const accepted: Socket[] = [];
  const server = createServer({ noDelay: true }, (socket) => {
    accepted.push(socket);
    socket.on("error", () => {});
    // What readers say is dropped, unless somebody listens.
    socket.resume();
  });
  await new Promise<void>((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve())
  );
  return {
    port: (server.address() as { port: number }).port,
    socket: () => accepted.at(-1) as Socket,
    sockets: () => accepted,
    close: () => {
      for (const socket of accepted) socket.destroy();
      server.close();
    },
  };
}

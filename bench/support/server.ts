/**
 * A bare TCP server for one connection: what the baselines are made of.
 *
 * @module
 */

import { createServer, type Socket } from "node:net";

/** Listens on a port of loopback. */
export interface BareServer {
  readonly port: number;
  /** The connection, once there is one. */
  socket(): Socket;
  close(): void;
}

/** Starts one. */
export async function listenBare(): Promise<BareServer> {
  let accepted: Socket | undefined;
  const server = createServer({ noDelay: true }, (socket) => {
    accepted = socket;
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve())
  );
  return {
    port: (server.address() as { port: number }).port,
    socket: () => accepted as Socket,
    close: () => {
      accepted?.destroy();
      server.close();
    },
  };
}

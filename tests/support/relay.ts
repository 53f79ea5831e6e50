// A cable between two sockets, which can be pulled and plugged in again.

import { connect, createServer, type Socket } from "node:net";
import type { Test } from "tap";

/** Passes bytes on to a port. */
export interface Relay {
  readonly url: string;
  /** Ends every connection; new ones are ended at once. */
  cut(): void;
  /** Takes connections again. */
  open(): void;
}

/** Starts one before a port of loopback; it goes with the test. */
export async function startRelay(t: Test, target: number): Promise<Relay> {
  const sockets = new Set<Socket>();
  let isCut = false;
  const server = createServer((near) => {
    if (isCut) {
      near.destroy();
      return;
    }
    const far = connect(target, "127.0.0.1");
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    near.pipe(far);
    far.pipe(near);
  });
  await new Promise<void>((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve())
  );
  const cut = () => {
    isCut = true;
    for (const socket of sockets) socket.destroy();
  };
  t.teardown(() => {
    cut();
    server.close();
  });
  const { port } = server.address() as { port: number };
  return {
    url: `tcp://127.0.0.1:${port}`,
    cut,
    open: () => void (isCut = false),
  };
}

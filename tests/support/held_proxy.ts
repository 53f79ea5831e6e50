// A proxy that cuts connections off, and lets new ones wait at its door: whoever
// connects again meanwhile is not heard of, before the door is opened.

import { connect, createServer, type Socket } from "node:net";
import type { Test } from "tap";

/** Passes bytes on to a port. */
export interface HeldProxy {
  readonly port: number;
  /** Cuts off what there is, and holds what comes. */
  readonly hold: () => void;
  /** Lets pass what was held, and what comes. */
  readonly release: () => void;
}

/** Starts one before a port of loopback; it goes with the test. */
export async function startHeldProxy(
  t: Test,
  target: number,
): Promise<HeldProxy> {
  const sockets = new Set<Socket>();
  const held = new Set<Socket>();
  let isHeld = false;
  const take = (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => {
      sockets.delete(socket);
      held.delete(socket);
    });
  };
  const pass = (near: Socket) => {
    const far = connect(target, "127.0.0.1");
    take(far);
    near.on("close", () => far.destroy());
    far.on("close", () => near.destroy());
    near.pipe(far).pipe(near);
  };
  const server = createServer((near) => {
    take(near);
    if (isHeld) held.add(near);
    else pass(near);
  });
  await new Promise<void>((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve())
  );
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return {
    port: (server.address() as { port: number }).port,
    hold: () => {
      isHeld = true;
      for (const socket of sockets) socket.destroy();
    },
    release: () => {
      isHeld = false;
      for (const socket of held) pass(socket);
      held.clear();
    },
  };
}

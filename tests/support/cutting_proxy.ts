// A proxy that loses answers: the request arrives, and what comes back doesn't.

import type { Buffer } from "node:buffer";
import { connect, createServer, type Socket } from "node:net";
import type { Test } from "tap";

/** Passes bytes on to a port, until it is told to lose some. */
export interface CuttingProxy {
  readonly port: number;
  /** How many of the next answers are cut off at their first byte. */
  cuts: number;
  /** In the place of the next answer with this text in it comes a reset (RST). */
  resetAt: string | undefined;
  /** What becomes of each answer that is passed on. */
  change: ((answer: Buffer) => Buffer) | undefined;
  /** How many were. */
  readonly lost: () => number;
  /** Ends all connections, in one turn. */
  readonly end: () => void;
}

/** Starts one before a port of loopback; it goes with the test. */
export async function startCuttingProxy(
  t: Test,
  target: number,
): Promise<CuttingProxy> {
  const sockets = new Set<Socket>();
  let lost = 0;
  const server = createServer((near) => {
    const far = connect(target, "127.0.0.1");
    let isReset = false;
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        sockets.delete(socket);
        near.destroy();
        // What was sent before a reset is to be read there.
        if (isReset) far.end();
        else far.destroy();
      });
    }
    near.on("data", (chunk) => far.write(chunk));
    far.on("data", (chunk) => {
      if (proxy.cuts > 0) {
        proxy.cuts -= 1;
        lost += 1;
        near.destroy();
      } else if (proxy.resetAt && chunk.includes(proxy.resetAt)) {
        proxy.resetAt = undefined;
        lost += 1;
        isReset = true;
        near.resetAndDestroy();
      } else if (!isReset) near.write(proxy.change?.(chunk) ?? chunk);
    });
  });
  await new Promise<void>((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve())
  );
  const end = () => {
    for (const socket of sockets) socket.destroy();
  };
  t.teardown(() => {
    end();
    server.close();
  });
  const { port } = server.address() as { port: number };
  const proxy: CuttingProxy = {
    port,
    cuts: 0,
    resetAt: undefined,
    change: undefined,
    lost: () => lost,
    end,
  };
  return proxy;
}

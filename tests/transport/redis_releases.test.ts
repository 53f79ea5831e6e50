// Releases of the package `redis` whose clients throw when one that has ended is
// cut, as they did before 6.3.

import { createServer, type Socket } from "node:net";
import { createClient } from "redis";
import t, { type Test } from "tap";
import { nodeRedis } from "../../src/transport/redis_client.ts";
import { until } from "../support/conditions.ts";
import { freePort } from "../support/ports.ts";

/** Has every client throw once it is cut. */
function throwWhenCut(t: Test): void {
  let prototype = Object.getPrototypeOf(createClient());
  while (!Object.hasOwn(prototype, "destroy")) {
    prototype = Object.getPrototypeOf(prototype);
  }
  const { destroy } = prototype;
  t.teardown(() => void (prototype.destroy = destroy));
  prototype.destroy = function () {
    destroy.call(this);
    throw new Error("The client is closed");
  };
}

/** A server that says OK to everything, or nothing at all. */
async function serve(t: Test, isMute: boolean) {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      const commands = String(chunk).match(/^\*\d+\r$/gm) ?? [];
      if (!isMute) socket.write("+OK\r\n".repeat(commands.length));
    });
  });
  await new Promise<void>((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve())
  );
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as { port: number };
  return { port, sockets };
}

const connectTo = (port: number) =>
  nodeRedis({ host: "127.0.0.1", port, tls: undefined, database: 0 });

t.test("a client that throws when it is cut", async (t) => {
  throwWhenCut(t);
  await t.test("says why nobody could be reached", async (t) => {
    await t.rejects(connectTo(await freePort())(() => {}), {
      message: /ECONNREFUSED|refused/,
    });
  });
  await t.test("is given up quietly", async (t) => {
    const { port, sockets } = await serve(t, true);
    const giving = new AbortController();
    const connecting = connectTo(port)(() => {}, giving.signal);
    connecting.catch(() => {});
    await until("it is there", () => sockets.length > 0);
    t.doesNotThrow(() => giving.abort());
    // What a listener throws comes as an uncaught exception, in the next turn.
    await new Promise((resolve) => setTimeout(resolve));
  });
  await t.test("is cut quietly, once and again", async (t) => {
    const { port } = await serve(t, false);
    const client = await connectTo(port)(() => {});
    client.destroy();
    client.destroy();
    t.pass();
  });
});

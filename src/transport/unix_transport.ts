/**
 * Lines over a unix socket: a file that processes of one machine connect to.
 *
 * @module
 */

import {
  chmodSync,
  linkSync,
  lstatSync,
  renameSync,
  rmSync,
  type Stats,
} from "node:fs";
import { connect, createServer } from "node:net";
import { dirname, join } from "node:path";
import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError, messageOf } from "../runtime/errors.ts";
import { systemRandom } from "../runtime/random.ts";
import { socketTransport } from "./socket_transport.ts";
import type {
  AcceptConnection,
  Listener,
  Transport,
  TransportOptions,
} from "./transport.ts";

/** Only the user who listens may connect. */
const FILE_MODE = 0o600;

/** What the kernel's address holds, less its end; Linux has four bytes more. */
const MAX_PATH_BYTES = 103;

/**
 * Lines over a unix socket.
 *
 * @param path The socket's file. One that a dead process has left is replaced.
 * @param clock The clock for closing.
 * @param options The bounds.
 */
export function unixTransport(
  path: string,
  clock: Clock,
  options: TransportOptions,
): Transport {
  return {
    listen: (accept) => listen(path, clock, options, accept),
    connect: (accept, signal) =>
      overFile(path, clock, options).connect(accept, signal),
  };
}

function overFile(
  path: string,
  clock: Clock,
  options: TransportOptions,
): Transport {
  const url = `unix:${path}`;
  return socketTransport(
    {
      url,
      createServer: (take) => createServer(take),
      listenOptions: { path },
      inUse: "the path is in use",
      remedy: "give another path",
      connect: () => connect({ path }),
      readyEvent: "connect",
      remoteOf: () => url,
      urlOf: () => url,
    },
    clock,
    options,
  );
}

/**
 * Listens under a name that nobody knows, and gives it the real one once only
 * its user may connect: it never stands open, and no file is without a listener
 * between two writers.
 */
async function listen(
  path: string,
  clock: Clock,
  options: TransportOptions,
  accept: AcceptConnection,
): Promise<Listener> {
  const hidden = join(dirname(path), `.${systemRandom.id().slice(0, 8)}`);
  for (const each of [path, hidden]) {
    if (new TextEncoder().encode(each).length <= MAX_PATH_BYTES) continue;
    throw listenError(path, `it has more than ${MAX_PATH_BYTES} bytes`);
  }
  const stale = await findStale(path);
  const listener = await overFile(hidden, clock, options).listen(accept)
    .catch((error) => {
      throw listenError(path, messageOf(error.cause ?? error), error);
    });
  try {
    chmodSync(hidden, FILE_MODE);
    publish(hidden, path, stale);
  } catch (error) {
    await listener.close();
    rmSync(hidden, { force: true });
    throw error;
  }
  const { ino } = lstatSync(path);
  return {
    url: `unix:${path}`,
    async close() {
      // By now it may be another listener's.
      if (statOf(path)?.ino === ino) rmSync(path, { force: true });
      await listener.close();
    },
  };
}

function publish(hidden: string, path: string, stale: Stats | undefined): void {
  if (stale !== undefined && statOf(path)?.ino === stale.ino) {
    renameSync(hidden, path);
    return;
  }
  try {
    // Unlike a renaming, this fails if there is a file by now.
    linkSync(hidden, path);
  } catch (error) {
    throw listenError(path, messageOf(error), error);
  }
  rmSync(hidden);
}

/** The file of a process that is gone, if there is one. */
async function findStale(path: string): Promise<Stats | undefined> {
  const stat = statOf(path);
  if (stat === undefined) return undefined;
  if (!stat.isSocket()) throw listenError(path, "the file is not a socket");
  if (await isServed(path)) {
    throw listenError(path, "another process listens there");
  }
  return stat;
}

function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    // Whatever else is wrong with it, it is not known to be dead.
    socket.on(
      "error",
      (error: { code?: string }) =>
        resolve(error.code !== "ECONNREFUSED" && error.code !== "ENOENT"),
    );
  });
}

function statOf(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}

function listenError(
  path: string,
  reason: string,
  cause?: unknown,
): HeadwaterError {
  return new HeadwaterError(
    "LISTEN_FAILED",
    `Cannot listen on unix:${path}: ${reason}; give another path`,
    cause === undefined ? undefined : { cause },
  );
}

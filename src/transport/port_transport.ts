/**
 * Lines from one thread to another, over a MessagePort.
 *
 * @module
 */

import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import { CONNECT_ATTEMPT_TIMEOUT_MS } from "../runtime/limits.ts";
import { deferred } from "../runtime/waiting.ts";
import {
  ChannelConnection,
  type ChannelMessage,
} from "./channel_connection.ts";
import type {
  AcceptConnection,
  Connection,
  Listener,
  ThreadPort,
  Transport,
  TransportOptions,
} from "./transport.ts";

/**
 * What goes over a port: which connection, counted by the end that connects and
 * negative from the other end; and what.
 */
type PortMessage = readonly [
  id: number,
  what: ChannelMessage | "connect" | "accepted" | "refused",
];

/** Who listens on a port, and how. */
interface PortListener {
  readonly accept: AcceptConnection;
  readonly clock: Clock;
  readonly maxLineBytes: number;
}

/** An attempt to connect that has no answer. */
interface Attempt {
  accepted(): void;
  refused(error: HeadwaterError): void;
}

/** A port belongs to one place at a time, however many transports are made of it. */
const hubs = new WeakMap<ThreadPort, PortHub>();

/**
 * Lines to another thread. Any number of connections go over one port, so that
 * a reader that was cut off can connect again over the same one.
 *
 * @param port One end of a `MessageChannel`; the other thread has the other.
 * @param clock The clock for closing, and for attempts to connect.
 * @param options The bounds.
 */
export function portTransport(
  port: ThreadPort,
  clock: Clock,
  { maxLineBytes }: TransportOptions,
): Transport {
  const hub = () => {
    const existing = hubs.get(port);
    if (existing !== undefined) return existing;
    const created = new PortHub(port);
    hubs.set(port, created);
    return created;
  };
  return {
    listen: (accept) =>
      new Promise((resolve) =>
        resolve(hub().listen({ accept, clock, maxLineBytes }))
      ),
    connect: async (accept, signal) =>
      await hub().connect({ accept, clock, maxLineBytes }, signal),
  };
}

/** The connections of one end of a port. */
class PortHub {
  readonly #port: ThreadPort;
  readonly #connections = new Map<number, ChannelConnection>();
  readonly #attempts = new Map<number, Attempt>();
  #listener: PortListener | undefined;
  #lastId = 0;
  #isClosed = false;
  #isHeld = false;

  constructor(port: ThreadPort) {
    this.#port = port;
    port.addEventListener("message", (event) => {
      const data = "data" in event ? event.data : undefined;
      // What is not ours is not for us: the port may carry other things, too.
      if (isPortMessage(data)) this.#receive(data[0], data[1]);
    });
    port.addEventListener("close", () => this.#closed());
    port.start();
    port.unref?.();
  }

  listen(listener: PortListener): Listener {
    if (this.#isClosed) throw listenError("it is closed");
    if (this.#listener !== undefined) throw listenError("it is served already");
    this.#listener = listener;
    this.#holdThread();
    return {
      url: "port:",
      close: () => {
        if (this.#listener === listener) this.#listener = undefined;
        this.#holdThread();
        return Promise.resolve();
      },
    };
  }

  async connect(
    options: PortListener,
    signal: AbortSignal | undefined,
  ): Promise<Connection> {
    signal?.throwIfAborted();
    if (this.#isClosed) throw connectError("the port is closed");
    this.#lastId += 1;
    const id = this.#lastId;
    const { promise, resolve, reject } = deferred<Connection>();
    const giveUp = (reason: unknown) => {
      this.#post([id, "close"]);
      reject(reason);
    };
    const abort = () => giveUp(signal?.reason);
    signal?.addEventListener("abort", abort);
    const cancel = options.clock.schedule(
      () =>
        giveUp(
          connectError(`no answer within ${CONNECT_ATTEMPT_TIMEOUT_MS} ms`),
        ),
      CONNECT_ATTEMPT_TIMEOUT_MS,
    );
    this.#attempts.set(id, {
      accepted: () => resolve(this.#open(id, options)),
      refused: reject,
    });
    this.#holdThread();
    this.#post([id, "connect"]);
    try {
      return await promise;
    } finally {
      cancel();
      signal?.removeEventListener("abort", abort);
      this.#attempts.delete(id);
      this.#holdThread();
    }
  }

  #open(id: number, options: PortListener): Connection {
    const { accept, clock, maxLineBytes } = options;
    const connection = new ChannelConnection({
      remote: `port (${Math.abs(id)})`,
      maxLineBytes,
      post: (message) =>
        this.#post([
          id,
          typeof message === "object" ? whole(message) : message,
        ]),
      ended: () => {
        this.#connections.delete(id);
        this.#holdThread();
      },
      clock,
    });
    this.#connections.set(id, connection);
    this.#holdThread();
    connection.handle(accept(connection));
    return connection;
  }

  /** The other end's ids have the other sign here. */
  #receive(theirs: number, what: PortMessage[1]): void {
    const id = -theirs;
    switch (what) {
      case "connect":
        return this.#accept(id);
      case "accepted":
        return this.#attempts.get(id)?.accepted();
      case "refused":
        return this.#attempts.get(id)?.refused(
          connectError("nobody serves the port"),
        );
      default:
        this.#connections.get(id)?.receive(what);
    }
  }

  #accept(id: number): void {
    const listener = this.#listener;
    if (listener === undefined) return this.#post([id, "refused"]);
    this.#post([id, "accepted"]);
    this.#open(id, listener);
  }

  /** The other thread has ended, or one end was closed. */
  #closed(): void {
    this.#isClosed = true;
    this.#listener = undefined;
    for (const { refused } of this.#attempts.values()) {
      refused(connectError("the port is closed"));
    }
    for (const connection of [...this.#connections.values()]) connection.end();
  }

  #post(message: PortMessage): void {
    if (!this.#isClosed) this.#port.postMessage(message);
  }

  /** As a socket does, a connection and a listener keep their thread alive. */
  #holdThread(): void {
    const isNeeded = this.#listener !== undefined ||
      this.#connections.size > 0 || this.#attempts.size > 0;
    if (isNeeded === this.#isHeld) return;
    this.#isHeld = isNeeded;
    if (isNeeded) this.#port.ref?.();
    else this.#port.unref?.();
  }
}

/** A message that is part of a buffer would take all of it along. */
function whole(bytes: Uint8Array): Uint8Array {
  const isWhole = bytes.byteLength === bytes.buffer.byteLength;
  return isWhole ? bytes : new Uint8Array(bytes);
}

function isPortMessage(data: unknown): data is PortMessage {
  if (!Array.isArray(data) || data.length !== 2) return false;
  const [id, what] = data;
  if (typeof id !== "number" || id === 0) return false;
  return what instanceof Uint8Array || typeof what === "number" ||
    what === "close" || what === "connect" || what === "accepted" ||
    what === "refused";
}

function listenError(reason: string): HeadwaterError {
  return new HeadwaterError(
    "LISTEN_FAILED",
    `Cannot serve a MessagePort: ${reason}; give each thread a port of its own`,
  );
}

function connectError(reason: string): HeadwaterError {
  return new HeadwaterError(
    "CONNECT_TIMEOUT",
    `Cannot connect over a MessagePort: ${reason}; ` +
      "give its other end to writer.serve(port)",
  );
}

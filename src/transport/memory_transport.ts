/**
 * Lines within a process, for tests.
 *
 * @module
 */

import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import {
  ChannelConnection,
  type ChannelMessage,
} from "./channel_connection.ts";
import type {
  AcceptConnection,
  Connection,
  ConnectionHandler,
  Transport,
  TransportOptions,
} from "./transport.ts";

/** Who listens, by name. */
const listeners = new Map<string, AcceptConnection>();

/**
 * Lines from one part of a process to another. They arrive in the clock's next
 * turn, as over a wire.
 *
 * @param name Tells listeners apart.
 * @param clock The clock for turns, and for closing.
 * @param options The bounds.
 */
export function memoryTransport(
  name: string,
  clock: Clock,
  { maxLineBytes }: TransportOptions,
): Transport {
  const url = `memory:${name}`;
  return {
    listen(accept) {
      if (listeners.has(name)) return Promise.reject(nameTakenError(url));
      listeners.set(name, accept);
      return Promise.resolve({
        url,
        close() {
          if (listeners.get(name) === accept) listeners.delete(name);
          return Promise.resolve();
        },
      });
    },
    async connect(accept, signal) {
      await new Promise<void>((resolve) => clock.nextTurn(resolve));
      signal?.throwIfAborted();
      const acceptOther = listeners.get(name);
      if (acceptOther === undefined) throw nobodyError(url);
      const ends: { near?: ChannelConnection; far?: ChannelConnection } = {};
      const open = (to: "near" | "far") =>
        new ChannelConnection({
          remote: url,
          maxLineBytes,
          post: inTurns(clock, (message) => ends[to]?.receive(message)),
          ended: () => {},
          clock,
        });
      ends.near = open("far");
      ends.far = open("near");
      handle(ends.far, acceptOther);
      return handle(ends.near, accept);
    },
  };
}

function handle(
  connection: ChannelConnection,
  accept: (connection: Connection) => ConnectionHandler,
): Connection {
  connection.handle(accept(connection));
  return connection;
}

/** Carries messages in order, all that were posted in one turn in the next. */
function inTurns(
  clock: Clock,
  deliver: (message: ChannelMessage) => void,
): (message: ChannelMessage) => void {
  let waiting: ChannelMessage[] = [];
  return (message) => {
    waiting.push(message);
    if (waiting.length > 1) return;
    clock.nextTurn(() => {
      const messages = waiting;
      waiting = [];
      for (const each of messages) deliver(each);
    });
  };
}

function nameTakenError(url: string): HeadwaterError {
  return new HeadwaterError(
    "LISTEN_FAILED",
    `Cannot listen on ${url}: the name is in use in this process; give another`,
  );
}

function nobodyError(url: string): HeadwaterError {
  return new HeadwaterError(
    "CONNECT_TIMEOUT",
    `Cannot connect to ${url}: nobody in this process listens there; ` +
      "open a writer with it first",
  );
}

/**
 * A streamer without a writer: it is told what is committed.
 *
 * @module
 */

import { Streamer } from "../../src/replication/streamer.ts";
import type { LoggedTransaction } from "../../src/replication/transaction.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { MAX_CONNECTIONS, MAX_LINE_BYTES } from "../../src/runtime/limits.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import { createWireNames } from "../../src/streams/wire_names.ts";
import { TOKEN_ZERO } from "../../src/tokens/token.ts";
import { openTransport } from "../../src/transport/open_transport.ts";

/** Streams under the name of `master`. */
export interface BareStreamer {
  /** Where readers connect. */
  readonly url: string;
  /** Tells of a commit; they come in token order. */
  readonly publish: (transaction: LoggedTransaction) => void;
  close(): Promise<void>;
}

/** Listens on a port of loopback. */
export async function openStreamer(): Promise<BareStreamer> {
  const streamer = new Streamer({
    instance: "master",
    serverName: "headwater",
    streams: ["caches", "events"],
    wireNames: createWireNames("", new Set()),
    lastToken: TOKEN_ZERO,
    maxConnections: MAX_CONNECTIONS,
    clock: systemClock,
    logger: silentLogger,
  });
  const listener = await openTransport("tcp://127.0.0.1:0", systemClock, {
    maxLineBytes: MAX_LINE_BYTES,
  }).listen((connection) => streamer.accept(connection));
  return {
    url: listener.url,
    publish: (transaction) => streamer.publish(transaction),
    close: async () => {
      await listener.close();
      streamer.close("bench over");
    },
  };
}

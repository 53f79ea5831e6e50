// What a streamer sends to whom, and whom it disconnects: over connections
// whose queues are the test's to say.

import { Buffer } from "node:buffer";
import t from "tap";
import { Streamer } from "../../src/replication/streamer.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import { createWireNames } from "../../src/streams/wire_names.ts";
import type { Token } from "../../src/tokens/token.ts";
import { manualClock } from "../support/manual_clock.ts";

const MAX_OUTBOX_BYTES = 2_000;

function start() {
  const clock = manualClock();
  const streamer = new Streamer({
    instance: "master",
    serverName: "x",
    streams: ["caches"],
    wireNames: createWireNames("", new Set()),
    lastToken: 0 as Token,
    maxConnections: 10,
    maxOutboxBytes: MAX_OUTBOX_BYTES,
    clock,
    logger: silentLogger,
  });
  let token = 0;
  return {
    streamer,
    /** Commits one transaction of so many invalidations; it has not left yet. */
    publish(keys = 1) {
      token += 1;
      const ids = Array.from({ length: keys }, (_, index) => `k${index}`);
      streamer.publish({
        instance: "master",
        token: token as Token,
        records: [],
        invalidations: [{ name: "user", ms: 1, keys: ids }],
      });
    },
    flush: () => new Promise<void>((resolve) => clock.nextTurn(resolve)),
    /** A reader; what is sent to it waits, if `isStalled`, until it is set. */
    connect(isStalled = false) {
      const connection = {
        remote: "reader:1",
        isShared: false,
        queuedBytes: 0,
        sent: "",
        send(lines: string | Uint8Array) {
          const bytes = Buffer.from(lines);
          connection.sent += bytes;
          if (isStalled) connection.queuedBytes += bytes.length;
        },
        pause: () => {},
        resume: () => {},
        close: () => {},
      };
      const handler = streamer.accept(connection);
      return { connection, handler };
    },
  };
}

t.test("one text of more than may wait throws nobody out who kept up", async (t) => {
  const { streamer, publish, flush, connect } = start();
  const { connection, handler } = connect(true);
  handler.received("REPLICATE \n");
  const few = connection.queuedBytes;
  t.ok(few > 0 && few < MAX_OUTBOX_BYTES);
  for (let round = 1; round <= 2; round += 1) {
    publish(200);
    await flush();
    t.ok(connection.queuedBytes > 2 * MAX_OUTBOX_BYTES);
    publish();
    await flush();
    t.equal(streamer.stats.connections, 1, "nor what comes right after it");
    connection.queuedBytes = 0;
    publish();
    await flush();
  }
  publish(200);
  await flush();
  t.equal(streamer.stats.laggards, 0);
  publish(200);
  await flush();
  t.equal(streamer.stats.laggards, 1, "two of them do");
  streamer.close("over");
});

t.test("after a large text as much may wait as before", async (t) => {
  const { streamer, publish, flush, connect } = start();
  const { connection } = connect(true);
  publish(200);
  await flush();
  connection.queuedBytes = 0;
  publish();
  await flush();
  connection.queuedBytes = MAX_OUTBOX_BYTES;
  publish();
  await flush();
  t.equal(streamer.stats.laggards, 1);
  streamer.close("over");
});

t.test("a reader that is thrown out as it asks for positions is counted once", async (t) => {
  const { streamer, publish, flush, connect } = start();
  const plain = connect();
  plain.handler.received("REPLICATE \n");
  const slow = connect(true);
  slow.connection.queuedBytes = MAX_OUTBOX_BYTES;
  publish();
  slow.handler.received("REPLICATE INVALIDATE\n");
  t.equal(streamer.stats.laggards, 1);
  t.equal(streamer.stats.connections, 1);
  for (const token of [2, 3]) {
    plain.connection.sent = "";
    publish();
    await flush();
    t.equal(
      plain.connection.sent,
      `RDATA caches master ${token} ["user",["k0"],1]\n` +
        `POSITION caches master ${token} ${token}\n`,
    );
  }
  t.notMatch(slow.connection.sent, /INVALIDATE/);
  streamer.close("over");
});

// Connection strings choose the transport; what is none says what one is.

import t from "tap";
import { systemClock } from "../../src/runtime/clock.ts";
import { openTransport } from "../../src/transport/open_transport.ts";
import type { ConnectionHandler } from "../../src/transport/transport.ts";
import { until } from "../support/conditions.ts";

const OPTIONS = { maxLineBytes: 1_000 };
const handler: ConnectionHandler = {
  received: () => {},
  failed: () => {},
  closed: () => {},
};

t.test("openTransport() takes tcp://HOST:PORT", async (t) => {
  for (const url of ["tcp://127.0.0.1:0", "tcp://localhost:0/", "tcp://:0"]) {
    let accepted = 0;
    const listener = await openTransport(url, systemClock, OPTIONS).listen(
      () => {
        accepted += 1;
        return handler;
      },
    );
    t.match(listener.url, /^tcp:\/\/(127\.0\.0\.1|localhost):[1-9]\d*$/);
    const { connect } = openTransport(listener.url, systemClock, OPTIONS);
    const connections = [await connect(() => handler)];
    connections.push(await connect(() => handler));
    await until("both are accepted", () => accepted === 2);
    for (const connection of connections) connection.close();
    await listener.close();
  }
});

t.test("a password in an address is not told", (t) => {
  t.throws(
    () => openTransport("tcp://me:hunter2@host:1", systemClock, OPTIONS),
    { message: /^Cannot use address "tcp:\/\/me:…@host:1": give / },
  );
  t.end();
});

t.test("openTransport() refuses what is no address", (t) => {
  const urls = [
    "",
    "127.0.0.1:8823",
    "tcp:127.0.0.1:8823",
    "tcp://127.0.0.1",
    "tcp://127.0.0.1:",
    "tcp://127.0.0.1:65536",
    "tcp://127.0.0.1:-1",
    "tcp://127.0.0.1:8823/path",
    "tcp://::1:8823",
    "http://127.0.0.1:8823",
    "tls://127.0.0.1",
    "tls://127.0.0.1:x",
    "unix:",
    "unix:a\0b",
    "memory:",
    " memory:x",
    "mqtt://127.0.0.1",
    undefined,
    null,
    8823,
  ];
  for (const url of urls) {
    const error = {
      code: "INVALID_ARGUMENT",
      message: `Cannot use address ${
        JSON.stringify(String(url))
      }: give tcp://HOST:PORT, tls://HOST:PORT, redis://HOST:PORT, unix:PATH, memory:NAME or a MessagePort`,
    };
    const text = url as string;
    t.throws(() => openTransport(text, systemClock, OPTIONS), error);
  }
  t.end();
});

// Connection strings choose the transport; what is none says what one is.

import t from "tap";
import { systemClock } from "../../src/runtime/clock.ts";
import { connector, listen } from "../../src/transport/open_transport.ts";
import type { ConnectionHandler } from "../../src/transport/transport.ts";
import { until } from "../support/conditions.ts";

const OPTIONS = { maxLineBytes: 1_000 };
const handler: ConnectionHandler = {
  received: () => {},
  failed: () => {},
  closed: () => {},
};

t.test("listen() and connector() take tcp://HOST:PORT", async (t) => {
  for (const url of ["tcp://127.0.0.1:0", "tcp://localhost:0/", "tcp://:0"]) {
    let accepted = 0;
    const listener = await listen(
      url,
      () => {
        accepted += 1;
        return handler;
      },
      systemClock,
      OPTIONS,
    );
    t.match(listener.url, /^tcp:\/\/(127\.0\.0\.1|localhost):[1-9]\d*$/);
    const connect = connector(listener.url, systemClock, OPTIONS);
    const connections = [await connect(() => handler)];
    connections.push(await connect(() => handler));
    await until("both are accepted", () => accepted === 2);
    for (const connection of connections) connection.close();
    await listener.close();
  }
});

t.test("listen() and connector() refuse what is no address", async (t) => {
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
    "redis://127.0.0.1",
    undefined,
    null,
    8823,
  ];
  for (const url of urls) {
    const error = {
      code: "INVALID_ARGUMENT",
      message: `Cannot use address ${
        JSON.stringify(String(url))
      }: give tcp://HOST:PORT`,
    };
    const text = url as string;
    await t.rejects(listen(text, () => handler, systemClock, OPTIONS), error);
    t.throws(() => connector(text, systemClock, OPTIONS), error);
  }
});

// Threads: any number of connections over one port, whichever end makes them,
// and nothing that keeps a thread alive in vain.

import { Buffer } from "node:buffer";
import { MessageChannel } from "node:worker_threads";
import t from "tap";
import { openTransport } from "../../src/transport/open_transport.ts";
import { CONNECT_ATTEMPT_TIMEOUT_MS } from "../../src/runtime/limits.ts";
import type { ThreadPort } from "../../src/transport/transport.ts";
import { until } from "../support/conditions.ts";
import { manualClock } from "../support/manual_clock.ts";
import { startProcess } from "../support/processes.ts";
import { type End, watch } from "../conformance/transport/ends.ts";

const ALONE = new URL("./port_alone.ts", import.meta.url);

function open(port: ThreadPort, clock = manualClock()) {
  return openTransport(port, clock, { maxLineBytes: 1_000 });
}

t.test("both ends may connect over one port", async (t) => {
  const { port1, port2 } = new MessageChannel();
  t.teardown(() => port1.close());
  const ends: Record<string, End[]> = { one: [], two: [] };
  await open(port1).listen(watch((end) => ends["one"]?.push(end)));
  await open(port2).listen(watch((end) => ends["two"]?.push(end)));
  const made: End[] = [];
  await open(port1).connect(watch((end) => made.push(end)));
  await open(port2).connect(watch((end) => made.push(end)));
  made[0]?.connection.send("from one\n");
  made[1]?.connection.send("from two\n");
  await until("both have heard", () => ends["one"]?.[0]?.text !== "");
  await ends["one"]?.[0]?.has("from two\n");
  await ends["two"]?.[0]?.has("from one\n");
  t.equal(ends["one"]?.length, 1);
  t.equal(ends["two"]?.length, 1);
});

t.test("who connects before the port is served waits for it", async (t) => {
  const { port1, port2 } = new MessageChannel();
  t.teardown(() => port1.close());
  const near: End[] = [];
  const connecting = open(port2).connect(watch((end) => near.push(end)));
  const far: End[] = [];
  await open(port1).listen(watch((end) => far.push(end)));
  await connecting;
  near[0]?.connection.send("hello\n");
  await until("it is accepted", () => far.length === 1);
  await far[0]?.has("hello\n");
  t.equal(far[0]?.text, "hello\n");
});

t.test("a port that nobody serves is given up", async (t) => {
  const { port1, port2 } = new MessageChannel();
  t.teardown(() => port1.close());
  const clock = manualClock();
  const connecting = open(port2, clock).connect(
    watch(() => t.fail("accepted")),
  );
  connecting.catch(() => {});
  clock.advance(CONNECT_ATTEMPT_TIMEOUT_MS);
  await t.rejects(connecting, {
    code: "CONNECT_TIMEOUT",
    message: "Cannot connect over a MessagePort: no answer within " +
      `${CONNECT_ATTEMPT_TIMEOUT_MS} ms; give its other end to writer.serve(port)`,
  });
  t.equal(clock.timers, 0);
  const far: End[] = [];
  await open(port1).listen(watch((end) => far.push(end)));
  await until("the attempt is found", () => far.length === 1);
  await far[0]?.closed();
});

t.test("a port that is closed ends all, and lets nobody connect", async (t) => {
  const { port1, port2 } = new MessageChannel();
  const near: End[] = [];
  const far: End[] = [];
  await open(port1).listen(watch((end) => far.push(end)));
  for (let count = 0; count < 3; count += 1) {
    await open(port2).connect(watch((end) => near.push(end)));
  }
  await until("all are accepted", () => far.length === 3);
  far[0]?.connection.pause();
  near[0]?.connection.send("unread\n");
  port1.close();
  for (const end of [...near, ...far]) {
    await end.closed();
    t.equal(end.closes, 1);
  }
  t.equal(far[0]?.text, "");
  for (const port of [port1, port2]) {
    await t.rejects(open(port).connect(watch(() => {})), {
      message: /^Cannot connect over a MessagePort: the port is closed; /,
    });
    await t.rejects(open(port).listen(watch(() => {})), {
      code: "LISTEN_FAILED",
      message: /^Cannot serve a MessagePort: it is closed; /,
    });
  }
});

t.test("what else goes over a port is left alone", async (t) => {
  const { port1, port2 } = new MessageChannel();
  t.teardown(() => port1.close());
  const far: End[] = [];
  const near: End[] = [];
  await open(port1).listen(watch((end) => far.push(end)));
  await open(port2).connect(watch((end) => near.push(end)));
  await until("it is accepted", () => far.length === 1);
  const strange = [
    "text",
    7,
    null,
    undefined,
    {},
    [],
    [1],
    [0, "connect"],
    ["1", "connect"],
    [1, "nonsense"],
    [1, null],
    [99, new Uint8Array(3)],
    [99, "close"],
    [-99, "accepted"],
    [1, 2, 3],
  ];
  for (const message of strange) {
    port1.postMessage(message);
    port2.postMessage(message);
  }
  near[0]?.connection.send("still fine\n");
  await far[0]?.has("still fine\n");
  t.equal(far.length, 1);
  t.equal(far[0]?.text, "still fine\n");
  t.same(far[0]?.errors, []);
});

t.test("no more is copied than is sent", async (t) => {
  const { port1, port2 } = new MessageChannel();
  t.teardown(() => port1.close());
  const sizes: number[] = [];
  await open(port1).listen(watch(() => {}));
  port1.on("message", ([, what]: [number, unknown]) => {
    if (what instanceof Uint8Array) sizes.push(what.buffer.byteLength);
  });
  const connection = await open(port2).connect(watch(() => {}));
  connection.send(Buffer.from("from a pool\n"));
  connection.send("a text\n");
  await until("both have come", () => sizes.length === 2);
  t.same(sizes, [12, 7]);
  connection.close();
});

t.test("a port of the web is as good", async (t) => {
  const { port1, port2 } = new globalThis.MessageChannel();
  t.teardown(() => port1.close());
  const far: End[] = [];
  const near: End[] = [];
  await open(port1).listen(watch((end) => far.push(end)));
  await open(port2).connect(watch((end) => near.push(end)));
  near[0]?.connection.send("hello\n");
  await until("it is accepted", () => far.length === 1);
  await far[0]?.has("hello\n");
  t.equal(far[0]?.text, "hello\n");
});

t.test("nothing keeps a process alive once all is closed", async (t) => {
  const alone = startProcess(t, ALONE);
  await alone.hear("it has closed", (message) => message === "closed");
  t.equal(await alone.ended, 0);
});

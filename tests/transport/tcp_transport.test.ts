// Lines over real sockets: in order, whole, and not for ever.

import { connect, createServer, type Socket } from "node:net";
import t, { type Test } from "tap";
import { systemClock } from "../../src/runtime/clock.ts";
import { CLOSE_GRACE_MS } from "../../src/runtime/limits.ts";
import { tcpTransport } from "../../src/transport/tcp_transport.ts";
import type { Connection, Listener } from "../../src/transport/transport.ts";
import { until } from "../support/conditions.ts";
import { manualClock } from "../support/manual_clock.ts";

const OPTIONS = { maxLineBytes: 1_000 };
const LOOPBACK = { host: "127.0.0.1", port: 0 };

/** One end, and what has happened to it. */
interface End {
  readonly connection: Connection;
  text: string;
  errors: string[];
  closes: number;
  /** Called with each piece of text. */
  onReceived: (lines: string) => void;
}

function watch(ends: End[]): (connection: Connection) => {
  received(lines: string): void;
  failed(error: Error): void;
  closed(): void;
} {
  return (connection) => {
    const end: End = {
      connection,
      text: "",
      errors: [],
      closes: 0,
      onReceived: () => {},
    };
    ends.push(end);
    return {
      received(lines) {
        end.text += lines;
        end.onReceived(lines);
      },
      failed: (error) => void end.errors.push(error.message),
      closed: () => void (end.closes += 1),
    };
  };
}

function portOf(listener: Listener): number {
  return Number(new URL(listener.url).port);
}

/** A listener, and a way to connect to it. */
async function open(t: Test, clock = manualClock()) {
  const accepted: End[] = [];
  const listener = await tcpTransport(LOOPBACK, clock, OPTIONS).listen(
    watch(accepted),
  );
  t.teardown(() => listener.close());
  const address = { host: "127.0.0.1", port: portOf(listener) };
  const next = async (): Promise<End> => {
    const count = accepted.length;
    await until("it is accepted", () => accepted.length > count);
    const end = accepted[count] as End;
    t.teardown(() => end.connection.close());
    return end;
  };
  return {
    listener,
    clock,
    /** Both ends of a new connection. */
    async pair(): Promise<{ server: End; client: End }> {
      const ends: End[] = [];
      const arriving = next();
      await tcpTransport(address, clock, OPTIONS).connect(watch(ends));
      const client = ends[0] as End;
      t.teardown(() => {
        client.connection.close();
        clock.advance(CLOSE_GRACE_MS);
      });
      return { server: await arriving, client };
    },
    /** A connection whose other end is a bare socket. */
    async raw(): Promise<{ server: End; socket: Socket }> {
      const arriving = next();
      const socket = connect(address);
      socket.on("error", () => {});
      t.teardown(() => void socket.destroy());
      return { server: await arriving, socket };
    },
  };
}

t.test("lines go both ways, whole and in order", async (t) => {
  const { pair, listener } = await open(t);
  t.match(listener.url, /^tcp:\/\/127\.0\.0\.1:\d+$/);
  const { server, client } = await pair();
  t.match(server.connection.remote, /^127\.0\.0\.1:\d+$/);
  t.equal(client.connection.remote, `127.0.0.1:${portOf(listener)}`);
  let sent = "";
  for (let number = 0; number < 20_000; number += 1) {
    const line = `${number} é語👍 ${"x".repeat(number % 100)}\n`;
    sent += line;
    server.connection.send(line);
    client.connection.send(new TextEncoder().encode(line));
  }
  await until(
    "all has arrived",
    () =>
      client.text.length >= sent.length && server.text.length >= sent.length,
  );
  t.ok(client.text === sent, "to the client");
  t.ok(server.text === sent, "to the server");
});

t.test("pause() holds lines back, resume() gives them in order", async (t) => {
  const { pair } = await open(t);
  const paused = await pair();
  const other = await pair();
  const { connection } = paused.client;
  paused.client.onReceived = () => connection.pause();
  let sent = "";
  let held = "";
  for (let round = 1; round <= 20; round += 1) {
    const lines = `${round}\n`.repeat(2_000);
    sent += lines;
    paused.server.connection.send(lines);
    // What goes another way has arrived, so this would have.
    other.server.connection.send(`${round}\n`);
    await until(
      "the other one has it",
      () => other.client.text.endsWith(`${round}\n`),
    );
    if (round === 1) {
      await until("it is paused", () => paused.client.text !== "");
      held = paused.client.text;
    }
    t.equal(paused.client.text, held, `nothing came in round ${round}`);
  }
  while (paused.client.text.length < sent.length) {
    const { length } = paused.client.text;
    connection.resume();
    await until("more comes", () => paused.client.text.length > length);
  }
  t.ok(paused.client.text === sent);
});

t.test("a paused connection gives nothing after it was closed", async (t) => {
  const { pair } = await open(t);
  const { server, client } = await pair();
  const { connection } = client;
  connection.pause();
  server.connection.send("a\n");
  connection.close();
  connection.resume();
  await until("it is closed", () => client.closes > 0);
  connection.resume();
  t.equal(client.text, "");
});

t.test("close() lets what was sent leave", async (t) => {
  const { pair } = await open(t, undefined);
  const { server, client } = await pair();
  const lines = `${"x".repeat(999)}\n`.repeat(4_000);
  server.connection.send(lines);
  server.connection.send("last\n");
  server.connection.close();
  server.connection.send("too late\n");
  await until("both are closed", () => client.closes + server.closes === 2);
  t.equal(client.text.length, lines.length + 5);
  t.ok(client.text.endsWith("x\nlast\n"));
});

t.test("close() cuts off a peer that never reads, after the grace", async (t) => {
  const { raw, clock } = await open(t);
  const { server, socket } = await raw();
  socket.pause();
  const lines = `${"x".repeat(999)}\n`.repeat(32_000);
  server.connection.send(lines);
  server.connection.close();
  await until("the kernel takes no more", async () => {
    const { queuedBytes } = server.connection;
    await new Promise((resolve) => setTimeout(resolve, 50));
    return queuedBytes === server.connection.queuedBytes;
  });
  t.ok(server.connection.queuedBytes > 0);
  t.equal(server.closes, 0, "within the grace");
  clock.advance(CLOSE_GRACE_MS);
  await until("it is cut off", () => server.closes === 1);
  t.equal(clock.timers, 0);
});

t.test("queuedBytes tells what has not left", async (t) => {
  const { raw } = await open(t);
  const { server, socket } = await raw();
  t.equal(server.connection.queuedBytes, 0);
  socket.pause();
  for (let round = 0; round < 32; round += 1) {
    server.connection.send(`${"x".repeat(999)}\n`.repeat(1_000));
  }
  t.ok(server.connection.queuedBytes > 10e6);
  socket.resume();
  await until("all has left", () => server.connection.queuedBytes === 0);
  socket.destroy();
});

t.test("a line that is too long is told once, and nothing after it", async (t) => {
  const { raw } = await open(t);
  const { server, socket } = await raw();
  socket.write(`${"x".repeat(1_000)}\n`);
  await until("the longest line has come", () => server.text.length === 1_001);
  socket.write(`${"y".repeat(1_001)}`);
  await until("it has failed", () => server.errors.length > 0);
  for (let round = 0; round < 5; round += 1) {
    socket.write(`\nz\n${"y".repeat(1_001)}\n`);
    await new Promise((resolve) => setImmediate(resolve));
  }
  socket.end();
  await until("it is closed", () => server.closes === 1);
  t.equal(server.text.length, 1_001);
  t.same(server.errors.length, 1);
  t.match(server.errors[0], /^Line length exceeded: more than 1000 bytes/);
});

t.test("bytes that are not UTF-8 are told, others are untouched", async (t) => {
  const { raw } = await open(t);
  const { server, socket } = await raw();
  const other = await raw();
  socket.write(new Uint8Array([0x41, 0xff, 0x0a]));
  await until("it has failed", () => server.errors.length > 0);
  t.match(server.errors, [/^failed to parse line: not UTF-8/]);
  other.socket.write("fine\n");
  await until("the other's line has come", () => other.server.text !== "");
  t.equal(other.server.text, "fine\n");
  t.equal(server.text, "");
});

t.test("closed() is called once, whoever ends it and how", async (t) => {
  const { pair, raw, clock } = await open(t);
  const reset = await raw();
  reset.server.connection.send("x".repeat(100_000) + "\n");
  reset.socket.resetAndDestroy();
  const ended = await raw();
  ended.socket.write("half a line");
  ended.socket.end();
  const both = await pair();
  both.client.connection.close();
  both.client.connection.close();
  both.server.connection.close();
  const ends = [reset.server, ended.server, both.client, both.server];
  await until("all are closed", () => ends.every(({ closes }) => closes > 0));
  for (const { connection } of ends) connection.close();
  await new Promise((resolve) => setImmediate(resolve));
  t.same(ends.map(({ closes }) => closes), [1, 1, 1, 1]);
  t.equal(clock.timers, 0, "no timer is left");
});

t.test("Listener.close() accepts no more, and leaves the others", async (t) => {
  const { pair, listener, clock } = await open(t);
  const { server, client } = await pair();
  await listener.close();
  await listener.close();
  const address = { host: "127.0.0.1", port: portOf(listener) };
  await t.rejects(tcpTransport(address, clock, OPTIONS).connect(watch([])), {
    code: "ECONNREFUSED",
  });
  server.connection.send("still here\n");
  await until("it has come", () => client.text === "still here\n");
  const again = await tcpTransport(address, clock, OPTIONS).listen(watch([]));
  t.equal(again.url, listener.url, "the port is free again");
  await again.close();
});

t.test("listening tells that a port is in use", async (t) => {
  const holder = createServer();
  await new Promise<void>((resolve) =>
    holder.listen(0, "127.0.0.1", () => resolve())
  );
  t.teardown(() => void holder.close());
  const { port } = holder.address() as { port: number };
  await t.rejects(
    tcpTransport({ host: "127.0.0.1", port }, systemClock, OPTIONS).listen(
      watch([]),
    ),
    {
      code: "LISTEN_FAILED",
      message:
        `Cannot listen on tcp://127.0.0.1:${port}: the port is in use; ` +
        "give another address, or port 0",
    },
  );
});

t.test("listening tells that an address is not ours", async (t) => {
  await t.rejects(
    tcpTransport({ host: "192.0.2.1", port: 0 }, systemClock, OPTIONS).listen(
      watch([]),
    ),
    {
      code: "LISTEN_FAILED",
      message: /^Cannot listen on tcp:\/\/192\.0\.2\.1:0: .+; give another/,
    },
  );
  await t.rejects(
    tcpTransport({ host: "2001:db8::1", port: 0 }, systemClock, OPTIONS).listen(
      watch([]),
    ),
    {
      code: "LISTEN_FAILED",
      message: /^Cannot listen on tcp:\/\/\[2001:db8::1\]:0: /,
    },
  );
});

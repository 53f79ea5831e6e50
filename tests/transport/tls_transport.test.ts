// Who is let in, who is believed, and what is said of it.

import { connect as connectTcp, createServer, type Socket } from "node:net";
import t, { type Test } from "tap";
import { type Clock, systemClock } from "../../src/runtime/clock.ts";
import { CONNECT_ATTEMPT_TIMEOUT_MS } from "../../src/runtime/limits.ts";
import { type Logger, silentLogger } from "../../src/runtime/logger.ts";
import { tcpTransport } from "../../src/transport/tcp_transport.ts";
import { tlsTransport } from "../../src/transport/tls_transport.ts";
import type { Connection, TlsOptions } from "../../src/transport/transport.ts";
import { createAuthority } from "../support/certificates.ts";
import { until } from "../support/conditions.ts";
import { manualClock } from "../support/manual_clock.ts";

const authority = createAuthority();
const stranger = createAuthority();
const { ca } = authority;

/** A listener, and what has become of those who tried. */
async function serve(
  t: Test,
  tls: TlsOptions,
  clock: Clock = systemClock,
  maxConnections?: number,
) {
  const accepted: string[] = [];
  const messages: string[] = [];
  const listener = await tlsTransport(
    { host: "127.0.0.1", port: 0 },
    clock,
    {
      maxLineBytes: 1_000,
      maxConnections,
      tls,
      logger: (level, message, fields) =>
        void messages.push(`${level} ${message} ${JSON.stringify(fields)}`),
    },
  ).listen((connection) => {
    connection.send("hello\n");
    return {
      received: (lines) => void accepted.push(lines),
      failed: () => {},
      closed: () => {},
    };
  });
  t.teardown(() => listener.close());
  const port = Number(new URL(listener.url).port);
  return { accepted, messages, port, listener };
}

/** Opens sockets, and says nothing over them. */
function openSilent(t: Test, port: number, count: number) {
  return Array.from({ length: count }, () => {
    const socket = connectTcp({ host: "127.0.0.1", port });
    t.teardown(() => void socket.destroy());
    socket.on("error", () => {});
    const silent = { isOpen: false, isClosed: false };
    socket.on("connect", () => silent.isOpen = true);
    socket.on("close", () => silent.isClosed = true);
    // Or the end of it would not be seen.
    socket.resume();
    return silent;
  });
}

/** Connects, says something and hears something; resolves to what it heard. */
async function greet(
  t: Test,
  port: number,
  tls: TlsOptions,
  host = "127.0.0.1",
  logger: Logger = silentLogger,
): Promise<string> {
  let heard = "";
  let isClosed = false;
  const transport = tlsTransport({ host, port }, systemClock, {
    maxLineBytes: 1_000,
    tls,
    logger,
  });
  const connection: Connection = await transport.connect(() => ({
    received: (lines) => heard += lines,
    failed: () => {},
    closed: () => isClosed = true,
  }));
  t.teardown(() => connection.close());
  connection.send("hello\n");
  await until("it has an answer", () => heard !== "" || isClosed);
  return heard;
}

t.test("who trusts the authority is served", async (t) => {
  const { port, accepted } = await serve(t, authority.issue());
  t.equal(await greet(t, port, { ca }), "hello\n");
  t.equal(await greet(t, port, { ca: [stranger.ca, ca] }), "hello\n");
  const bytes = new TextEncoder().encode(ca);
  t.equal(await greet(t, port, { ca: bytes }, "localhost"), "hello\n");
  await until("all were heard", () => accepted.length === 3);
});

t.test("a certificate of somebody else's authority is refused", async (t) => {
  const { port, accepted } = await serve(t, authority.issue());
  await t.rejects(greet(t, port, { ca: stranger.ca }));
  await t.rejects(greet(t, port, {}), "nor does the runtime know it");
  t.same(accepted, []);
});

t.test("a certificate must have the host's name, or the one asked for", async (t) => {
  const { port, accepted } = await serve(t, authority.issue(["db.example"]));
  await t.rejects(greet(t, port, { ca }), { message: /altnames|not valid/i });
  t.equal(await greet(t, port, { ca, servername: "db.example" }), "hello\n");
  await t.rejects(greet(t, port, { ca, servername: "other.example" }));
  t.equal(accepted.length, 1);
});

t.test("readers are asked for a certificate where that is wanted", async (t) => {
  const { port, accepted, messages } = await serve(t, {
    ...authority.issue(),
    ca,
    requestCert: true,
  });
  t.equal(await greet(t, port, { ca, ...authority.issue(["me"]) }), "hello\n");
  t.equal(accepted.length, 1);
  // In TLS 1.3 a client hears only later that it was turned away.
  const heard: string[] = [];
  const logger: Logger = (level, message) =>
    void heard.push(`${level} ${message}`);
  const without = greet(t, port, { ca }, "127.0.0.1", logger);
  t.equal(await without.catch(() => heard.push("warn") && ""), "");
  t.match(heard, [/^warn/], "and it is told why");
  const forged = { ca, ...stranger.issue(["me"]) };
  t.equal(await greet(t, port, forged).catch(() => ""), "");
  await until("both are logged", () => messages.length >= 2);
  t.match(messages[0], /^warn a connection was refused by TLS .*certificate/);
  t.equal(accepted.length, 1, "nobody else was heard");
});

t.test("without a key it listens nowhere", async (t) => {
  const { key, cert } = authority.issue();
  for (const tls of [{}, { cert }, { key }]) {
    await t.rejects(serve(t, tls), {
      code: "INVALID_ARGUMENT",
      message: /no (key|certificate); give tls: \{ key, cert \} as PEM/,
    });
  }
});

t.test("readers' certificates are not just anybody's", async (t) => {
  await t.rejects(serve(t, { ...authority.issue(), requestCert: true }), {
    code: "INVALID_ARGUMENT",
    message: /it is not said whose; give tls: \{ ca \} as PEM/,
  });
});

t.test("a key that can't be used is refused, and not told", async (t) => {
  const { key, cert } = authority.issue();
  const cases: TlsOptions[] = [
    { key: key.replaceAll("PRIVATE KEY", "SECRET"), cert },
    { key: key.slice(0, 120), cert },
    { key, cert: cert.slice(0, 200) },
    { key: authority.issue().key, cert },
    { key, cert, ca: "no certificate" },
  ];
  for (const tls of cases) {
    const error = await serve(t, tls).then(() => undefined, (error) => error);
    t.equal(error?.code, "INVALID_ARGUMENT");
    t.match(
      error?.message,
      /^Cannot use tls:\/\/127\.0\.0\.1:0: tls\.(key|cert|ca) .+; give a .+ as PEM$/,
    );
    t.equal(error?.cause, undefined);
    for (const line of String(tls.key).split("\n").slice(1, -2)) {
      t.notOk(error?.message.includes(line));
    }
  }
});

t.test("who speaks plainly, or not at all, is not accepted", async (t) => {
  const { port, accepted, messages } = await serve(t, authority.issue());
  const plain = connectTcp({ host: "127.0.0.1", port });
  t.teardown(() => void plain.destroy());
  plain.on("error", () => {});
  let heard = "";
  plain.on("data", (chunk) => heard += chunk.toString("latin1"));
  plain.write("NAME x\nREPLICATE\n");
  await new Promise((resolve) => plain.once("close", resolve));
  await until("it is logged", () => messages.length > 0);
  t.same(accepted, []);
  t.notMatch(heard, /hello/);
  t.match(
    messages[0],
    /^warn a connection was refused by TLS .*"the other side does not speak TLS; give both sides the same scheme/,
  );
});

t.test("who speaks TLS to one that doesn't is told, and told of", async (t) => {
  const failures: Error[] = [];
  const listener = await tcpTransport(
    { host: "127.0.0.1", port: 0 },
    systemClock,
    { maxLineBytes: 1_000 },
  ).listen((connection) => ({
    received: (lines) => t.fail(`it is no line: ${lines}`),
    failed(error) {
      failures.push(error);
      connection.send("ERROR nonsense\n");
      connection.close();
    },
    closed: () => {},
  }));
  t.teardown(() => listener.close());
  const { port } = new URL(listener.url);
  await t.rejects(greet(t, Number(port), { ca }), {
    code: "INVALID_ARGUMENT",
    message: `Cannot connect to tls://127.0.0.1:${port}: the other side does ` +
      "not speak TLS; give both sides the same scheme, tls:// or tcp://",
  });
  t.match(failures, [{
    code: "LINE_INVALID",
    message: /^failed to parse line: the other side speaks TLS; give both/,
  }]);
});

t.test("a handshake that is never finished is ended in time", async (t) => {
  const clock = manualClock();
  const { port, accepted, messages } = await serve(
    t,
    authority.issue(),
    clock,
  );
  const silent = openSilent(t, port, 3);
  await until("all are there", () => clock.timers === 3);
  // Whoever is quick has no deadline any more.
  t.equal(await greet(t, port, { ca }), "hello\n");
  await until("it is heard", () => accepted.length === 1);
  t.equal(clock.timers, 3);
  clock.advance(CONNECT_ATTEMPT_TIMEOUT_MS - 1);
  await new Promise((resolve) => setImmediate(resolve));
  t.notOk(silent.some(({ isClosed }) => isClosed));
  clock.advance(1);
  await until("all are gone", () => silent.every(({ isClosed }) => isClosed));
  t.equal(clock.timers, 0);
  t.match(
    messages[0],
    /^warn a connection was refused by TLS .*no handshake within 5000 ms/,
  );
  t.equal(messages.length, 3, "each once");
  t.equal(accepted.length, 1);
});

t.test("handshakes under way are connections, and bounded with them", async (t) => {
  const clock = manualClock();
  const { port, messages, listener } = await serve(
    t,
    authority.issue(),
    clock,
    4,
  );
  t.equal(await greet(t, port, { ca }), "hello\n");
  await until("its handshake is over", () => clock.timers === 0);
  const silent = openSilent(t, port, 10);
  const gone = () => silent.filter(({ isClosed }) => isClosed).length;
  await until("those beyond are gone", () => gone() === 7);
  t.equal(clock.timers, 3, "there is room for three");
  t.match(messages[0], /^warn a connection was refused by TLS .*4 are /);
  await t.rejects(greet(t, port, { ca }), "there is no room");
  clock.advance(CONNECT_ATTEMPT_TIMEOUT_MS);
  await until("the others are gone", () => gone() === 10);
  t.equal(await greet(t, port, { ca }), "hello\n", "there is room again");
  const last = openSilent(t, port, 2);
  await until("both are there", () => clock.timers === 2);
  await listener.close();
  await until("both are gone", () => last.every(({ isClosed }) => isClosed));
  t.equal(clock.timers, 0, "closing waits for no handshake");
});

t.test("one that has no room is told so, where nobody else shakes hands", async (t) => {
  const { port } = await serve(t, authority.issue(), systemClock, 1);
  t.equal(await greet(t, port, { ca }), "hello\n");
  t.equal(await greet(t, port, { ca }), "hello\n", "by whoever accepts it");
});

t.test("a server that does not answer is given up", async (t) => {
  const sockets: Socket[] = [];
  const silent = createServer((socket) => {
    socket.on("error", () => {});
    sockets.push(socket);
  });
  await new Promise<void>((resolve) =>
    silent.listen(0, "127.0.0.1", () => resolve())
  );
  t.teardown(() => void silent.close());
  const { port } = silent.address() as { port: number };
  const clock = manualClock();
  const transport = tlsTransport({ host: "127.0.0.1", port }, clock, {
    maxLineBytes: 1_000,
  });
  const connecting = transport.connect(() => {
    throw new TypeError("accepted");
  });
  connecting.catch(() => {});
  await until("it is connected", () => sockets.length === 1);
  clock.advance(CONNECT_ATTEMPT_TIMEOUT_MS);
  await t.rejects(connecting, {
    code: "CONNECT_TIMEOUT",
    message: `Cannot connect to tls://127.0.0.1:${port}: no answer within ` +
      `${CONNECT_ATTEMPT_TIMEOUT_MS} ms; see that a writer serves it`,
  });
  t.equal(clock.timers, 0);
  for (const socket of sockets) socket.destroy();
});

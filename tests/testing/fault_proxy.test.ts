// The fault proxy between real sockets, and between real stores.

import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import t, { type Test } from "tap";
import { SlavedStore } from "../../mod.ts";
import {
  type FaultProxy,
  type FaultProxyOptions,
  openFaultProxy,
} from "../../src/testing/mod.ts";
import { until } from "../support/conditions.ts";
import { temporaryDatabase, temporaryFolder } from "../support/folders.ts";
import { saveUser, type TestDatabase, Users } from "../support/stores.ts";
import { openUsers } from "../support/users.ts";

/** A client's socket, and what it has heard. */
interface Client {
  readonly socket: Socket;
  text: string;
  isClosed: boolean;
}

/** A server that sends everything back. */
async function startEcho(t: Test, path?: string) {
  const echo = { url: "", connections: 0, open: 0, received: 0 };
  const server = createServer((socket) => {
    echo.connections += 1;
    echo.open += 1;
    socket.on("error", () => {});
    socket.on("close", () => void (echo.open -= 1));
    socket.on("data", (chunk) => {
      echo.received += chunk.length;
      socket.write(chunk);
    });
  });
  await new Promise<void>((resolve) =>
    server.listen(path ?? { host: "127.0.0.1", port: 0 }, () => resolve())
  );
  t.teardown(() => server.close());
  const bound = server.address();
  echo.url = typeof bound === "object"
    ? `tcp://127.0.0.1:${bound?.port}`
    : `unix:${path}`;
  return echo;
}

async function openProxy(
  t: Test,
  options: FaultProxyOptions,
): Promise<FaultProxy> {
  const proxy = await openFaultProxy(options);
  t.teardown(() => proxy.close());
  return proxy;
}

async function dial(t: Test, { port }: FaultProxy): Promise<Client> {
  const socket = connect({ host: "127.0.0.1", port });
  const client = { socket, text: "", isClosed: false };
  socket.on("error", () => {});
  socket.on("close", () => client.isClosed = true);
  socket.on("data", (chunk) => void (client.text += String(chunk)));
  t.teardown(() => socket.destroy());
  await new Promise<void>((resolve) => socket.once("connect", () => resolve()));
  return client;
}

t.test("passes bytes on, and splits, delays and stalls them", async (t) => {
  const echo = await startEcho(t);
  const proxy = await openProxy(t, {
    target: echo.url,
    seed: 3,
    faults: { split: 0.8, delay: 0.2, stall: 0.05, stallMs: [1, 5] },
  });
  const client = await dial(t, proxy);
  const sent = Array.from({ length: 40 }, (_, index) => `line ${index}\n`);
  for (const [index, line] of sent.entries()) {
    client.socket.write(line);
    const all = sent.slice(0, index + 1).join("");
    await until("it came back", () => client.text === all);
  }
  const { stats } = proxy;
  t.ok(stats.splits > 10, `${stats.splits} splits`);
  t.ok(stats.delays > 0);
  t.ok(stats.stalls > 0);
  t.equal(stats.bytes, 2 * sent.join("").length);
});

t.test("cuts, stalls, refuses and half-opens when told to", async (t) => {
  const echo = await startEcho(t);
  const proxy = await openProxy(t, { target: echo.url });
  const one = await dial(t, proxy);
  await until("the target has it", () => echo.open === 1);
  proxy.stall();
  one.socket.write("held");
  one.socket.write(" up");
  const other = await dial(t, proxy);
  other.socket.write("too");
  await until("it has come so far", () => proxy.open === 2);
  t.equal(echo.received, 0);
  proxy.resume();
  await until("it came", () => one.text === "held up" && other.text === "too");
  proxy.cutAll();
  await until("all are cut", () => one.isClosed && other.isClosed);
  await until("the target knows", () => echo.open === 0);
  t.equal(proxy.stats.cuts, 2);
  proxy.isRefusing = true;
  const refused = await dial(t, proxy);
  await until("it is refused", () => refused.isClosed);
  proxy.isRefusing = false;
  const third = await dial(t, proxy);
  await until("the target has it", () => echo.open === 1);
  proxy.halfOpenAll("target");
  await until("the target is rid of it", () => echo.open === 0);
  third.socket.write("nobody hears");
  t.notOk(third.isClosed, "the client is not told");
  t.equal(proxy.stats.halfOpens, 1);
  await proxy.close();
  await until("closing ends it", () => third.isClosed);
});

t.test("makes connections twice, and throttles", async (t) => {
  const echo = await startEcho(t);
  const proxy = await openProxy(t, {
    target: echo.url,
    faults: { duplicate: 1 },
  });
  const client = await dial(t, proxy);
  await until("both are there", () => echo.connections === 2);
  proxy.throttle(1_000_000);
  client.socket.write("x".repeat(5_000));
  await until("one answer came", () => client.text.length === 5_000);
  await until("both were sent it", () => echo.received === 10_000);
  t.equal(proxy.stats.duplicates, 1);
});

t.test("goes to unix sockets, and refuses what is no address", async (t) => {
  const path = join(temporaryFolder(t), "echo");
  const echo = await startEcho(t, path);
  const proxy = await openProxy(t, { target: echo.url });
  const client = await dial(t, proxy);
  client.socket.write("hello");
  await until("it came back", () => client.text === "hello");
  await t.rejects(openFaultProxy({ target: "nowhere" }), {
    code: "INVALID_ARGUMENT",
  });
  await t.rejects(
    openFaultProxy({ target: echo.url, listen: proxy.url }),
    { code: "LISTEN_FAILED" },
  );
});

t.test("a reader behind it is right again after every fault", async (t) => {
  const database = temporaryDatabase(t);
  const writer = await openUsers(t, {
    database,
    listen: "tcp://127.0.0.1:0",
    synchronous: "normal",
  });
  const proxy = await openProxy(t, { target: writer.url ?? "", seed: 11 });
  const slaved = await SlavedStore.connect<TestDatabase>({
    database,
    replicate: proxy.url,
    minBackoffMs: 5,
    maxBackoffMs: 20,
  });
  t.teardown(() => slaved.close());
  const users = slaved.attach(Users);
  proxy.faults = { cut: 0.05, split: 0.5, refuse: 0.1 };
  for (let version = 1; version <= 60; version += 1) {
    const commit = await saveUser(writer, { id: "1", name: "Ann", version });
    await slaved.waitFor(commit, { timeoutMs: 20_000 });
    const user = await users.getUserById("1");
    if (user?.version !== version) t.fail(`${user?.version} after ${version}`);
  }
  t.ok(proxy.stats.cuts > 0, `${proxy.stats.cuts} cuts`);
  t.ok(slaved.stats.connections > 1, `${slaved.stats.connections} connections`);
});

t.test("a connection whose bytes are lost is given up, and what was missed is fetched", async (t) => {
  const database = temporaryDatabase(t);
  const keepAlive = { pingIntervalMs: 20, silenceTimeoutMs: 200 };
  const writer = await openUsers(t, {
    database,
    listen: "tcp://127.0.0.1:0",
    synchronous: "normal",
    ...keepAlive,
  });
  const proxy = await openProxy(t, { target: writer.url ?? "" });
  const slaved = await SlavedStore.connect<TestDatabase>({
    database,
    replicate: proxy.url,
    minBackoffMs: 5,
    ...keepAlive,
  });
  t.teardown(() => slaved.close());
  const users = slaved.attach(Users);
  t.equal(await users.getUserById("1"), undefined);
  proxy.faults = { drop: 1 };
  const commit = await saveUser(writer, { id: "1", name: "Ann", version: 1 });
  await until("it is lost", () => proxy.stats.drops > 0);
  proxy.faults = {};
  await slaved.waitFor(commit);
  t.match(await users.getUserById("1"), { version: 1 });
  t.ok(slaved.stats.connections > 1);
});

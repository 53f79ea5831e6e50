// One connection to a writer for many threads: what it sends reaches each of
// them as it is, and what any of them needs reaches it.

import { MessageChannel } from "node:worker_threads";
import t, { type Test } from "tap";
import { SlavedStore, WriterStore } from "../../mod.ts";
import {
  openRelay,
  type Relay,
  type RelayOptions,
} from "../../src/slaved/mod.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { systemRandom } from "../../src/runtime/random.ts";
import { openTransport } from "../../src/transport/open_transport.ts";
import type {
  Connection,
  ConnectionHandler,
  Transport,
} from "../../src/transport/transport.ts";
import { type End, watch } from "../conformance/transport/ends.ts";
import { until } from "../support/conditions.ts";
import { startFakeWriter } from "../support/fake_writer.ts";
import { temporaryDatabase } from "../support/folders.ts";
import {
  createUsers,
  saveUser,
  type TestDatabase,
  Users,
} from "../support/stores.ts";
import { startThread } from "../support/threads.ts";

const READER = new URL("./relay_reader_thread.ts", import.meta.url);

function open(t: Test, options: RelayOptions): Relay {
  const relay = openRelay({ minBackoffMs: 5, maxBackoffMs: 20, ...options });
  t.teardown(() => relay.close());
  return relay;
}

/** A bare connection over the relay, as a thread would have. */
async function connect(t: Test, relay: Relay): Promise<End> {
  const { port1, port2 } = new MessageChannel();
  t.teardown(() => port1.close());
  await relay.serve(port1);
  return await connectOver(t, port2);
}

async function connectOver(
  t: Test,
  port: MessageChannel["port2"],
): Promise<End> {
  const ends: End[] = [];
  const transport = openTransport(port, systemClock, { maxLineBytes: 10_000 });
  await transport.connect(watch((end) => ends.push(end)));
  const end = ends[0] as End;
  t.teardown(() => end.connection.close());
  return end;
}

t.test("threads read through one connection", async (t) => {
  const database = temporaryDatabase(t);
  const writer = await WriterStore.open<TestDatabase>({
    database,
    listen: "tcp://127.0.0.1:0",
  });
  t.teardown(() => writer.close());
  await createUsers(writer);
  await saveUser(writer, { id: "bob", name: "Bob", version: 1 });
  const relay = open(t, { replicate: String(writer.url) });
  const threads = [];
  for (let count = 0; count < 3; count += 1) {
    const { port1, port2 } = new MessageChannel();
    t.teardown(() => port1.close());
    await relay.serve(port1);
    const data = { database, replicate: port2 };
    threads.push(startThread(t, READER, data, [port2]));
  }
  for (const thread of threads) {
    await thread.hear("it has read", (message) => message === "Bob");
  }
  t.equal(writer.stats.connections, 1);
  t.match(relay.stats, { isConnected: true, connections: 1, readers: 3 });

  const commit = await saveUser(writer, { id: "bob", name: "Bo", version: 2 });
  for (const thread of threads) {
    thread.tell({ instance: commit.instance, token: commit.token });
  }
  for (const thread of threads) {
    await thread.hear("it has read the new one", (message) => message === "Bo");
  }

  await threads[0]?.terminate();
  await until("it has gone", () => relay.stats.readers === 2);
  const last = await saveUser(writer, { id: "bob", name: "B", version: 3 });
  for (const thread of threads.slice(1)) {
    thread.tell({ instance: last.instance, token: last.token });
    await thread.hear("it has read on", (message) => message === "B");
  }
  t.equal(relay.stats.connections, 1);
});

t.test("when the writer is lost every reader catches up", async (t) => {
  const database = temporaryDatabase(t);
  const openWriter = (listen: string) =>
    WriterStore.open<TestDatabase>({ database, listen });
  const first = await openWriter("tcp://127.0.0.1:0");
  await createUsers(first);
  const relay = open(t, { replicate: String(first.url) });
  const readers: SlavedStore<TestDatabase>[] = [];
  for (let count = 0; count < 3; count += 1) {
    const { port1, port2 } = new MessageChannel();
    t.teardown(() => port1.close());
    await relay.serve(port1);
    const slaved = await SlavedStore.connect<TestDatabase>({
      database,
      replicate: port2,
      minBackoffMs: 5,
      maxBackoffMs: 20,
      pollIntervalMs: 0,
    });
    t.teardown(() => slaved.close());
    readers.push(slaved);
  }
  const counts = () =>
    Promise.all(readers.map((slaved) => slaved.attach(Users).countUsers()));
  t.same(await counts(), [0, 0, 0]);
  await first.close();
  await until(
    "all have noticed",
    () => readers.every(({ stats }) => stats.state === "connecting"),
  );
  const second = await openWriter(String(first.url));
  t.teardown(() => second.close());
  const commit = await saveUser(second, { id: "a", name: "A", version: 1 });
  for (const slaved of readers) await slaved.waitFor(commit);
  t.same(await counts(), [1, 1, 1]);
  t.equal(relay.stats.connections, 2);
  for (const { stats } of readers) t.match(stats, { flushes: 1 });
});

t.test("lines are handed on as they are", async (t) => {
  const fake = await startFakeWriter(t);
  const relay = open(t, { replicate: fake.url, name: "the relay" });
  const one = await connect(t, relay);
  const two = await connect(t, relay);
  await one.has("SERVER fake\n");
  await two.has("SERVER fake\n");
  t.match(fake.received(), /^NAME the relay\nPING \d+\n$/);
  const lines = 'RDATA any w1 batch  {"odd" : 1}\nRDATA any w1 7 é語\n' +
    "POSITION any w1 7 7\nNEW_COMMAND 1 2 3\n\nPING 12\n";
  fake.send(lines);
  await one.has("PING 12\n");
  await two.has("PING 12\n");
  t.equal(one.text, `SERVER fake\n${lines}`);
  t.equal(two.text, one.text);
  const late = await connect(t, relay);
  await late.has("SERVER fake\n");
  t.equal(late.text, "SERVER fake\n", "what came before is not for it");
  t.equal(fake.connections(), 1);
});

t.test("what readers say reaches the writer, less what is for the relay", async (t) => {
  const fake = await startFakeWriter(t);
  fake.answer = "POSITION any w1 7 7\n";
  const said: string[] = [];
  const relay = open(t, {
    replicate: fake.url,
    name: "r",
    logger: (...message) => void said.push(JSON.stringify(message)),
  });
  const one = await connect(t, relay);
  const two = await connect(t, relay);
  for (const { connection } of [one, two]) {
    connection.send("NAME thread\nPING 1\nREPLICATE\n");
    connection.send('ERROR nothing of importance ("USER_IP syt_secret\n\n');
    connection.send("USER_SYNC w1 @a:b start 5\n");
  }
  await one.has("POSITION any w1 7 7\n");
  await two.has("POSITION any w1 7 7\n");
  await until(
    "both have spoken",
    () => fake.received().split("USER_SYNC").length === 3,
  );
  const received = fake.received().replace(/PING \d+\n/, "PING\n");
  t.match(received, /^NAME r\nPING\n/);
  t.match(received, "USER_SYNC w1 @a:b start 5\n");
  t.notMatch(received, /thread|importance/);
  t.match(said.join(), /nothing of importance .*USER_IP …/);
  t.notMatch(said.join(), /syt_secret/);
});

t.test("a reader that can't keep up is disconnected, and holds up no other", async (t) => {
  const fake = await startFakeWriter(t);
  const messages: string[] = [];
  const relay = open(t, {
    replicate: fake.url,
    maxOutboxBytes: 100_000,
    logger: (_level, message) => void messages.push(message),
  });
  const slow = await connect(t, relay);
  const fast = await connect(t, relay);
  await slow.has("SERVER fake\n");
  await fast.has("SERVER fake\n");
  slow.connection.pause();
  const line = `RDATA any w1 1 ${"x".repeat(980)}\n`;
  let count = 0;
  while (relay.stats.laggards === 0) {
    fake.send(line);
    count += 1;
    await fast.has(line);
    await until(
      "it has come",
      () => fast.text.length === 12 + count * line.length,
    );
  }
  t.ok(count >= 100 && count < 200, `${count} lines`);
  t.match(relay.stats, { laggards: 1, readers: 1 });
  t.same(messages, ["reader can't keep up: disconnected"]);
  slow.connection.resume();
  await slow.closed();
  t.ok(slow.text.endsWith("ERROR Failed to keep up\n"));
  fake.send("PING 5\n");
  await fast.has("PING 5\n");
  t.equal(fast.closes, 0);
});

t.test("readers wait for a writer that is not there yet", async (t) => {
  const relay = open(t, { replicate: "memory:not yet" });
  const early = await connect(t, relay);
  early.connection.send("NAME early\nREPLICATE\n");
  t.match(relay.stats, { isConnected: false, connections: 0 });
  const writer = await WriterStore.open<TestDatabase>({
    database: "sqlite::memory:",
    listen: "memory:not yet",
  });
  t.teardown(() => writer.close());
  await until("it is answered", () => early.text.includes("POSITION caches"));
  t.match(early.text, /^SERVER headwater\n/);
});

t.test("a writer of another name is not listened to", async (t) => {
  const fake = await startFakeWriter(t);
  const relay = open(t, { replicate: fake.url, serverName: "real" });
  const reader = await connect(t, relay);
  await until(
    "it is told",
    () => fake.received().includes("ERROR Wrong remote"),
  );
  t.equal(reader.text, "");
  t.equal(relay.stats.isConnected, false);
});

t.test("it connects ever more slowly to a writer that tells no position", async (t) => {
  const handlers: ConnectionHandler[] = [];
  const transport: Transport = {
    listen: () => Promise.reject(new TypeError("not asked for")),
    connect(accept) {
      const connection: Connection = {
        isShared: false,
        remote: "writer",
        queuedBytes: 0,
        send: () => {},
        pause: () => {},
        resume: () => {},
        close: () => {},
      };
      handlers.push(accept(connection));
      return Promise.resolve(connection);
    },
  };
  const pauses: number[] = [];
  open(t, {
    replicate: transport,
    minBackoffMs: 10,
    maxBackoffMs: 1_000,
    clock: {
      ...systemClock,
      schedule(action, delayMs) {
        pauses.push(Math.round(delayMs));
        return systemClock.schedule(action, 0);
      },
    },
    random: { ...systemRandom, fraction: () => 1 },
  });
  for (
    const lines of [
      ["RDATA a w 1 1\n"],
      ["SERVER x\n"],
      ["SERVER x\n", "PING 1\nRDATA a w 1 1\n"],
      ["SERVER x\nPOSITION a w 1 1\n"],
      ["SERVER x\n", "PING 1\nPOSITION a w 1 1\n"],
      ["SERVER x\n"],
    ]
  ) {
    const { length } = pauses;
    await until("it is connected", () => handlers.length === length + 1);
    for (const each of lines) handlers.at(-1)?.received(each);
    handlers.at(-1)?.closed();
    await until("it pauses", () => pauses.length > length);
  }
  // What comes with the name is for nobody: no reader was let in before.
  t.same(pauses, [10, 27, 74, 201, 10, 27]);
});

t.test("a relay that is full, or closed, lets nobody in", async (t) => {
  const fake = await startFakeWriter(t);
  const relay = open(t, { replicate: fake.url, maxConnections: 1 });
  const { port1, port2 } = new MessageChannel();
  t.teardown(() => port1.close());
  await relay.serve(port1);
  const first = await connectOver(t, port2);
  await first.has("SERVER fake\n");
  const second = await connectOver(t, port2);
  await second.closed();
  t.equal(second.text, "ERROR too many connections\n");
  await t.rejects(relay.serve(port1), { code: "LISTEN_FAILED" });
  await relay.close();
  await relay.close();
  await first.closed();
  t.match(first.text, /ERROR relay closing\n$/);
  await t.rejects(connectOver(t, port2), { message: /nobody serves the port/ });
  const other = new MessageChannel();
  await t.rejects(relay.serve(other.port1), { code: "CLOSED" });
  other.port1.close();

  // One that is closed before it has begun to serve.
  const late = open(t, { replicate: fake.url });
  const { port1: theirs, port2: ours } = new MessageChannel();
  t.teardown(() => theirs.close());
  await Promise.all([late.serve(theirs), late.close()]);
  await t.rejects(connectOver(t, ours), { message: /nobody serves the port/ });
});

t.test("on a bus only what writers say is handed on", async (t) => {
  const handlers: ConnectionHandler[] = [];
  let sent = "";
  const bus: Transport = {
    listen: () => Promise.reject(new TypeError("not asked for")),
    connect(accept) {
      const connection: Connection = {
        isShared: true,
        remote: "bus",
        queuedBytes: 0,
        send: (lines) => void (sent += lines),
        pause: () => {},
        resume: () => {},
        close: () => handlers.at(-1)?.closed(),
      };
      handlers.push(accept(connection));
      return Promise.resolve(connection);
    },
  };
  const relay = open(t, { replicate: bus, serverName: "of the bus" });
  const reader = await connect(t, relay);
  await reader.has("SERVER of the bus\n");
  t.equal(sent, "", "nobody says there who they are");
  reader.connection.send("NAME x\nREPLICATE\n");
  await until("it is asked", () => /^REPLICATE ?\n$/.test(sent));
  handlers[0]?.received(
    "REPLICATE\nRDATA a w1 7 1\nnonsense\nUSER_SYNC w1 x start 1\n",
  );
  handlers[0]?.received("POSITION a w1 7 7\nPING 1\n");
  await reader.has("POSITION a w1 7 7\n");
  t.equal(
    reader.text,
    "SERVER of the bus\nRDATA a w1 7 1\nPOSITION a w1 7 7\n",
  );
  handlers[0]?.closed();
  await reader.closed();
});

t.test("openRelay() refuses what can't be", (t) => {
  const memory = "memory:x";
  t.throws(() => openRelay({ replicate: "here" }), {
    code: "INVALID_ARGUMENT",
  });
  t.throws(() => openRelay({ replicate: memory, maxOutboxBytes: 0 }), {
    code: "INVALID_ARGUMENT",
    message: /^Cannot open a relay: maxOutboxBytes is 0; /,
  });
  t.end();
});

// One connection to a writer for many threads: what it sends reaches each of
// them as it is, and what any of them needs reaches it.

import { MessageChannel, type MessagePort } from "node:worker_threads";
import t, { type Test } from "tap";
import { z } from "zod";
import { SlavedStore, WriterStore } from "../../mod.ts";
import { defineCommand } from "../../src/protocol/mod.ts";
import { Relay as LineRelay } from "../../src/replication/relay.ts";
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
import { manualClock } from "../support/manual_clock.ts";
import { TOKEN_ZERO } from "../../src/tokens/token.ts";
import { startThread } from "../support/threads.ts";
import { openUsers } from "../support/users.ts";

const READER = new URL("./relay_reader_thread.ts", import.meta.url);

function open(t: Test, options: RelayOptions): Relay {
  const relay = openRelay({ minBackoffMs: 5, maxBackoffMs: 20, ...options });
  t.teardown(() => relay.close());
  return relay;
}

/** A thread's end of a channel whose other end the relay serves. */
async function serveThread(t: Test, relay: Relay): Promise<MessagePort> {
  const { port1, port2 } = new MessageChannel();
  t.teardown(() => port1.close());
  await relay.serve(port1);
  return port2;
}

/** A bare connection over the relay, as a thread would have. */
async function connect(t: Test, relay: Relay): Promise<End> {
  return await connectOver(t, await serveThread(t, relay));
}

async function connectOver(
  t: Test,
  port: MessagePort,
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
  const writer = await openUsers(t, {
    database,
    listen: "tcp://127.0.0.1:0",
  });
  await saveUser(writer, { id: "bob", name: "Bob", version: 1 });
  const relay = open(t, { replicate: String(writer.url) });
  const threads = [];
  for (let count = 0; count < 3; count += 1) {
    const port = await serveThread(t, relay);
    const data = { database, replicate: port };
    threads.push(startThread(t, READER, data, [port]));
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
    const port = await serveThread(t, relay);
    const slaved = await SlavedStore.connect<TestDatabase>({
      database,
      replicate: port,
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

/** A channel on which everybody hears everybody, with one who is connected to it. */
function sharedChannel(said: (lines: string) => void) {
  const handlers: ConnectionHandler[] = [];
  const transport: Transport = {
    listen: () => Promise.reject(new TypeError("not asked for")),
    connect(accept) {
      const connection: Connection = {
        isShared: true,
        remote: "bus",
        queuedBytes: 0,
        send: (lines) => said(String(lines)),
        pause: () => {},
        resume: () => {},
        close: () => handlers.at(-1)?.closed(),
      };
      handlers.push(accept(connection));
      return Promise.resolve(connection);
    },
  };
  return {
    transport,
    say: (lines: string) => handlers.at(-1)?.received(lines),
    cut: () => handlers.at(-1)?.closed(),
  };
}

t.test("on a bus only what is for readers is handed on", async (t) => {
  let sent = "";
  const bus = sharedChannel((lines) => void (sent += lines));
  const relay = open(t, { replicate: bus.transport, serverName: "of the bus" });
  const reader = await connect(t, relay);
  const greeting = "SERVER of the bus\nSHARED \n";
  await reader.has(greeting);
  t.equal(sent, "", "nobody says there who they are");
  reader.connection.send('COMMANDS x ["KICK"]\nNAME x\nREPLICATE\n');
  await until("it is asked", () => /^REPLICATE ?\n$/.test(sent));
  bus.say(
    "REPLICATE\nHELD w1 3-0a1b2c3d\nRDATA a w1 7 1\nnonsense\nUSER_SYNC w1 x start 1\n" +
      "X_KICK w1 * now\nREMOTE_SERVER_UP s\nCOMMANDS x []\nSERVER x\n",
  );
  const tasks =
    'LOCK_RELEASED ["w1","a","b"]\nNEW_ACTIVE_TASK 1\nCANCEL_TASK 1\n';
  bus.say(`${tasks}FEDERATION_ACK w1 7\nPOSITION a w1 7 7\nPING 1\n`);
  await reader.has("POSITION a w1 7 7\n");
  t.equal(
    reader.text,
    `${greeting}HELD w1 3-0a1b2c3d\nRDATA a w1 7 1\nX_KICK w1 * now\nREMOTE_SERVER_UP s\n` +
      `${tasks}POSITION a w1 7 7\n`,
  );

  // Behind another relay it is a shared one just as well.
  const port = await serveThread(t, relay);
  const second = await connect(t, open(t, { replicate: port }));
  await second.has(greeting);
  bus.cut();
  await reader.closed();
});

t.test("behind a relay on a shared channel a writer that falls silent is noticed", async (t) => {
  const database = temporaryDatabase(t);
  const writer = await openUsers(t, { database });
  const { instance, token } = await saveUser(writer, {
    id: "bob",
    name: "Bob",
    version: 1,
  });
  let sent = "";
  const bus = sharedChannel((lines) => {
    sent += lines;
    if (!lines.startsWith("REPLICATE")) return;
    bus.say(`POSITION caches ${instance} ${token} ${token}\n`);
  });
  const relay = open(t, { replicate: bus.transport });
  const port = await serveThread(t, relay);
  const slaved = await SlavedStore.connect<TestDatabase>({
    database,
    replicate: port,
    silenceTimeoutMs: 50,
    pollIntervalMs: 10,
  });
  t.teardown(() => slaved.close());
  const heard: unknown[] = [];
  const kick = defineCommand("KICK", z.string());
  slaved.onCommand(kick, (text) => void heard.push(text));
  slaved.onCommand("NEW_ACTIVE_TASK", ({ taskId }) => void heard.push(taskId));
  bus.say('REMOTE_SERVER_UP too many fields\nX_KICK w1 * "out"\n');
  bus.say("NEW_ACTIVE_TASK 1\n");
  await until("it has heard", () => heard.length === 2);
  t.same(heard, ["out", "1"]);
  slaved.send("FEDERATION_ACK", { instance, token });
  await until("it has spoken", () => /^FEDERATION_ACK/m.test(sent));
  t.notMatch(sent, "COMMANDS");

  const commit = await saveUser(writer, { id: "bob", name: "B", version: 2 });
  await slaved.waitFor(commit);
  t.equal(relay.stats.connections, 1);
  t.equal(relay.stats.readers, 1, "nobody was disconnected");
});

t.test("behind a relay each thread is one of its own: to be sent to, and to leave", async (t) => {
  const database = temporaryDatabase(t);
  const writer = await WriterStore.open<TestDatabase>({
    database,
    listen: "tcp://127.0.0.1:0",
  });
  t.teardown(() => writer.close());
  const relay = open(t, {
    replicate: String(writer.url),
    name: "the relay",
    presenceGraceMs: 50,
  });
  const kick = defineCommand("KICK", z.string());
  const heard: string[] = [];
  const join = async () => {
    const { port1, port2 } = new MessageChannel();
    t.teardown(() => port1.close());
    await relay.serve(port1);
    const slaved = await SlavedStore.connect<TestDatabase>({
      database,
      replicate: port2,
    });
    t.teardown(() => slaved.close());
    slaved.onCommand(
      kick,
      (text) => void heard.push(`${text} at ${slaved.instanceId}`),
    );
    return { slaved, port: port1 };
  };
  const one = await join();
  const two = await join();
  const ids = [one.slaved.instanceId, two.slaved.instanceId];
  const senders: string[] = [];
  writer.onCommand("USER_SYNC", (_, { instance }) => {
    senders.push(instance);
  });
  writer.onCommand("FEDERATION_ACK", (_, { instance }) => {
    senders.push(instance);
  });
  one.slaved.presence.start("@alice");
  two.slaved.presence.start("@bob", "PHONE");
  await until("both are there", () => writer.presence.size === 2);
  one.slaved.send("FEDERATION_ACK", { instance: "w", token: TOKEN_ZERO });
  await until("it has come", () => senders.length === 3);
  t.same(senders.slice(0, 2).sort(), ids.slice().sort());
  t.equal(senders[2], "the relay", "it may be any of its threads");

  for (const to of ids) t.equal(writer.send(kick, "hi", { to }), 1);
  t.equal(writer.send(kick, "hi", { to: "nobody" }), 0);
  await until("both have heard", () => heard.length >= 2);
  t.same(heard.slice().sort(), ids.map((id) => `hi at ${id}`).sort());

  // As when its thread is terminated.
  one.port.close();
  await until("she has left", () => !writer.presence.isPresent("@alice"));
  t.same(writer.presence.users(), ["@bob"]);
  t.match(relay.stats, { readers: 1, connections: 1 });
});

/** A relay on a clock in the test's hand, connected to a writer that is not there. */
async function startByHand(t: Test) {
  const clock = manualClock();
  const said: string[] = [];
  const logged: unknown[] = [];
  let upstream: ConnectionHandler | undefined;
  const transport: Transport = {
    listen: () => Promise.reject(new TypeError("not asked for")),
    connect(accept) {
      const connection = fakeConnection(false, said, () => upstream?.closed());
      upstream = accept(connection);
      upstream.received("SERVER w\nPING 1\n");
      return Promise.resolve(connection);
    },
  };
  const relay = new LineRelay({
    transport,
    name: "r",
    maxOutboxBytes: 1_000,
    maxConnections: 10,
    presence: { graceMs: 1_000, timeoutMs: 100_000, maxUsers: 3 },
    clock,
    random: systemRandom,
    logger: (...words) => void logged.push(words),
  });
  t.teardown(() => relay.close());
  relay.open();
  await until("it is connected", () => relay.stats.isConnected);
  const pass = (ms: number, ...alive: ConnectionHandler[]) => {
    for (let left = ms; left > 0; left -= 250) {
      clock.advance(250);
      upstream?.received("PING 1\n");
      for (const reader of alive) reader.received("PING 1\n");
    }
  };
  /** What has been said to the writer since, heartbeats and times left out. */
  const taken = () =>
    said.splice(0).filter((line) => !/^(PING|NAME|REPLICATE)/.test(line))
      .map((line) => line.replace(/ \d+$/, ""));
  const connect = () => {
    const seen: string[] = [];
    const connection = fakeConnection(false, seen, () => handler.closed());
    const handler: ConnectionHandler = relay.accept(connection);
    return { seen, handler, say: (text: string) => handler.received(text) };
  };
  return { relay, logged, pass, taken, connect };
}

function fakeConnection(
  isShared: boolean,
  sent: string[],
  close: () => void,
): Connection {
  return {
    isShared,
    remote: "fake",
    queuedBytes: 0,
    send: (lines) => void sent.push(...String(lines).trim().split("\n")),
    pause: () => {},
    resume: () => {},
    close,
  };
}

t.test("users of a thread that is gone end after the grace, unless it is back", async (t) => {
  const { pass, taken, connect } = await startByHand(t);
  const start = "USER_SYNC a @1 start 5\nUSER_SYNC a @2 None start 5\n" +
    "USER_SYNC a @3 PHONE start 5\nUSER_SYNC a @4 start 5\n";
  const first = connect();
  first.say(start);
  t.same(taken(), [
    "USER_SYNC a @1 start",
    "USER_SYNC a @2 None start",
    "USER_SYNC a @3 PHONE start",
  ], "no more than can be ended");
  first.handler.closed();
  pass(750);
  const second = connect();
  second.say("USER_SYNC a @1 start 6\n");
  pass(2_000, second.handler);
  t.same(taken(), ["USER_SYNC a @1 start"], "it is back, and not done telling");
  second.say("USER_SYNC a @2 start 6\nREPLICATE\n");
  t.same(
    taken(),
    ["USER_SYNC a @2 start", "USER_SYNC a @3 PHONE end"],
    "who isn't told again has left",
  );
  second.say("USER_SYNC a @2 end 6\n");
  t.same(taken(), ["USER_SYNC a @2 end"]);
  second.handler.closed();
  pass(2_000);
  t.same(taken(), ["USER_SYNC a @1 end"]);
  const third = connect();
  third.say("USER_SYNC b @5 start 6\nCLEAR_USER_SYNC b\n");
  third.handler.closed();
  pass(2_000);
  t.same(taken(), ["USER_SYNC b @5 start", "CLEAR_USER_SYNC b"]);
});

t.test("a thread that pinged and hangs is disconnected, and its users leave", async (t) => {
  const { relay, pass, taken, connect } = await startByHand(t);
  const hanging = connect();
  hanging.say("PING 1\nUSER_SYNC a @1 start 5\n");
  const quiet = connect();
  quiet.say("USER_SYNC b @2 start 5\n");
  const living = connect();
  living.say("PING 1\nUSER_SYNC c @3 start 5\n");
  pass(14_000, living.handler);
  t.equal(relay.stats.readers, 3);
  taken();
  pass(6_000, living.handler);
  t.equal(hanging.seen.at(-1), "ERROR ping timeout");
  t.equal(relay.stats.readers, 2, "who never pinged may be silent");
  t.same(taken(), ["USER_SYNC a @1 end"]);
  pass(100_000, living.handler);
  t.same(taken(), ["USER_SYNC b @2 end"], "though not for ever");
});

t.test("rule 4: what one reader may not say reaches neither the writer nor the others", async (t) => {
  const { relay, logged, taken, connect } = await startByHand(t);
  const other = connect();
  for (
    const line of [
      "HELLO there",
      "RDATA any w 5 1",
      "NEW_ACTIVE_TASK 5",
      "FEDERATION_ACK w",
      'USER_IP @bob ["sesame"]',
    ]
  ) {
    const reader = connect();
    reader.say(`REMOTE_SERVER_UP a\r\n\n${line}\nREMOTE_SERVER_UP b\n`);
    t.match(reader.seen.at(-1), /^ERROR (failed to parse|invalid command)/);
    t.same(taken(), ["REMOTE_SERVER_UP a"], line);
    t.equal(relay.stats.readers, 1);
  }
  const late = connect();
  late.handler.failed(new TypeError("too long"));
  t.equal(late.seen.at(-1), "ERROR too long");
  t.notMatch(JSON.stringify(logged), "sesame");
  t.equal(logged.length, 6);
  t.same(other.seen, ["SERVER w"]);
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

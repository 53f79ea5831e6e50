// Writers and readers on a channel where everybody hears everybody, as on
// Redis, and where lines may be lost: held in memory, so that each line is seen.

import t, { type Test } from "tap";
import { Streamer } from "../../src/replication/streamer.ts";
import {
  type Receiver,
  ReplicationClient,
} from "../../src/replication/client.ts";
import type { Command } from "../../src/protocol/command.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import { systemRandom } from "../../src/runtime/random.ts";
import { createWireNames } from "../../src/streams/wire_names.ts";
import type { Token } from "../../src/tokens/token.ts";
import type {
  AcceptConnection,
  Connection,
  ConnectionHandler,
  Transport,
} from "../../src/transport/transport.ts";
import { until } from "../support/conditions.ts";
import { type ManualClock, manualClock } from "../support/manual_clock.ts";

/** Hands what anybody says to everybody, the sender included. */
class Channel implements Transport {
  /** All that was said since it was looked at last. */
  #said = "";
  /** Whether what is said is lost. */
  isDeaf = false;
  readonly #handlers = new Set<ConnectionHandler>();

  listen(): Promise<never> {
    return Promise.reject(new TypeError("a writer connects, too"));
  }

  connect(accept: AcceptConnection): Promise<Connection> {
    return Promise.resolve(this.join(accept));
  }

  join(accept: AcceptConnection): Connection {
    const connection: Connection = {
      remote: "channel",
      isShared: true,
      queuedBytes: 0,
      send: (lines) => this.say(String(lines)),
      pause: () => {},
      resume: () => {},
      close: () => {
        if (this.#handlers.delete(handler)) handler.closed();
      },
    };
    const waiting: ConnectionHandler = {
      received: () => {},
      failed: () => {},
      closed: () => {},
    };
    let handler = waiting;
    handler = accept(connection);
    this.#handlers.add(handler);
    return connection;
  }

  say(lines: string): void {
    this.#said += lines;
    if (this.isDeaf) return;
    for (const handler of [...this.#handlers]) handler.received(lines);
  }

  /** What was said since the last time. */
  take(): string[] {
    const lines = this.#said.split("\n").slice(0, -1);
    this.#said = "";
    return lines;
  }
}

interface Setting {
  readonly channel: Channel;
  readonly clock: ManualClock;
  readonly streamer: Streamer;
  readonly heard: Command["kind"][];
  publish(token: number, ...streams: string[]): Promise<void>;
}

function start(t: Test, holder?: string): Setting {
  const channel = new Channel();
  const clock = manualClock();
  const heard: Command["kind"][] = [];
  const streamer = new Streamer({
    instance: "w1",
    serverName: "example.org",
    streams: ["caches", "notes"],
    wireNames: createWireNames("", new Set()),
    holder,
    lastToken: 5 as Token,
    maxConnections: 10,
    receiver: {
      command: ({ kind }) => {
        if (kind !== "CUSTOM") heard.push(kind);
      },
      replicating: () => {},
      gone: () => {},
      closed: () => {},
    },
    clock,
    logger: silentLogger,
  });
  t.teardown(() => streamer.close("over"));
  channel.join((connection) => streamer.accept(connection));
  const publish = async (token: number, ...streams: string[]) => {
    const records = streams.map((stream) => ({
      token: token as Token,
      stream,
      lines: ["1"],
    }));
    streamer.publish({ instance: "w1", token: token as Token, records });
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { channel, clock, streamer, heard, publish };
}

t.test("a writer that has connected tells its positions at once, and nothing else", (t) => {
  const { channel, streamer } = start(t);
  t.same(channel.take(), ["POSITION caches w1 5 5", "POSITION notes w1 5 5"]);
  t.equal(streamer.stats.connections, 1);
  t.end();
});

t.test("who holds the name says so before anything else", async (t) => {
  const { channel, clock, publish } = start(t, "3-0a1b2c3d");
  const positions = ["POSITION caches w1 5 5", "POSITION notes w1 5 5"];
  t.same(channel.take(), ["HELD w1 3-0a1b2c3d", ...positions]);
  channel.say("HELD w2 1-00000000\nREPLICATE \n");
  t.same(channel.take().slice(2), ["HELD w1 3-0a1b2c3d", ...positions]);
  await publish(6, "caches");
  t.notMatch(channel.take(), ["HELD w1 3-0a1b2c3d"], "not with each flush");
  clock.advance(10_000);
  t.match(channel.take(), ["HELD w1 3-0a1b2c3d"], "again when all is quiet");
});

t.test("every REPLICATE is answered to all", (t) => {
  const { channel } = start(t);
  channel.take();
  channel.say("REPLICATE \n");
  t.same(channel.take(), [
    "REPLICATE ",
    "POSITION caches w1 5 5",
    "POSITION notes w1 5 5",
  ]);
  t.end();
});

t.test("a flush begins with where all stood before, stream by stream", async (t) => {
  const { channel, clock, publish } = start(t);
  clock.advance(100);
  await publish(6, "notes");
  channel.take();
  await publish(7, "notes", "caches");
  t.same(channel.take(), [
    "POSITION caches w1 6 6",
    "POSITION notes w1 6 6",
    "RDATA caches w1 7 1",
    "RDATA notes w1 7 1",
    "POSITION notes w1 7 7",
  ]);
  await publish(8);
  t.same(channel.take(), [
    "POSITION caches w1 7 7",
    "POSITION caches w1 7 8",
  ]);
});

t.test("positions are told again when all is quiet; PING never", (t) => {
  const { channel, clock } = start(t);
  channel.take();
  clock.advance(20_000);
  const said = channel.take();
  t.ok(said.length >= 4);
  t.ok(said.every((line) => /^POSITION \w+ w1 5 5$/.test(line)), said.join());
  t.end();
});

t.test("3.1: a writer ignores the echoes of its own rows and positions, and others'", async (t) => {
  const { channel, heard, publish } = start(t);
  channel.take();
  heard.length = 0;
  await publish(6, "notes", "caches");
  t.ok(channel.take().includes("RDATA notes w1 6 1"), "it has heard itself");
  channel.say('INVALIDATE w1 9 ["f",1,["k"]]\nRDATA notes w2 9 1\n');
  channel.say("POSITION notes w2 9 9\n");
  t.same(heard, []);
  await publish(7, "notes");
  t.ok(channel.take().includes("POSITION notes w1 6 6"), "where it stood");
});

t.test("nobody's direction is checked, nonsense closes nothing, and nobody is answered", (t) => {
  const { channel, clock, streamer, heard } = start(t);
  channel.take();
  const lines = [
    "NONSENSE",
    "RDATA caches w2 batch {",
    "RDATA caches w2 9 []",
    "POSITION caches w2 9 9",
    "RDATA caches w1 9 []",
    "SERVER other",
    "NAME x",
    "PING 1",
    "ERROR no",
    "NEW_ACTIVE_TASK 5",
    "CANCEL_TASK 5",
    "USER_SYNC a @b None start 1",
    "REMOTE_SERVER_UP other.org",
    'LOCK_RELEASED ["a","b","c"]',
  ];
  channel.say(`${lines.join("\n")}\n`);
  t.same(channel.take(), lines);
  clock.advance(60_000);
  t.notOk(channel.take().some((line) => /^(ERROR|PING|REMOTE)/.test(line)));
  t.equal(streamer.stats.connections, 1);
  t.same(heard.slice(-5), [
    "NEW_ACTIVE_TASK",
    "CANCEL_TASK",
    "USER_SYNC",
    "REMOTE_SERVER_UP",
    "LOCK_RELEASED",
  ]);
  t.end();
});

t.test("rows they remain, whoever asks for another form", async (t) => {
  const { channel, streamer } = start(t);
  channel.say("REPLICATE INVALIDATE\n");
  channel.take();
  const token = 6 as Token;
  streamer.publish({
    instance: "w1",
    token,
    records: [],
    invalidations: [{ name: "f", ms: 1, keys: ["k"] }],
  });
  await new Promise((resolve) => setImmediate(resolve));
  t.same(channel.take(), [
    "POSITION caches w1 5 5",
    'RDATA caches w1 6 ["f",["k"],1]',
    "POSITION caches w1 6 6",
    "POSITION notes w1 5 6",
  ]);
});

t.test("a reader says REPLICATE alone, and takes what all write", async (t) => {
  const { channel, publish } = start(t);
  const told: string[] = [];
  const commands: string[] = [];
  const logged: string[] = [];
  const receiver: Receiver = {
    isLive: true,
    row: (stream, instance, token, row) =>
      void told.push(`${stream} ${instance} ${token} ${row}`),
    position: (stream, instance, previous, token) =>
      void told.push(`${stream} ${instance} ${previous}-${token}`),
    disconnected: () => {},
  };
  channel.take();
  const clock = manualClock();
  const client = new ReplicationClient({
    transport: channel,
    receiver,
    name: "reader",
    serverName: "another.name",
    command: (command) => void commands.push(command.kind),
    clock,
    random: systemRandom,
    logger: (...message) => void logged.push(JSON.stringify(message)),
  });
  t.teardown(() => client.close());
  client.open();
  await until("it has asked", () => client.connections === 1);
  t.equal(channel.take()[0], "REPLICATE ");
  // Its answer may have come before it was on the channel.
  channel.say("REPLICATE \n");
  told.length = 0;
  channel.take();
  channel.say(
    "SERVER nobody's\nNONSENSE\n" +
      'RDATA notes w9 batch 1\nRDATA notes w9 2 2\nUSER_IP @b ["syt_secret"]\n' +
      "REMOTE_SERVER_UP other.org\nERROR no\n",
  );
  await publish(6, "notes");
  t.same(told, [
    "notes w9 undefined 1",
    "notes w9 2 2",
    "notes w1 5-5",
    "notes w1 6 1",
    "caches w1 5-6",
    "notes w1 6-6",
  ]);
  t.ok(commands.includes("REMOTE_SERVER_UP"));
  clock.advance(60_000);
  const said = channel.take();
  t.notOk(said.some((line) => /^(NAME|PING|ERROR t)/.test(line)), said.join());
  t.equal(client.connections, 1, "silence is nobody's fault");
  t.match(logged.join(), /USER_IP …/);
  t.notMatch(logged.join(), /syt_secret/);
});

t.test("what was lost is noticed at the next flush", async (t) => {
  const { channel, publish } = start(t);
  const positions: string[] = [];
  const receiver: Receiver = {
    isLive: true,
    row: () => {},
    position: (stream, _instance, previous, token) =>
      void positions.push(`${stream} ${previous}-${token}`),
    disconnected: () => {},
  };
  const client = new ReplicationClient({
    transport: channel,
    receiver,
    name: "reader",
    clock: manualClock(),
    random: systemRandom,
    logger: silentLogger,
  });
  t.teardown(() => client.close());
  client.open();
  await until("it has asked", () => client.connections === 1);
  channel.isDeaf = true;
  await publish(6, "caches");
  channel.isDeaf = false;
  positions.length = 0;
  await publish(7, "notes");
  // Who stands at 5 sees that 6 was told before.
  t.equal(positions[0], "notes 6-6");
});

t.test("REMOTE_SERVER_UP goes from a channel to connections, and from those to it", (t) => {
  const { channel, streamer, heard } = start(t);
  const sent: string[] = [];
  const connection: Connection = {
    remote: "reader:1",
    isShared: false,
    queuedBytes: 0,
    send: (lines) => void sent.push(...String(lines).trim().split("\n")),
    pause: () => {},
    resume: () => {},
    close: () => {},
  };
  const reader = streamer.accept(connection);
  const second = new Channel();
  second.join((connection) => streamer.accept(connection));
  channel.take();
  second.take();
  sent.length = 0;
  reader.received("REMOTE_SERVER_UP a.org\n");
  t.same(channel.take(), ["REMOTE_SERVER_UP a.org"]);
  t.same(second.take(), ["REMOTE_SERVER_UP a.org"]);
  t.same(sent, [], "its echo from the channels is not relayed back to it");
  t.equal(heard.filter((kind) => kind === "REMOTE_SERVER_UP").length, 1);
  channel.say("REMOTE_SERVER_UP b.org\n");
  t.same(second.take(), [], "two writers on two channels would never end");
  t.same(sent, ["REMOTE_SERVER_UP b.org"]);
  channel.say("REMOTE_SERVER_UP a.org\n");
  t.equal(sent.length, 2, "and the same again is news again");
  t.end();
});

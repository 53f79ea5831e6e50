// A client of Redis that misbehaves, and what the connection makes of it.

import t from "tap";
import { CONNECT_ATTEMPT_TIMEOUT_MS } from "../../src/runtime/limits.ts";
import { systemRandom } from "../../src/runtime/random.ts";
import type {
  RedisClient,
  RedisMessage,
} from "../../src/transport/redis_client.ts";
import { redisTransport } from "../../src/transport/redis_transport.ts";
import type { ConnectionHandler } from "../../src/transport/transport.ts";
import { until } from "../support/conditions.ts";
import { type ManualClock, manualClock } from "../support/manual_clock.ts";

const PING_INTERVAL_MS = 30_000;

/** A client, and what becomes of its calls. */
interface FakeClient extends RedisClient {
  readonly published: (readonly RedisMessage[])[];
  pings: number;
  isDestroyed: boolean;
  isMute: boolean;
  channels: readonly string[];
  say(text: string): void;
  lose(error?: unknown): void;
  /** Answers the oldest publish. */
  answer(error?: Error): void;
}

function fakeRedis(clock: ManualClock) {
  const clients: FakeClient[] = [];
  const failures: Error[] = [];
  /** What the server leaves unanswered from now on. */
  const mute: { connect?: boolean; subscribe?: boolean } = {};
  const given: (AbortSignal | undefined)[] = [];
  const warnings: string[] = [];
  const transport = redisTransport({
    channel: "hs",
    url: "redis://fake",
    connector(lost, signal) {
      given.push(signal);
      if (mute.connect) return new Promise(() => {});
      const failure = failures.shift();
      if (failure !== undefined) return Promise.reject(failure);
      const waiting: ((error?: Error) => void)[] = [];
      let hear = (_text: string) => {};
      const client: FakeClient = {
        published: [],
        channels: [],
        pings: 0,
        isDestroyed: false,
        isMute: false,
        publish(messages) {
          client.published.push(messages);
          return new Promise((resolve, reject) =>
            waiting.push((error) => error ? reject(error) : resolve(1))
          );
        },
        subscribe(channels, received) {
          client.channels = channels;
          hear = received;
          return mute.subscribe ? new Promise(() => {}) : Promise.resolve();
        },
        ping() {
          client.pings += 1;
          return client.isMute ? new Promise(() => {}) : Promise.resolve();
        },
        destroy: () => void (client.isDestroyed = true),
        say: (text) => hear(text),
        lose: (error) => lost(error),
        answer: (error) => waiting.shift()?.(error),
      };
      clients.push(client);
      return Promise.resolve(client);
    },
  }, {
    clock,
    random: systemRandom,
    maxLineBytes: 1_000,
    logger: (_level, message) => void warnings.push(message),
  });
  return { transport, clients, failures, warnings, mute, given };
}

function recorder() {
  const events: string[] = [];
  const handler: ConnectionHandler = {
    received: (lines) => void events.push(lines),
    failed: (error) => void events.push(`failed ${error.message}`),
    closed: () => void events.push("closed"),
  };
  return { events, handler };
}

async function connected(clock = manualClock()) {
  const fake = fakeRedis(clock);
  const { events, handler } = recorder();
  const connection = await fake.transport.connect(() => handler);
  const [publisher, subscriber] = fake.clients as [FakeClient, FakeClient];
  return { ...fake, clock, events, connection, publisher, subscriber };
}

t.test("what is sent together is published together", async (t) => {
  const { connection, publisher, subscriber } = await connected();
  connection.send("A 1\nB 2\n");
  connection.send(new TextEncoder().encode("USER_IP é\nHELD w 1\nC\n"));
  t.same(publisher.published, [
    [{ channel: "hs", text: "A 1" }, { channel: "hs", text: "B 2" }],
    [
      { channel: "hs/USER_IP", text: "USER_IP é" },
      { channel: "hs/HELD", text: "HELD w 1" },
      { channel: "hs", text: "C" },
    ],
  ]);
  t.equal(connection.queuedBytes, 8 + 22);
  publisher.answer();
  await until("half is counted off", () => connection.queuedBytes === 22);
  publisher.answer();
  await until("all is", () => connection.queuedBytes === 0);
  t.same(subscriber.channels, ["hs", "hs/HELD"]);
  t.same(subscriber.published, []);
});

t.test("messages of one chunk come together", async (t) => {
  const { events, subscriber, connection } = await connected();
  for (const text of ["A", "B", "C\n"]) subscriber.say(text);
  t.same(events, []);
  await Promise.resolve();
  t.same(events, ["A\nB\nC \n"]);
  subscriber.say("D");
  connection.close();
  await until("it is closed", () => events.length === 2);
  t.same(events.at(-1), "closed", "nothing comes after close()");
});

t.test("whatever fails ends it, once", async (t) => {
  for (const way of ["publish", "publisher", "subscriber", "both"]) {
    const { events, connection, publisher, subscriber } = await connected();
    connection.send("A\n");
    connection.send("B\n");
    if (way === "publish") publisher.answer(new Error("no"));
    else if (way !== "subscriber") publisher.lose(new Error("gone"));
    if (way === "subscriber" || way === "both") subscriber.lose();
    await until("it is closed", () => events.length > 0);
    publisher.answer(new Error("too"));
    connection.send("C\n");
    t.same(events, ["closed"], way);
    t.ok(publisher.isDestroyed && subscriber.isDestroyed);
    t.equal(publisher.published.length, 2, "nothing is sent any more");
    subscriber.say("late");
    await Promise.resolve();
    t.same(events, ["closed"]);
  }
});

t.test("Redis is asked whether it is there", async (t) => {
  for (const mute of ["publisher", "subscriber"] as const) {
    const fake = await connected();
    const { clock, events, publisher, subscriber } = fake;
    clock.advance(PING_INTERVAL_MS);
    t.same([publisher.pings, subscriber.pings], [1, 1]);
    await Promise.resolve();
    fake[mute].isMute = true;
    clock.advance(PING_INTERVAL_MS);
    await Promise.resolve();
    t.same(events, [], "it has as long to answer");
    clock.advance(PING_INTERVAL_MS);
    t.same(events, ["closed"], mute);
    t.equal(clock.timers, 0);
  }
});

t.test("an attempt to connect that is never answered is given up", async (t) => {
  for (const way of ["connect", "subscribe"] as const) {
    const clock = manualClock();
    const { transport, clients, given, mute } = fakeRedis(clock);
    mute[way] = true;
    const attempt = transport.connect(() => recorder().handler);
    const failed = t.rejects(attempt, {
      code: "CLOSED",
      message: /no answer to the attempt to connect/,
    }, way);
    if (way === "subscribe") {
      await until("it subscribes", () => clients[1]?.channels.length === 2);
    }
    clock.advance(CONNECT_ATTEMPT_TIMEOUT_MS);
    await failed;
    t.ok(given.every((signal) => signal?.aborted), "what was begun goes");
    t.ok(clients.every(({ isDestroyed }) => isDestroyed));
    t.equal(clock.timers, 0);
  }
});

t.test("closing waits for what was sent, not for ever", async (t) => {
  const slow = await connected();
  slow.connection.send("A\n");
  slow.connection.close();
  await Promise.resolve();
  t.same(slow.events, []);
  slow.publisher.answer();
  await until("it is closed", () => slow.events.length > 0);
  t.equal(slow.clock.timers, 0);

  // Everything before had left long ago.
  const later = await connected();
  later.connection.send("A\n");
  later.publisher.answer();
  await until("it has left", () => later.connection.queuedBytes === 0);
  later.connection.send("B\n");
  later.connection.close();
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
  t.notOk(later.publisher.isDestroyed);
  later.publisher.answer();
  await until("it is closed", () => later.events.length > 0);

  const stuck = await connected();
  stuck.connection.send("A\n");
  stuck.connection.close();
  await Promise.resolve();
  t.notOk(stuck.publisher.isDestroyed);
  stuck.clock.advance(1_000);
  await until("it is cut off", () => stuck.events.length > 0);
  t.ok(stuck.publisher.isDestroyed);
});

t.test("an attempt that is given up", async (t) => {
  const { transport, clients } = fakeRedis(manualClock());
  const giveUp = new AbortController();
  const { events, handler } = recorder();
  const connecting = transport.connect(() => handler, giveUp.signal);
  giveUp.abort(new Error("enough"));
  await t.rejects(connecting, { message: "enough" });
  await until(
    "what came too late is gone",
    () => clients.every(({ isDestroyed }) => isDestroyed),
  );
  t.same(events, []);
});

t.test("a listener goes on for ever", async (t) => {
  const clock = manualClock();
  const { transport, clients, failures, warnings } = fakeRedis(clock);
  const { events, handler } = recorder();
  let accepted = 0;
  failures.push(new Error("ECONNREFUSED"));
  const listener = await transport.listen(() => {
    accepted += 1;
    return handler;
  });
  t.equal(accepted, 0);
  t.same(warnings, ["cannot connect to Redis, trying again"]);
  const pass = (what: string, holds: () => boolean) =>
    until(what, () => {
      if (holds()) return true;
      clock.advance(1_000);
      return false;
    });
  for (let round = 1; round <= 3; round += 1) {
    for (let each = 0; each < 6; each += 1) failures.push(new Error("no"));
    await pass("it is up", () => accepted === round);
    t.ok(clients.at(-1)?.channels.includes("hs/USER_IP"));
    clients.at(-1)?.lose();
    t.same(events.splice(0), ["closed"]);
  }
  t.equal(warnings.length, 22);
  await listener.close();
  await until("nothing is left", () => clock.timers === 0);
  t.equal(warnings.filter((text) => /lost/.test(text)).length, 3);
  const before = clients.length;
  clock.advance(60_000);
  t.equal(clients.length, before);
});

t.test("a listener that is refused", async (t) => {
  for (
    const message of [
      "WRONGPASS invalid username-password pair or user is disabled.",
      "NOAUTH Authentication required.",
      "ERR DB index is out of range",
    ]
  ) {
    const { transport, failures } = fakeRedis(manualClock());
    failures.push(new Error(message));
    await t.rejects(transport.listen(() => recorder().handler), {
      code: "LISTEN_FAILED",
      message: new RegExp(`redis://fake: ${message}`),
    });
  }
});

// What goes over Redis' channels, byte for byte, and what is made of what others put there.

import t from "tap";
import { z } from "zod";
import { defineStream, SlavedStore, WriterStore } from "../../mod.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { systemRandom } from "../../src/runtime/random.ts";
import {
  parseRedisUrl,
  redisTransport,
} from "../../src/transport/redis_transport.ts";
import type { ConnectionHandler } from "../../src/transport/transport.ts";
import { until } from "../support/conditions.ts";
import { temporaryDatabase } from "../support/folders.ts";
import {
  noRedis,
  type RedisServer,
  startRedis,
  subscribe,
} from "../support/redis.ts";
import {
  createUsers,
  saveUser,
  type TestDatabase,
  Users,
} from "../support/stores.ts";
import { openUsers } from "../support/users.ts";

const notes = defineStream("notes", z.string());

/** A handler that keeps what it is told. */
function recorder() {
  const lines: string[] = [];
  const ends: string[] = [];
  const handler: ConnectionHandler = {
    received: (text) => void lines.push(...text.split("\n").slice(0, -1)),
    failed: (error) => void ends.push(error.message),
    closed: () => void ends.push("closed"),
  };
  return { lines, ends, handler };
}

function open(redis: RedisServer, maxLineBytes = 1_000_000) {
  return redisTransport(parseRedisUrl(redis.url, "hs"), {
    maxLineBytes,
    clock: systemClock,
    random: systemRandom,
  });
}

t.test("over Redis", { skip: noRedis }, async (t) => {
  const redis = await startRedis(t);

  await t.test("what a writer publishes", async (t) => {
    const plain = await subscribe(t, redis, ["hs"]);
    const own = await subscribe(t, redis, ["hs", "hs/HELD"]);
    const database = temporaryDatabase(t);
    const writer = await WriterStore.open<TestDatabase>({
      database,
      listen: `${redis.url}?channel=hs`,
      streams: [notes],
      pingIntervalMs: 3_600_000, // Nor does it say so because all is quiet.
    });
    t.teardown(() => writer.close());
    const names = ["caches", "events", "notes"];
    const positions = (token: number) =>
      names.map((name) => `hs POSITION ${name} master ${token} ${token}`);
    await until("it has told its positions", () => plain.messages.length >= 3);
    t.same([...plain.messages].sort(), positions(0), "nobody has asked");
    await until("so has its own", () => own.messages.length >= 4);
    t.match(own.messages[0], /^hs\/HELD HELD master 1-[0-9a-f]{8}$/);
    const before = plain.messages.length;
    await redis.run("PUBLISH", "hs", "REPLICATE ");
    await until("it has answered", () => plain.messages.length >= before + 4);
    t.same(plain.messages.slice(before)[0], "hs REPLICATE ");
    t.same(plain.messages.slice(before + 1).sort(), positions(0));
    const start = plain.messages.length;
    await writer.transaction("note", (txn) => {
      txn.write(notes, "één\n");
      txn.write(notes, "two");
      txn.invalidate("getUserById", ["bob"]);
      return Promise.resolve();
    });
    await until(
      "it is all there",
      () => plain.messages.slice(start).some((line) => / 1 1$/.test(line)),
    );
    const told = plain.messages.slice(start);
    t.same(
      [told.shift(), told.shift()],
      ["hs POSITION caches master 0 0", "hs POSITION notes master 0 0"],
      "what it told before",
    );
    t.match(
      told.shift(),
      /^hs RDATA caches master 1 \["getUserById",\["bob"\],\d+\]$/,
    );
    t.equal(told.shift(), 'hs RDATA notes master batch "\\u00e9\\u00e9n\\n"');
    t.equal(told.shift(), 'hs RDATA notes master 1 "two"');
    t.ok(told.every((line) => /^hs POSITION \w+ master [01] 1$/.test(line)));
  });

  await t.test("A005, A007: who hears what", async (t) => {
    const transport = open(redis);
    const main = recorder();
    const worker = recorder();
    const listener = await transport.listen(() => main.handler);
    t.teardown(() => listener.close());
    t.equal(listener.url, redis.url);
    const connection = await transport.connect(() => worker.handler);
    t.teardown(() => connection.close());
    t.equal(await redis.subscribers("hs"), 2);
    t.equal(await redis.subscribers("hs/USER_IP"), 1, "the main process only");
    t.equal(await redis.subscribers("hs/HELD"), 1, "readers only");
    const plain = await subscribe(t, redis, ["hs", "hs/USER_IP"]);
    t.ok(connection.isShared);
    connection.send(
      'USER_IP ["@bob:x","t",1]\nUSER_SYNC w @bob:x start 5\nREPLICATE \n',
    );
    await until("all is heard", () => plain.messages.length === 3);
    t.same(plain.messages, [
      'hs/USER_IP USER_IP ["@bob:x","t",1]',
      "hs USER_SYNC w @bob:x start 5",
      "hs REPLICATE ",
    ]);
    await until("the main process has heard", () => main.lines.length === 3);
    await until("its sender has, too", () => worker.lines.length === 2);
    t.same(worker.lines, ["USER_SYNC w @bob:x start 5", "REPLICATE "]);
    await until("all has left", () => connection.queuedBytes === 0);
  });

  await t.test("bounds", async (t) => {
    const transport = open(redis, 100);
    const heard = recorder();
    const connection = await transport.connect(() => heard.handler);
    connection.pause();
    await redis.run("PUBLISH", "hs", "PING 1");
    await redis.run("PUBLISH", "hs", "a\nb");
    connection.send("PING 2\n");
    t.ok(connection.queuedBytes > 0);
    await until("it has left", () => connection.queuedBytes === 0);
    await connectedTurn(redis);
    t.same(heard.lines, [], "nothing while it is paused");
    connection.resume();
    await until("it goes on", () => heard.lines.length === 4);
    t.same(heard.lines, ["PING 1", "a b", "PING 2", "PING turn"]);
    await redis.run("PUBLISH", "hs", "P".repeat(101));
    await until("it has ended", () => heard.ends.length > 0);
    t.same(
      heard.ends,
      ["closed"],
      "a message that can't be held isn't skipped",
    );
    connection.send("PING 3\n");
    connection.close();
    t.same(heard.ends, ["closed"]);

    const second = recorder();
    const paused = await open(redis).connect(() => second.handler);
    paused.pause();
    const piece = "P".repeat(900_000);
    for (let sent = 0; sent < 19; sent += 1) {
      if (second.ends.length > 0) break;
      await redis.run("PUBLISH", "hs", piece);
    }
    await until("it is cut off", () => second.ends.length > 0);
    t.same(second.ends, ["closed"], "one that is paused for too long");
  });

  await t.test("closing", async (t) => {
    const heard = recorder();
    const plain = await subscribe(t, redis, ["hs"]);
    const before = await redis.subscribers("hs");
    const connection = await open(redis).connect(() => heard.handler);
    for (let each = 0; each < 100; each += 1) connection.send(`PING ${each}\n`);
    connection.close();
    await until("it is closed", () => heard.ends.length > 0);
    await until("all was sent", () => plain.messages.length === 100);
    await until(
      "nobody is left",
      async () => await redis.subscribers("hs") === before,
    );
  });

  await t.test("nonsense of others", async (t) => {
    const database = temporaryDatabase(t);
    const replicate = `${redis.url}?channel=nonsense`;
    const said: string[] = [];
    const logger = (level: string, message: string) =>
      void (level === "warn" && said.push(message));
    const writer = await openUsers(t, { database, listen: replicate, logger });
    const slaved = await SlavedStore.connect<TestDatabase>({
      database,
      replicate,
      logger,
    });
    t.teardown(() => slaved.close());
    const users = slaved.attach(Users);
    const flushes = slaved.stats.flushes;
    for (
      const message of [
        "",
        " ",
        "\n",
        "HELLO world",
        "RDATA",
        "RDATA caches master",
        "RDATA caches master x []",
        "POSITION a b c d",
        "ERROR it is all over",
        "SERVER somebody-else",
        "NAME me",
        "PING 5",
        "FEDERATION_ACK a 5",
        "\u0000\u0001",
        "RDATA unknown nobody 5 []",
        "P".repeat(100_000),
      ]
    ) await redis.run("PUBLISH", "nonsense", message);
    const user = { id: "bob", name: "Bob", version: 1 };
    await slaved.waitFor(await saveUser(writer, user));
    t.same(await users.getUserById("bob"), user);
    t.equal(slaved.stats.connections, 1, "nothing was closed");
    t.equal(writer.stats.connections, 1);
    t.equal(slaved.stats.flushes, flushes);
    t.ok(said.length > 0, "somebody is told of it");
  });

  await t.test("two writers on one channel", async (t) => {
    const database = temporaryDatabase(t);
    const listen = `${redis.url}?channel=two`;
    const openWriter = async (instance: string) => {
      const writer = await WriterStore.open<TestDatabase>({
        database,
        listen,
        instance,
      });
      t.teardown(() => writer.close());
      return writer;
    };
    const first = await openWriter("first");
    await createUsers(first);
    const second = await openWriter("second");
    const slaved = await SlavedStore.connect<TestDatabase>({
      database,
      replicate: listen,
      pollIntervalMs: 0,
    });
    t.teardown(() => slaved.close());
    const users = slaved.attach(Users);
    for (let version = 1; version <= 20; version += 1) {
      const writer = version % 2 === 0 ? first : second;
      const user = { id: "bob", name: writer.instance, version };
      await slaved.waitFor(await saveUser(writer, user));
      t.same(await users.getUserById("bob"), user);
    }
    t.same([...slaved.position.keys()].sort(), ["first", "second"]);
    t.equal(slaved.stats.connections, 1);
  });
});

/** Once this has been answered, what was published before has been read. */
async function connectedTurn(redis: RedisServer): Promise<void> {
  const heard = recorder();
  const connection = await open(redis).connect(() => heard.handler);
  connection.send("PING turn\n");
  await until("a turn has passed", () => heard.lines.length > 0);
  connection.close();
}

t.test("addresses of Redis", async (t) => {
  const parse = (url: string) => parseRedisUrl(url, "headwater");
  t.match(parse("redis://127.0.0.1:6379"), {
    url: "redis://127.0.0.1:6379",
    channel: "headwater",
  });
  t.match(parse("redis://bob:secret@redis.example/3?channel=x%20y"), {
    url: "redis://redis.example:6379/3?channel=x%20y",
    channel: "x y",
  });
  t.match(parse("rediss://[::1]:7000/"), { url: "rediss://[::1]:7000" });
  for (
    const url of [
      "redis:",
      "redis://bob:secret@",
      "redis://bob:secret@host/x",
      "redis://bob:secret@host:99999",
      "redis://bob:se/cret@host",
      "redis://bob:100%secret@host",
      "redis://bob%ff:secret@host",
    ]
  ) {
    t.throws(() => parse(url), { code: "INVALID_ARGUMENT" }, url);
    t.throws(() => parse(url), { message: /^((?!cret).)*$/ }, url);
  }
  await t.rejects(
    WriterStore.open({ database: "sqlite::memory:", listen: "redis://h/x" }),
    { code: "INVALID_ARGUMENT", message: /redis:\/\/HOST:PORT/ },
  );
});

t.test("a server that asks for a password", { skip: noRedis }, async (t) => {
  const redis = await startRedis(t, { password: "secret" });
  const database = temporaryDatabase(t);
  const said: string[] = [];
  const logger = (...args: unknown[]) => void said.push(JSON.stringify(args));
  const wrong = redis.url.replace("secret", "wrongsecret");
  await t.rejects(WriterStore.open({ database, listen: wrong, logger }), {
    code: "LISTEN_FAILED",
    message: /^((?!secret).)*WRONGPASS((?!secret).)*$/,
  });
  const none = `redis://127.0.0.1:${redis.port}`;
  await t.rejects(WriterStore.open({ database, listen: none, logger }), {
    code: "LISTEN_FAILED",
    message: /NOAUTH/,
  });
  const writer = await WriterStore.open<TestDatabase>({
    database,
    listen: redis.url,
    logger,
  });
  t.teardown(() => writer.close());
  t.equal(writer.url, none);
  await t.rejects(
    SlavedStore.connect({
      database,
      replicate: wrong,
      connectTimeoutMs: 300,
      logger,
    }),
    { code: "CONNECT_TIMEOUT", message: /^((?!secret).)*$/ },
  );
  const slaved = await SlavedStore.connect<TestDatabase>({
    database,
    replicate: redis.url,
    logger,
  });
  t.teardown(() => slaved.close());
  await redis.kill();
  await until(
    "both have noticed",
    () => writer.stats.connections === 0 && slaved.stats.state === "connecting",
  );
  t.notMatch(said.join("\n"), /secret/);
});

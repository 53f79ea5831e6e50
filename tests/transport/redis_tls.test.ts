// Redis over TLS, over a client of the user's own, and with what is no text.

import { Buffer } from "node:buffer";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { createClient } from "redis";
import t, { type Test } from "tap";
import { SlavedStore, WriterStore } from "../../mod.ts";
import {
  redisChannel,
  type RedisConnector,
  type TlsOptions,
} from "../../src/writer/mod.ts";
import { createAuthority } from "../support/certificates.ts";
import { until } from "../support/conditions.ts";
import { temporaryDatabase, temporaryFolder } from "../support/folders.ts";
import { freePort } from "../support/ports.ts";
import { noRedis, startRedis } from "../support/redis.ts";
import {
  createUsers,
  saveUser,
  type TestDatabase,
  Users,
} from "../support/stores.ts";
import { openUsers } from "../support/users.ts";

const authority = createAuthority();
const stranger = createAuthority();

/** A server that asks its clients for certificates; gives its URL. */
async function startTlsRedis(t: Test): Promise<string> {
  const folder = temporaryFolder(t);
  const { cert, key } = authority.issue();
  const write = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const port = await freePort();
  const redis = await startRedis(t, {
    settings: {
      "tls-port": `${port}`,
      "tls-cert-file": write("cert.pem", cert),
      "tls-key-file": write("key.pem", key),
      "tls-ca-cert-file": write("ca.pem", authority.ca),
      "tls-auth-clients": "yes",
    },
  });
  await redis.start();
  return `rediss://127.0.0.1:${port}`;
}

/** Has a write read by a reader, over whatever connects them. */
async function readOwnWrite(
  t: Test,
  slaved: SlavedStore<TestDatabase>,
  writer: WriterStore<TestDatabase>,
): Promise<void> {
  const users = slaved.attach(Users);
  for (let version = 1; version <= 3; version += 1) {
    const commit = await saveUser(writer, { id: "bob", name: "B", version });
    await slaved.waitFor(commit);
    t.equal((await users.getUserById("bob"))?.version, version);
  }
}

t.test("rediss:", { skip: noRedis }, async (t) => {
  const url = await startTlsRedis(t);
  const database = temporaryDatabase(t);
  const tls: TlsOptions = { ...authority.issue(["client"]), ca: authority.ca };
  const said: string[] = [];
  const logger = (...args: unknown[]) => void said.push(JSON.stringify(args));
  const writer = await openUsers(t, { database, listen: url, tls, logger });
  const connect = (own: TlsOptions, signal?: AbortSignal) =>
    SlavedStore.connect<TestDatabase>({
      database,
      replicate: url,
      tls: own,
      logger,
      pollIntervalMs: 0,
      signal,
    });
  /** Tries until it is said why that is of no use. */
  const refused = async (own: TlsOptions, why: RegExp) => {
    const enough = new AbortController();
    const start = said.length;
    const connecting = connect(own, enough.signal);
    connecting.catch(() => {});
    await until(
      `${why}`,
      () => said.slice(start).some((each) => why.test(each)),
    );
    enough.abort(new Error("enough"));
    await t.rejects(connecting, { message: "enough" });
  };
  const slaved = await connect(tls);
  t.teardown(() => slaved.close());
  await readOwnWrite(t, slaved, writer);

  await refused({ ...tls, ca: stranger.ca }, /self-signed|unknown|issuer/i);
  await refused({ ...tls, servername: "another" }, /another/);
  // Again and again: it may be refused in the turn that ends the handshake.
  for (let time = 0; time < 5; time += 1) {
    await refused({ ca: authority.ca }, /certificate ?required/i);
  }
  for (const wrong of ["no PEM", authority.issue().key]) {
    await t.rejects(connect({ ...tls, key: wrong }), {
      code: "INVALID_ARGUMENT",
      message: /^Cannot use rediss:\/\/127\.0\.0\.1:\d+: tls\.key /,
    });
  }
  await t.rejects(connect({ ca: "no PEM" }), {
    code: "INVALID_ARGUMENT",
    message: /tls\.ca/,
  });
  const secret = String(tls.key).split("\n")[1];
  t.notOk(said.join().includes(String(secret)));
});

t.test("a client of one's own", { skip: noRedis }, async (t) => {
  const redis = await startRedis(t);
  await redis.start();
  const database = temporaryDatabase(t);
  const open: { destroy(): void }[] = [];
  const connector: RedisConnector = async (lost) => {
    const client = createClient({
      RESP: 2,
      url: redis.url,
      socket: { reconnectStrategy: false },
    });
    client.on("error", lost).on("end", lost);
    await client.connect();
    const own = { destroy: () => client.destroy() };
    open.push(own);
    return {
      ...own,
      async publish(messages) {
        const all = client.multi();
        for (const { channel, text } of messages) all.publish(channel, text);
        await all.exec();
      },
      subscribe: (channels, received) =>
        client.subscribe([...channels], received),
      ping: () => client.ping(),
    };
  };
  const channel = redisChannel(connector, { channel: "own" });
  const writer = await WriterStore.open<TestDatabase>({
    database,
    listen: channel,
  });
  t.teardown(() => writer.close());
  t.equal(writer.url, "a Redis client, channel own");
  await createUsers(writer);
  const slaved = await SlavedStore.connect<TestDatabase>({
    database,
    replicate: channel,
    minBackoffMs: 5,
    maxBackoffMs: 20,
    pollIntervalMs: 0,
  });
  t.teardown(() => slaved.close());
  await readOwnWrite(t, slaved, writer);
  await redis.restart();
  await until(
    "both are there again",
    () => slaved.stats.connections === 2 && slaved.stats.state === "live",
  );
  await readOwnWrite(t, slaved, writer);
  t.equal(slaved.stats.flushes, 1);

  const broken = redisChannel(() => Promise.reject(new Error("no cluster")));
  await t.rejects(
    SlavedStore.connect({
      database,
      replicate: broken,
      connectTimeoutMs: 100,
    }),
    { code: "CONNECT_TIMEOUT", message: /no cluster/ },
  );
});

t.test("messages that are no text", { skip: noRedis }, async (t) => {
  const redis = await startRedis(t);
  await redis.start();
  const database = temporaryDatabase(t);
  const warnings: unknown[] = [];
  const writer = await openUsers(t, { database, listen: redis.url });
  const slaved = await SlavedStore.connect<TestDatabase>({
    database,
    replicate: redis.url,
    pollIntervalMs: 0,
    logger: (level, message) => {
      if (level === "warn") warnings.push(message);
    },
  });
  t.teardown(() => slaved.close());
  const socket = connect(redis.port, "127.0.0.1");
  t.teardown(() => socket.destroy());
  let answers = "";
  socket.on("data", (chunk) => answers += chunk);
  const messages = [
    [0xff, 0xfe, 0x00, 0x80],
    [...Buffer.from("RDATA caches "), 0xc0, 0x80],
    [...Buffer.from('RDATA caches master batch ["getUserById",["'), 0xe8],
    [],
  ];
  for (const message of messages) {
    socket.write("*3\r\n$7\r\nPUBLISH\r\n$9\r\nheadwater\r\n");
    socket.write(`$${message.length}\r\n`);
    socket.write(Uint8Array.from(message));
    socket.write("\r\n");
  }
  await until("Redis has taken them", () => answers.split("\n").length > 4);
  await readOwnWrite(t, slaved, writer);
  t.equal(slaved.stats.connections, 1, "nobody is closed for it");
  t.equal(slaved.stats.flushes, 1);
  t.same([...new Set(warnings)], [
    "nonsense on a shared channel: passed over",
  ]);
});

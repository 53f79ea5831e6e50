// Redis goes away, comes back, and drops whom it likes: readers miss nothing.

import { Buffer } from "node:buffer";
import { connect, createServer, type Socket } from "node:net";
import t, { type Test } from "tap";
import { z } from "zod";
import { defineStream, SlavedStore, WriterStore } from "../../mod.ts";
import { until } from "../support/conditions.ts";
import { onEachEngine } from "../support/databases.ts";
import { temporaryDatabase } from "../support/folders.ts";
import {
  encode,
  noRedis,
  type RedisServer,
  startRedis,
} from "../support/redis.ts";
import {
  createUsers,
  saveUser,
  type TestDatabase,
  Users,
} from "../support/stores.ts";
import { connectUsers, openUsers } from "../support/users.ts";

const READERS = 3;
const notes = defineStream("notes", z.string());

/** A writer under load, and readers that check each write they have waited for. */
async function startLoad(t: Test, redis: RedisServer, database: string) {
  // The database is never looked at: what readers know, they know from Redis.
  const shared = { database, pollIntervalMs: 0, maxBackoffMs: 200 };
  const writer = await openUsers(t, {
    database,
    listen: redis.url,
    streams: [notes],
    synchronous: "normal",
  });
  const readers = await Promise.all(
    Array.from({ length: READERS }, async () => {
      const slaved = await connectUsers(t, redis, {
        ...shared,
        streams: [notes],
      });
      const heard: string[] = [];
      slaved.subscribe(notes, ({ rows }) => void heard.push(...rows));
      return { slaved, users: slaved.attach(Users), heard };
    }),
  );
  let version = 0;
  let checks = 0;
  const stale: string[] = [];
  let isOver = false;
  const write = async () => {
    version += 1;
    const wanted = version;
    const { token, instance } = await writer.transaction(
      "save",
      async (txn) => {
        const user = { id: "bob", name: "Bob", version: wanted };
        await txn.db.insertInto("users").values(user)
          .onConflict((conflict) => conflict.column("id").doUpdateSet(user))
          .execute();
        txn.invalidate("getUserById", ["bob"]);
        // Enough rows that a cut falls among them.
        for (let row = 0; row < 20; row += 1) {
          txn.invalidate("getUserById", [`other ${row}`]);
        }
        txn.write(notes, `note ${wanted}`);
      },
    );
    return { instance, token, wanted };
  };
  const check = async (
    { slaved, users }: typeof readers[number],
    commit: Awaited<ReturnType<typeof write>>,
  ) => {
    await slaved.waitFor(commit, { timeoutMs: 20_000 });
    const user = await users.getUserById("bob");
    checks += 1;
    if (Number(user?.version) < commit.wanted) {
      stale.push(`${user?.version} after ${commit.wanted}`);
    }
  };
  const run = (async () => {
    while (!isOver) {
      const commit = await write();
      await Promise.all(readers.map((reader) => check(reader, commit)));
    }
  })();
  return {
    writer,
    readers,
    /** Resolves once every reader has checked so many more writes. */
    async goOn(count = 20) {
      const goal = checks + count * READERS;
      await until("the load goes on", () => checks >= goal);
    },
    /** Stops, and sees that all is right. */
    async finish() {
      isOver = true;
      await run;
      t.same(stale, [], `${checks} reads, none older than waited for`);
      const all = Array.from({ length: version }, (_, at) => `note ${at + 1}`);
      for (const { slaved, heard } of readers) {
        t.same(slaved.position, writer.position, "all have come to the same");
        t.same(heard, all, "each row once, in order");
        t.equal(slaved.stats.flushes, 1, "nothing had to be cleared");
      }
    },
  };
}

t.test("Redis fails", { skip: noRedis }, (t) => {
  onEachEngine(t, "it is killed and comes back", async (t, database) => {
    const redis = await startRedis(t);
    const load = await startLoad(t, redis, database);
    for (let round = 0; round < 4; round += 1) {
      await load.goOn();
      await redis.restart();
    }
    await load.goOn();
    await load.finish();
  });

  t.test("it is away for a while", async (t) => {
    const redis = await startRedis(t);
    const load = await startLoad(t, redis, temporaryDatabase(t));
    await load.goOn(5);
    await redis.stop();
    await until("the writer knows", () => load.writer.stats.connections === 0);
    const before = load.writer.position;
    for (let each = 0; each < 50; each += 1) {
      await load.writer.transaction("write", (txn) => {
        txn.invalidateAll("countUsers");
        return Promise.resolve();
      });
    }
    t.notSame(load.writer.position, before, "commits need no Redis");
    await redis.start();
    await load.goOn();
    await load.finish();
  });

  t.test("it drops subscribers, and publishers", async (t) => {
    const redis = await startRedis(t);
    const load = await startLoad(t, redis, temporaryDatabase(t));
    let killed = 0;
    for (let round = 0; round < 12; round += 1) {
      await load.goOn(3);
      const type = round % 2 === 0 ? "pubsub" : "normal";
      killed += await redis.killClients(type);
    }
    t.ok(killed >= 12, `${killed} connections`);
    await load.goOn();
    await load.finish();
  });

  t.test("it drops those whose buffer is full", async (t) => {
    const redis = await startRedis(t, {
      settings: {
        "client-output-buffer-limit": "pubsub 64kb 64kb 0",
      },
    });
    const load = await startLoad(t, redis, temporaryDatabase(t));
    await load.goOn(5);
    const connections = () =>
      load.readers.reduce(
        (sum, { slaved }) => sum + slaved.stats.connections,
        0,
      );
    const before = connections();
    const note = "n".repeat(200_000);
    // More than a socket's buffer holds, in one turn of Redis.
    await load.writer.transaction("big", (txn) => {
      for (let row = 0; row < 60; row += 1) {
        txn.invalidate("getUserById", [`${note} ${row}`]);
      }
      return Promise.resolve();
    });
    await load.goOn();
    t.ok(connections() > before, "some were dropped");
    await load.finish();
  });

  t.test("it stops answering", async (t) => {
    const redis = await startRedis(t);
    const load = await startLoad(t, redis, temporaryDatabase(t));
    await load.goOn(5);
    redis.signal("SIGSTOP");
    const commit = await load.writer.transaction("write", (txn) => {
      txn.invalidateAll("countUsers");
      return Promise.resolve();
    });
    redis.signal("SIGCONT");
    for (const { slaved } of load.readers) await slaved.waitFor(commit);
    await load.finish();
  });
  t.end();
});

t.test("a batch without its end", { skip: noRedis }, async (t) => {
  const redis = await startRedis(t);
  const database = temporaryDatabase(t);
  const writer = await openUsers(t, {
    database,
    listen: redis.url,
    streams: [notes],
  });
  const slaved = await connectUsers(t, redis, {
    database,
    streams: [notes],
    pollIntervalMs: 0,
  });
  const users = slaved.attach(Users);
  await slaved.waitFor(
    await saveUser(writer, { id: "bob", name: "Bob", version: 1 }),
  );
  t.equal((await users.getUserById("bob"))?.version, 1);
  const { token } = await saveUser(writer, {
    id: "alice",
    name: "Alice",
    version: 1,
  });
  await slaved.waitFor({ instance: "master", token });

  // Somebody says in our name what is never finished.
  const next = token + 1;
  for (let row = 0; row < 5; row += 1) {
    await redis.run(
      "PUBLISH",
      "headwater",
      `RDATA caches master batch ["getUserById",["x${row}"],5]`,
    );
  }
  t.equal(slaved.position.get("master"), token, "it moves nothing");
  const before = slaved.stats.invalidations;
  const commit = await saveUser(writer, { id: "bob", name: "B", version: 2 });
  t.equal(commit.token, next);
  await slaved.waitFor(commit);
  t.equal((await users.getUserById("bob"))?.version, 2);
  t.equal(slaved.stats.invalidations, before + 3, "its own rows only");
});

t.test("rows that never came", { skip: noRedis }, async (t) => {
  // A publisher whose lines are lost on the way, which its next POSITION shows.
  const redis = await startRedis(t);
  const database = temporaryDatabase(t);
  const writer = await openUsers(t, {
    database,
    listen: `${redis.url}?channel=unheard`,
  });
  await redis.run("PUBLISH", "headwater", "nothing yet");
  const publish = (...lines: string[]) =>
    new Promise<void>((resolve) => {
      const socket = connect(redis.port, "127.0.0.1");
      socket.on("close", () => resolve());
      const commands = lines.map((line) =>
        encode(["PUBLISH", "headwater", line])
      );
      socket.end(commands.join(""));
      socket.resume();
    });
  const at = (token: number) => `POSITION caches master ${token} ${token}`;
  const connecting = SlavedStore.connect<TestDatabase>({
    database,
    replicate: redis.url,
    pollIntervalMs: 0,
  });
  await until(
    "it listens",
    async () => await redis.subscribers("headwater") === 1,
  );
  const last = () => Number(writer.position.get("master"));
  await publish(at(last()));
  const slaved = await connecting;
  t.teardown(() => slaved.close());
  const users = slaved.attach(Users);
  const bob = (version: number) => ({ id: "bob", name: "Bob", version });
  await saveUser(writer, bob(1));
  await publish(at(last()));
  await slaved.waitFor(writer.position);
  t.equal((await users.getUserById("bob"))?.version, 1);

  // Lost: half a batch, and the line that ends it.
  const told = last();
  await saveUser(writer, bob(2));
  await publish(
    at(told),
    `RDATA caches master batch ["countUsers",null,5]`,
  );
  const commit = await saveUser(writer, bob(3));
  // The next flush begins with what was told before it.
  await publish(
    at(commit.token - 1),
    `RDATA caches master ${commit.token} ["countUsers",null,5]`,
    at(commit.token),
  );
  await slaved.waitFor(commit);
  t.equal((await users.getUserById("bob"))?.version, 3, "it was fetched");
  t.ok(slaved.stats.catchUps > 0);
});

/** Passes a server's connections on, and cuts one off before what it is told. */
async function startCutter(t: Test, redis: RedisServer) {
  const sockets = new Set<Socket>();
  let before: string | undefined;
  let cuts = 0;
  let isHeard = false;
  const server = createServer((near) => {
    const far = connect(redis.port, "127.0.0.1");
    const cut = () => {
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", cut).on("close", cut);
    }
    far.on("data", (chunk: Buffer) => {
      near.write(chunk);
      isHeard ||= chunk.includes("POSITION");
    });
    let passed = Buffer.alloc(0);
    near.on("data", (chunk: Buffer) => {
      const from = passed.length;
      passed = Buffer.concat([passed, chunk]);
      const at = before === undefined ? -1 : passed.indexOf(before, from);
      if (at < 0) {
        far.write(chunk);
        return;
      }
      before = undefined;
      cuts += 1;
      isHeard = false;
      near.pause();
      // Whole commands before it reach the server; then it is over.
      far.write(passed.subarray(from, at), () => {
        far.end();
        near.destroy();
      });
    });
  });
  await new Promise<void>((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve())
  );
  t.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const { port } = server.address() as { port: number };
  return {
    url: `redis://127.0.0.1:${port}`,
    cuts: () => cuts,
    /** Whether anything has come back since it was cut off. */
    isHeard: () => isHeard,
    cutBefore: (text: string) => void (before = text),
  };
}

t.test("a publisher cut off in a flush", { skip: noRedis }, async (t) => {
  const redis = await startRedis(t);
  const cutter = await startCutter(t, redis);
  const database = temporaryDatabase(t);
  const writer = await openUsers(t, {
    database,
    listen: cutter.url,
    streams: [notes],
  });
  const slaved = await connectUsers(t, redis, {
    database,
    streams: [notes],
    pollIntervalMs: 0,
  });
  const users = slaved.attach(Users);
  const heard: string[] = [];
  slaved.subscribe(notes, ({ rows }) => void heard.push(...rows));
  const expected: string[] = [];
  const places = [
    "RDATA caches master batch", // Nothing of it is out.
    '["x5"]', // Some rows of a batch.
    "RDATA notes", // A stream of the token, and not the other.
    '"the last', // Some rows of the last batch.
    "POSITION notes", // All rows, and not what ends them.
  ];
  for (const [round, place] of places.entries()) {
    await until("the writer hears itself", cutter.isHeard);
    cutter.cutBefore(place);
    const commit = await writer.transaction("save", async (txn) => {
      const user = { id: "bob", name: "Bob", version: round };
      await txn.db.insertInto("users").values(user)
        .onConflict((conflict) => conflict.column("id").doUpdateSet(user))
        .execute();
      for (let row = 0; row < 9; row += 1) {
        txn.invalidate("getUserById", [`x${row}`]);
      }
      txn.invalidate("getUserById", ["bob"]);
      for (const note of [`first ${round}`, `the last ${round}`]) {
        txn.write(notes, note);
        expected.push(note);
      }
    });
    await slaved.waitFor(commit);
    t.equal((await users.getUserById("bob"))?.version, round, place);
    t.equal(cutter.cuts(), round + 1, "it was cut off");
  }
  t.same(heard, expected, "each row once, in order");
  t.equal(slaved.stats.connections, 1, "the reader had nothing to do with it");
});

t.test("a writer that is gone", { skip: noRedis }, async (t) => {
  // On a channel nobody says good-bye; what it writes from elsewhere is in the log.
  const redis = await startRedis(t);
  const database = temporaryDatabase(t);
  const first = await WriterStore.open<TestDatabase>({
    database,
    listen: redis.url,
    pingIntervalMs: 20,
  });
  await createUsers(first);
  const slaved = await connectUsers(t, redis, {
    database,
    pollIntervalMs: 20,
    silenceTimeoutMs: 1_000,
  });
  const users = slaved.attach(Users);
  const bob = (version: number) => ({ id: "bob", name: "Bob", version });
  await slaved.waitFor(await saveUser(first, bob(1)));
  t.equal((await users.getUserById("bob"))?.version, 1);
  await first.close();
  t.equal(slaved.stats.state, "live", "nobody can tell");
  const mute = await WriterStore.open<TestDatabase>({ database });
  const commit = await saveUser(mute, bob(2));
  await slaved.waitFor(commit);
  t.equal((await users.getUserById("bob"))?.version, 2);
  await mute.close();
  const back = await WriterStore.open<TestDatabase>({
    database,
    listen: redis.url,
  });
  t.teardown(() => back.close());
  await slaved.waitFor(await saveUser(back, bob(3)));
  t.equal((await users.getUserById("bob"))?.version, 3);
  t.equal(slaved.stats.flushes, 1, "nothing had to be cleared");
});

// Readers that take INVALIDATE lines and readers that don't, side by side: each
// is sent what it takes, and all see the same.

import { MessageChannel } from "node:worker_threads";
import t, { type Test } from "tap";
import { z } from "zod";
import { cachesStream, defineStream, SlavedStore } from "../../mod.ts";
import type { Batch } from "../../src/replication/stream_subscription.ts";
import { follow, openRelay } from "../../src/slaved/mod.ts";
import type { Address } from "../../src/transport/transport.ts";
import { until } from "../support/conditions.ts";
import { startFakeWriter } from "../support/fake_writer.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { netcat } from "../support/netcat.ts";
import { type TestDatabase, Users } from "../support/stores.ts";
import { openUsers } from "../support/users.ts";

const notes = defineStream("notes", z.number());
const streams = [notes];

async function open(t: Test) {
  const database = temporaryDatabase(t);
  const writer = await openUsers(t, {
    database,
    listen: "tcp://127.0.0.1:0",
    streams,
  });
  return { database, writer, url: String(writer.url) };
}

async function connect(
  t: Test,
  database: string,
  replicate: Address,
  maxLineBytes?: number,
) {
  const slaved = await SlavedStore.connect<TestDatabase>({
    database,
    replicate,
    streams,
    maxLineBytes,
  });
  t.teardown(() => slaved.close());
  return { slaved, users: slaved.attach(Users) };
}

t.test("each is sent what it asked for", async (t) => {
  const { writer, url } = await open(t);
  const [first, foreign, own] = [
    await netcat(t, url),
    await netcat(t, url),
    await netcat(t, url),
  ];
  foreign.send("NAME f\nREPLICATE \n");
  own.send("NAME o\nREPLICATE INVALIDATE\n");
  for (const each of [foreign, own]) {
    await each.line("its positions", (line) => line.startsWith("POSITION not"));
  }
  const { token } = await writer.transaction("several", (txn) => {
    txn.write(notes, 1);
    txn.invalidate(Users.prototype.getUserById, ["é"]);
    txn.invalidate(Users.prototype.getUserById, ["b"]);
    txn.invalidateAll("countUsers");
    txn.invalidate("getUserById", ["c"]);
    txn.invalidate("findUsers", ["x", 1]);
    return Promise.resolve();
  });
  const isLast = (line: string) =>
    line.startsWith(`RDATA notes master ${token}`);
  const told = async (each: typeof own) => {
    await each.line("the note", isLast);
    return each.lines().filter((line) => /^(RDATA|INVALIDATE)/.test(line))
      .map((line) => line.replaceAll(/\d{13}/g, "MS"));
  };
  const rows = [
    'RDATA caches master batch ["getUserById",["\\u00e9"],MS]',
    'RDATA caches master batch ["getUserById",["b"],MS]',
    'RDATA caches master batch ["countUsers",null,MS]',
    'RDATA caches master batch ["getUserById",["c"],MS]',
    `RDATA caches master ${token} ["findUsers",["x",1],MS]`,
    `RDATA notes master ${token} 1`,
  ];
  t.same(await told(first), rows, "who has said nothing");
  t.same(await told(foreign), rows);
  t.same(await told(own), [
    `INVALIDATE master ${token} ["getUserById",MS,["\\u00e9","b"],` +
    '"countUsers",MS,[null],"getUserById",MS,["c"],"findUsers",MS,[["x",1]]]',
    `RDATA notes master ${token} 1`,
  ]);
  await t.test("and nobody hears anything else once it asks otherwise", async (t) => {
    own.send("REPLICATE \n");
    foreign.send("REPLICATE INVALIDATE\n");
    for (const each of [foreign, own]) {
      const told = `POSITION events master ${token} ${token}`;
      await each.line("its positions, again", (line) => line === told);
    }
    await writer.transaction("one", (txn) => {
      txn.invalidate("getUserById", ["d"]);
      return Promise.resolve();
    });
    await own.line("a row", (line) => line.includes('["d"]'));
    await foreign.line("a key", (line) => line.includes('["d"]'));
    t.match(own.lines().find((line) => line.includes('["d"]')), /^RDATA/);
    t.match(foreign.lines().find((line) => line.includes('["d"]')), /^INV/);
  });
});

t.test("all of them converge, and their handlers see the same rows", async (t) => {
  const { database, writer, url } = await open(t);
  const relay = openRelay({ replicate: url });
  t.teardown(() => relay.close());
  const ids = Array.from({ length: 1_500 }, (_, index) => `@user${index}:x`);
  const before: Batch[] = [];
  await using _following = follow({
    replicate: url,
    streams: ["caches"],
    onBatch: ({ texts: _, ...batch }) => void before.push(batch),
  });
  const own = await connect(t, database, url);
  const narrow = await connect(t, database, url, 16_383);
  const { port1, port2 } = new MessageChannel();
  await relay.serve(port1);
  const thread = await connect(t, database, port2);
  const readers = [own, narrow, thread];
  const seen = readers.map(({ slaved }) => {
    const batches: Batch[] = [];
    slaved.subscribe(cachesStream, (batch) => void batches.push(batch));
    return batches;
  });
  for (const { users } of readers) {
    for (const id of ids) await users.getUserById(id);
    await users.countUsers();
  }
  await until("all are heard", () => writer.stats.connections >= 4);
  const commit = await writer.transaction("all", async (txn) => {
    for (const id of ids) {
      await txn.db.insertInto("users").values({ id, name: "n", version: 1 })
        .execute();
      txn.invalidate("getUserById", [id]);
    }
    txn.invalidateAll("countUsers");
  });
  for (const { slaved, users } of readers) {
    await slaved.waitFor(commit);
    t.equal(slaved.caches().reduce((sum, { entries }) => sum + entries, 0), 0);
    t.equal(await users.countUsers(), ids.length);
    t.equal(slaved.stats.rows, own.slaved.stats.rows);
    t.equal(slaved.stats.invalidations, own.slaved.stats.invalidations);
  }
  await until("the follower is told", () => before.length > 0);
  t.equal(before.length, 1);
  t.equal(before[0]?.rows.length, ids.length + 1);
  for (const batches of seen) t.same(batches, before);
});

t.test("an INVALIDATE batch that is torn, or too large, moves nothing", async (t) => {
  const { database } = await open(t);
  const fake = await startFakeWriter(t);
  fake.answer = "POSITION caches master 1 1\n";
  const { slaved, users } = await connect(t, database, fake.url);
  await users.getUserById("bob");
  const entries = () =>
    slaved.caches().reduce((sum, cache) => sum + cache.entries, 0);
  fake.send('INVALIDATE master batch ["getUserById",1,["bob"]]\n');
  fake.send("POSITION caches master 1 1\nRDATA notes master 2 5\n");
  const told: unknown[] = [];
  slaved.subscribe(notes, ({ rows }) => void told.push(...rows));
  fake.send("POSITION notes master 1 2\n");
  await until("the note is told", () => told.length > 0);
  t.equal(entries(), 1, "what was torn is gone");
  fake.send('INVALIDATE master batch ["getUserById",1,["eve"]]\n');
  fake.send('INVALIDATE master 3 ["getUserById",1,["bob"]]\n');
  fake.send('RDATA caches master 3 ["countUsers",null,1]\n');
  fake.send("POSITION caches master 2 3\n");
  await until("it is at 3", () => slaved.position.get("master") === 3);
  t.equal(entries(), 0);
  t.equal(slaved.stats.invalidations, 2, "a stream is told once a token");
  const keys = JSON.stringify(Array(50_001).fill(1));
  for (let part = 0; part < 2; part += 1) {
    fake.send(`INVALIDATE master batch ["getUserById",1,${keys}]\n`);
  }
  await until(
    "it refuses",
    () => fake.received().includes("ERROR Cannot take in a transaction"),
  );
  t.equal(slaved.position.get("master"), 3);
});

t.test("a reader of short lines doesn't ask for any", async (t) => {
  const { database } = await open(t);
  const fake = await startFakeWriter(t);
  fake.answer = "POSITION caches master 1 1\n";
  await connect(t, database, fake.url, 16_384);
  t.match(fake.received(), /REPLICATE INVALIDATE LOG=\w+\n$/);
  await connect(t, database, fake.url, 16_383);
  t.match(fake.received(), /REPLICATE LOG=\w+\n$/);
});

// Sections 2.1 and 2.2 of the protocol: what a client sends, byte for byte, and
// what it does about the server's name.

import t from "tap";
import { SlavedStore, WriterStore } from "../../../mod.ts";
import { follow } from "../../../src/slaved/mod.ts";
import { until } from "../../support/conditions.ts";
import { type FakeWriter, startFakeWriter } from "../../support/fake_writer.ts";
import { temporaryDatabase } from "../../support/folders.ts";
import type { TestDatabase } from "../../support/stores.ts";

const onBatch = () => {};

/** Each connection's bytes, heartbeats' times and the log's identity left out. */
function sent(fake: FakeWriter): string {
  // The identity by its name: one in two hundred has thirteen digits in a row.
  return fake.received()
    .replaceAll(/LOG=[0-9a-f]{16}$/gm, "LOG=ID")
    .replaceAll(/ \d{13}$/gm, " MS");
}

t.test("2.2: a client sends NAME, PING and REPLICATE with its trailing space, and waits for nothing", async (t) => {
  const fake = await startFakeWriter(t);
  await using _following = follow({
    replicate: fake.url,
    name: "worker 1",
    onBatch,
  });
  await until("it has asked", () => fake.received().endsWith("REPLICATE \n"));
  t.equal(sent(fake), "NAME worker 1\nPING MS\nREPLICATE \n");
});

t.test("2.1: a server of another name is told Wrong remote, and tried again", async (t) => {
  const fake = await startFakeWriter(t);
  await using following = follow({
    replicate: fake.url,
    serverName: "example.org",
    minBackoffMs: 1,
    maxBackoffMs: 5,
    onBatch,
  });
  await until("it has tried again", () => following.connections > 2);
  t.match(
    sent(fake),
    /^NAME follower\nPING MS\nREPLICATE \nERROR Wrong remote\nNAME follower\n/,
  );
});

t.test("2.1: nor is a server listened to that is to have a name, and says something else first", async (t) => {
  for (
    const line of [
      'RDATA s w 2 "of nobody"',
      "POSITION s w 1 1",
      'INVALIDATE w 2 ["f",1,["k"]]',
      "REMOTE_SERVER_UP example.org",
      "X_ANY w * 1",
    ]
  ) {
    const fake = await startFakeWriter(t, "");
    const told: unknown[] = [];
    await using following = follow({
      replicate: fake.url,
      serverName: "example.org",
      minBackoffMs: 1,
      maxBackoffMs: 5,
      onBatch: (batch) => void told.push(batch),
      onPosition: (position) => void told.push(position),
    });
    await until("it has asked", () => fake.received().includes("REPLICATE"));
    fake.send(`PING 1\nERROR no\n${line}\n`);
    await until("it has tried again", () => following.connections > 1);
    t.match(sent(fake), /^NAME .*\nPING MS\nREPLICATE \nERROR Wrong remote\n/);
    t.same(told, [], line);
    await until(
      "it has asked",
      () => /REPLICATE[^]*REPLICATE/.test(sent(fake)),
    );
    fake.send("SERVER example.org\nPOSITION s w 1 1\nRDATA s w 2 1\n");
    await until("it is given", () => told.length === 2);
  }
});

t.test("presence of a slaved store on the wire", async (t) => {
  const database = temporaryDatabase(t);
  const writer = await WriterStore.open<TestDatabase>({ database });
  t.teardown(() => writer.close());
  const fake = await startFakeWriter(t);
  fake.answer = "POSITION caches master 0 0\n";
  const slaved = await SlavedStore.connect<TestDatabase>({
    database,
    replicate: fake.url,
    name: "w",
    minBackoffMs: 1,
    maxBackoffMs: 5,
  });
  t.teardown(() => slaved.close());
  const { instanceId, presence } = slaved;
  const lines = () => sent(fake).replaceAll(instanceId, "ID").split("\n");

  await t.test("USER_SYNC says start and end, once each", async (t) => {
    presence.start("@bob:x", "PHONE");
    presence.start("@bob:x", "PHONE");
    presence.start("@eve:x");
    presence.end("@eve:x");
    presence.end("@eve:x");
    await until("all is said", () => lines().length > 6);
    t.same(lines().slice(3, -1), [
      "USER_SYNC ID @bob:x PHONE start MS",
      "USER_SYNC ID @eve:x None start MS",
      "USER_SYNC ID @eve:x None end MS",
    ]);
  });

  await t.test("2.2: who is there is told again on each connection, before REPLICATE", async (t) => {
    const before = lines().length - 1;
    fake.cut();
    presence.start("@zoe:x");
    await until("it is back", () => {
      return fake.connections() === 2 &&
        /CATE INVALIDATE LOG=\w+\n$/.test(fake.received());
    });
    const again = lines().slice(before, -1);
    const start = again.indexOf("NAME w");
    t.same(again.slice(start), [
      "NAME w",
      "PING MS",
      "USER_SYNC ID @bob:x PHONE start MS",
      "USER_SYNC ID @zoe:x None start MS",
      "REPLICATE INVALIDATE LOG=ID",
    ]);
  });

  await t.test("CLEAR_USER_SYNC is said as it closes", async (t) => {
    await slaved.close();
    await until(
      "it is said",
      () => lines().at(-2) === "CLEAR_USER_SYNC ID",
    );
    t.equal(lines().at(-2), "CLEAR_USER_SYNC ID");
  });
});

t.test("a slaved store whose users nobody asked for says nothing of them", async (t) => {
  const database = temporaryDatabase(t);
  const writer = await WriterStore.open<TestDatabase>({ database });
  t.teardown(() => writer.close());
  const fake = await startFakeWriter(t);
  fake.answer = "POSITION caches master 0 0\n";
  const slaved = await SlavedStore.connect<TestDatabase>({
    database,
    replicate: fake.url,
  });
  await slaved.close();
  t.equal(sent(fake), "NAME slaved\nPING MS\nREPLICATE INVALIDATE LOG=ID\n");
});

t.test("ids that would fall apart on the wire are refused, and too many users", async (t) => {
  const database = temporaryDatabase(t);
  await using _writer = await WriterStore.open<TestDatabase>({ database });
  const fake = await startFakeWriter(t);
  fake.answer = "POSITION caches master 0 0\n";
  await using slaved = await SlavedStore.connect<TestDatabase>({
    database,
    replicate: fake.url,
    maxPresentUsers: 1,
  });
  for (const id of ["", "a b", "a\n"]) {
    t.throws(() => slaved.presence.start(id), { code: "LINE_INVALID" });
    t.throws(() => slaved.presence.start("a", id), { code: "LINE_INVALID" });
  }
  t.throws(() => slaved.presence.start("a", "None"), { code: "LINE_INVALID" });
  slaved.presence.start("a");
  t.throws(() => slaved.presence.start("b"), { code: "TOO_MANY_USERS" });
  slaved.presence.end("a");
  slaved.presence.start("b");
  t.equal(slaved.presence.size, 1);
});

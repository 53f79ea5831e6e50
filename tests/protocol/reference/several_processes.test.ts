// Acceptance cases of several writers and several workers, by number.

import t, { type Test } from "tap";
import { z } from "zod";
import {
  defineStream,
  SlavedStore,
  type SlavedStoreOptions,
  WriterStore,
  type WriterStoreOptions,
} from "../../../mod.ts";
import { openFaultProxy } from "../../../src/testing/mod.ts";
import { temporaryDatabase } from "../../support/folders.ts";
import {
  createUsers,
  saveUser,
  type TestDatabase,
  Users,
} from "../../support/stores.ts";

type Writer = WriterStore<TestDatabase>;

const events = defineStream("room_events", z.string());
const receipts = defineStream("receipts", z.string());
const streams = [events, receipts];

async function openWriter(
  t: Test,
  database: string,
  options: Partial<WriterStoreOptions> = {},
): Promise<Writer> {
  const writer = await WriterStore.open<TestDatabase>({
    database,
    listen: "tcp://127.0.0.1:0",
    streams,
    synchronous: "normal",
    ...options,
  });
  t.teardown(() => writer.close());
  return writer;
}

async function connect(
  t: Test,
  options: SlavedStoreOptions,
): Promise<SlavedStore<TestDatabase>> {
  const slaved = await SlavedStore.connect<TestDatabase>({
    streams,
    pollIntervalMs: 0,
    ...options,
  });
  t.teardown(() => slaved.close());
  return slaved;
}

t.test("A054, A055: what one worker has begun is finished on the same or on another", async (t) => {
  const database = temporaryDatabase(t);
  const writer = await openWriter(t, database, { http: "http://127.0.0.1:0" });
  await createUsers(writer);
  const named = z.object({ id: z.string() });
  writer.expose("begin", named, async (txn, { id }) => {
    await txn.db.insertInto("users").values({ id, name: "", version: 0 })
      .execute();
    txn.invalidate("getUserById", [id]);
    return {};
  });
  writer.expose("finish", named, async (txn, { id }) => {
    const done = { name: "registered", version: 1 };
    await txn.db.updateTable("users").set(done).where("id", "=", id)
      .where("version", "=", 0).execute();
    txn.invalidate("getUserById", [id]);
    return {};
  });
  const options = {
    database,
    replicate: String(writer.url),
    http: writer.httpUrl,
  };
  const first = await connect(t, options);
  const second = await connect(t, options);
  for (const [id, other] of [["a", first], ["b", second]] as const) {
    const users = other.attach(Users);
    t.equal(await users.getUserById(id), undefined);
    await first.call("begin", { id });
    await other.call("finish", { id });
    t.match(await users.getUserById(id), { name: "registered", version: 1 });
  }
});

t.test("A065: what either of two writers has written is there for every worker", async (t) => {
  const database = temporaryDatabase(t);
  const writers = [
    await openWriter(t, database, { instance: "worker1" }),
    await openWriter(t, database, { instance: "worker2" }),
  ] as const;
  await createUsers(writers[0]);
  const replicate = writers.map(({ url }) => String(url));
  const workers = [
    await connect(t, { database, replicate }),
    await connect(t, { database, replicate: [...replicate].reverse() }),
  ];
  const stores = workers.map((worker) => worker.attach(Users));
  for (let version = 1; version <= 3; version += 1) {
    for (const [index, writer] of writers.entries()) {
      const id = `room${index}`;
      const commit = await saveUser(writer, { id, name: "room", version });
      t.equal(commit.instance, `worker${index + 1}`);
      for (const worker of workers) await worker.waitFor(commit);
      for (const users of stores) {
        t.equal((await users.getUserById(id))?.version, version);
      }
    }
  }
});

t.test("A066, A067, A068: while one writer is stuck, the other's rows go on, and a position says so", async (t) => {
  const database = temporaryDatabase(t);
  const first = await openWriter(t, database, { instance: "worker1" });
  const stuck = await openWriter(t, database, { instance: "worker2" });
  const proxy = await openFaultProxy({ target: String(stuck.url) });
  t.teardown(() => proxy.close());
  const slaved = await connect(t, {
    database,
    replicate: [String(first.url), proxy.url],
  });
  const heard: string[] = [];
  for (const stream of streams) {
    slaved.subscribe(stream, ({ rows }) => void heard.push(...rows));
  }
  const write = (writer: Writer, row: string) =>
    writer.transaction("write", (txn) => {
      for (const stream of streams) txn.write(stream, `${stream.name} ${row}`);
      return Promise.resolve();
    });
  const rowsOf = (row: string) => streams.map(({ name }) => `${name} ${row}`);
  await slaved.waitFor(await write(first, "1"));
  await slaved.waitFor(await write(stuck, "2"));
  heard.length = 0;

  proxy.stall();
  const before = slaved.position;
  const late = await write(stuck, "late");
  const commit = await write(first, "in time");
  t.ok(commit.token > late.token);
  await slaved.waitFor(commit);
  t.same(heard.sort(), rowsOf("in time").sort());
  const token = slaved.currentToken();
  t.equal(slaved.position.get("worker1"), commit.token);
  t.equal(slaved.position.get("worker2"), before.get("worker2"), "it stays");
  t.match(await slaved.waitFor(token), { outcome: "reached" });
  await t.rejects(slaved.waitFor(late, { timeoutMs: 0 }), {
    code: "WAIT_TIMEOUT",
  });

  heard.length = 0;
  proxy.resume();
  await slaved.waitFor(late);
  t.same(heard.sort(), rowsOf("late").sort(), "since that token, this alone");
});

// Acceptance cases of caches that follow the stream, by number, and of a
// follower that answers a stream with a command.

import t, { type Test } from "tap";
import { z } from "zod";
import { defineStream, SlavedStore } from "../../../mod.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { until } from "../../support/conditions.ts";
import { startFakeWriter } from "../../support/fake_writer.ts";
import { temporaryDatabase } from "../../support/folders.ts";
import { saveUser, type TestDatabase, Users } from "../../support/stores.ts";
import { openUsers } from "../../support/users.ts";

const PIECE_BYTES = 30;

const ev = defineStream("ev", z.int());

async function openWriter(t: Test, database: string, listen?: string) {
  const streams = [ev];
  const writer = await openUsers(t, {
    database,
    listen,
    streams,
    synchronous: "normal",
  });
  return writer;
}

async function connect(t: Test, database: string, replicate: string) {
  const slaved = await SlavedStore.connect<TestDatabase>({
    database,
    replicate,
    streams: [ev],
    pollIntervalMs: 0,
  });
  t.teardown(() => slaved.close());
  return slaved;
}

t.test("A030, A033, A035, A036: trickled in pieces, a row never comes before what it invalidated", async (t) => {
  const database = temporaryDatabase(t);
  const writer = await openWriter(t, database);
  const fake = await startFakeWriter(t);
  const { token: first } = await saveUser(writer, {
    id: "bob",
    name: "Bob",
    version: 0,
  });
  fake.answer = `POSITION caches master ${first} ${first}\n`;
  const slaved = await connect(t, database, fake.url);
  const users = slaved.attach(Users);
  const read = async () => (await users.getUserById("bob"))?.version;
  const seen: unknown[] = [];
  slaved.subscribe(ev, async ({ rows: [row] }) => {
    seen.push([row, await read()]);
  });
  let before = first;
  let old = 0;
  for (let version = 1; version <= 5; version += 1) {
    t.equal(await read(), version - 1, "is cached");
    const user = { id: "bob", name: "Bob", version };
    const { token } = await saveUser(writer, user);
    const lines = `RDATA caches master batch ["getUserById",["al"],5]\n` +
      `RDATA caches master ${token} ["getUserById",["bob"],5]\n` +
      `RDATA ev master ${token} ${version}\n` +
      `POSITION ev master ${before} ${token}\n`;
    for (let at = 0; at < lines.length; at += PIECE_BYTES) {
      fake.send(lines.slice(at, at + PIECE_BYTES));
      await new Promise<void>((resolve) => systemClock.nextTurn(resolve));
      if (await read() === version - 1) old += 1;
    }
    await slaved.waitFor({ instance: "master", token });
    before = token;
  }
  t.same(seen, [[1, 1], [2, 2], [3, 3], [4, 4], [5, 5]]);
  t.ok(old > 0, "it was cached while the pieces came");
});

t.test("A040, A041: many keys in one transaction are invalidated here and on the worker", async (t) => {
  const database = temporaryDatabase(t);
  const writer = await openWriter(t, database, "tcp://127.0.0.1:0");
  const slaved = await connect(t, database, String(writer.url));
  const names = ["a", "b", "c", "d"];
  const sides = [writer.attach(Users), slaved.attach(Users)];
  const readAll = () =>
    Promise.all(
      sides.flatMap((side) => names.map((name) => side.findUsers(name, 1))),
    );
  t.same(await readAll(), Array(8).fill([]));
  const commit = await writer.transaction("bulk", async (txn) => {
    const users = names.map((name) => ({ id: name, name, version: 1 }));
    await txn.db.insertInto("users").values(users).execute();
    for (const name of names) txn.invalidate("findUsers", [name, 1]);
  });
  await slaved.waitFor(commit);
  const found = names.map((name) => [name]);
  t.same(await readAll(), [...found, ...found]);
  t.equal(slaved.stats.invalidations, names.length);
});

t.test("A056: a token of a stream leads to one FEDERATION_ACK", async (t) => {
  const database = temporaryDatabase(t);
  const writer = await openWriter(t, database, "tcp://127.0.0.1:0");
  const slaved = await connect(t, database, String(writer.url));
  const acks: unknown[] = [];
  writer.onCommand("FEDERATION_ACK", ({ instance, token }) => {
    acks.push([instance, token]);
  });
  slaved.subscribe(ev, ({ token }) => {
    slaved.send("FEDERATION_ACK", { instance: "sender", token });
  });
  const { token } = await writer.transaction("row", (txn) => {
    txn.write(ev, 1);
    return Promise.resolve();
  });
  await until("it is acknowledged", () => acks.length > 0);
  const quiet = await writer.transaction("nothing of it", (txn) => {
    txn.invalidateAll("countUsers");
    return Promise.resolve();
  });
  await slaved.waitFor(quiet);
  t.same(acks, [["sender", token]]);
});

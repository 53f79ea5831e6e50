// Promise 9: queues, line lengths, batches and caches have limits. A reader
// that can't keep up is disconnected and catches up from the log; it never
// makes the writer grow or wait.

import t from "tap";
import { TransactionRows } from "../../src/writer/transaction_rows.ts";
import { z } from "zod";
import { defineStream, WriterStore } from "../../mod.ts";
import { until } from "../support/conditions.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { netcat } from "../support/netcat.ts";
import { saveUser, type TestDatabase, Users } from "../support/stores.ts";
import { connectUsers, openUsers } from "../support/users.ts";

const notes = defineStream("notes", z.string());

t.test("a reader that does not read", async (t) => {
  const database = temporaryDatabase(t);
  const maxOutboxBytes = 256 * 1024;
  const writer = await openUsers(t, {
    database,
    listen: "tcp://127.0.0.1:0",
    streams: [notes],
    synchronous: "normal",
    maxOutboxBytes,
  });
  const stalled = await netcat(t, String(writer.url));
  await stalled.line("it is served", (line) => line.startsWith("SERVER"));
  const slaved = await connectUsers(t, writer, { database, streams: [notes] });
  const users = slaved.attach(Users);
  stalled.pause();

  let written = 0;
  const note = "n".repeat(10_000);
  while (writer.stats.laggards === 0) {
    const { token } = await writer.transaction("note", (txn) => {
      txn.write(notes, note);
      return Promise.resolve();
    });
    written += note.length;
    if (written > 1e9) t.fail("it was never disconnected");
    await slaved.waitFor({ instance: "master", token });
  }
  t.equal(writer.stats.connections, 1, "the other one is still there");
  t.equal(slaved.stats.connections, 1);
  const user = { id: "bob", name: "Bob", version: 1 };
  await slaved.waitFor(await saveUser(writer, user));
  t.same(await users.getUserById("bob"), user);

  stalled.resume();
  await until("it is closed", stalled.isClosed);
  // A connection that is cut off may lose its last line, never a part before.
  const last = stalled.lines().at(-1) as string;
  t.match(last, /^(ERROR Failed to keep up|RDATA notes|POSITION)/);
});

t.test("limits of one transaction", async (t) => {
  const writer = await WriterStore.open<TestDatabase>({
    database: "sqlite::memory:",
    streams: [notes],
    maxLineBytes: 1_000,
    maxRowsPerTransaction: 10,
  });
  t.teardown(() => writer.close());
  const write = (rows: readonly string[]) =>
    writer.transaction("note", (txn) => {
      for (const row of rows) txn.write(notes, row);
      return Promise.resolve();
    });
  const longest = 1_000 -
    `RDATA notes master ${Number.MAX_SAFE_INTEGER} ""`.length;
  await write(["n".repeat(longest)]);
  await t.rejects(write(["n".repeat(longest + 1)]), {
    code: "ROW_TOO_LONG",
    message: /stream "notes".* 1001 bytes, and maxLineBytes is 1000/,
  });
  // What isn't ASCII takes six bytes on the wire.
  await t.rejects(write(["é".repeat(200)]), { code: "ROW_TOO_LONG" });
  await write(Array(10).fill("n"));
  await t.rejects(write(Array(11).fill("n")), {
    code: "TRANSACTION_TOO_LARGE",
  });
  const { rows } = await writer.readRows(notes);
  t.equal(rows.length, 11, "what was refused left nothing");
  const invalidate = (keys: readonly string[]) =>
    writer.transaction("invalidate", (txn) => {
      for (const key of keys) txn.invalidate("user", [key]);
      return Promise.resolve();
    });
  // As long as its row is, which old readers are sent: the time has 13 digits.
  const longestKey = 1_000 -
    `RDATA caches master ${Number.MAX_SAFE_INTEGER} ["user",[""],1234567890123]`
      .length;
  await invalidate(["k".repeat(longestKey)]);
  await t.rejects(invalidate(["k".repeat(longestKey + 1)]), {
    code: "ROW_TOO_LONG",
    message: /stream "caches".* 1001 bytes, and maxLineBytes is 1000/,
  });
  await t.rejects(invalidate(["é".repeat(160)]), { code: "ROW_TOO_LONG" });
  await invalidate(Array(10).fill("k"));
  await t.rejects(invalidate(Array(11).fill("k")), {
    code: "TRANSACTION_TOO_LARGE",
  });
});

t.test("the bytes of a transaction are those of its rows", (t) => {
  const rowBytes = '["user",["k1"],1234567890123]'.length;
  const limits = {
    maxRows: 1_000,
    maxLineBytes: 1_000,
    maxBytes: 10 * rowBytes,
  };
  const invalidate = (rows: TransactionRows, count: number) => {
    for (let key = 0; key < count; key += 1) {
      rows.invalidate("user", [`k${key}`], 1234567890123);
    }
  };
  const rows = new TransactionRows("master", limits);
  invalidate(rows, 10);
  t.throws(() => invalidate(rows, 1), { code: "TRANSACTION_TOO_LARGE" });
  t.throws(() => rows.add("notes", "1"), { code: "TRANSACTION_TOO_LARGE" });
  t.same(rows.invalidations.map(({ keys }) => keys.length), [10]);
  const mixed = new TransactionRows("master", limits);
  invalidate(mixed, 9);
  mixed.add("notes", `"${"n".repeat(rowBytes - 2)}"`);
  t.throws(() => mixed.add("notes", "1"), { code: "TRANSACTION_TOO_LARGE" });
  t.throws(() => invalidate(mixed, 1), { code: "TRANSACTION_TOO_LARGE" });
  t.end();
});

t.test("limits of connections and queues", async (t) => {
  const writer = await WriterStore.open<TestDatabase>({
    database: "sqlite::memory:",
    listen: "tcp://127.0.0.1:0",
    maxConnections: 1,
    maxQueuedTransactions: 2,
  });
  t.teardown(() => writer.close());
  const first = await netcat(t, String(writer.url));
  await first.line("it is served", (line) => line.startsWith("SERVER"));
  const second = await netcat(t, String(writer.url));
  await second.line(
    "it is refused",
    (line) => line === "ERROR too many connections",
  );
  await until("it is closed", second.isClosed);
  t.notOk(first.isClosed());

  let release = () => {};
  const held = new Promise<void>((resolve) => release = resolve);
  const running = writer.transaction("held", () => held);
  const queued = [1, 2].map(() =>
    writer.transaction("queued", () => Promise.resolve())
  );
  await t.rejects(writer.transaction("one more", () => Promise.resolve()), {
    code: "DATABASE_BUSY",
    message: /"one more"/,
  });
  release();
  await Promise.all([running, ...queued]);
});

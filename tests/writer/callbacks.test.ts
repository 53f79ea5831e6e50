// Acceptance cases of transactions' callbacks, by number. Where Synapse's differ
// the test's name says how.

import t, { type Test } from "tap";
import { z } from "zod";
import {
  HeadwaterError,
  WriterStore,
  type WriterTransaction,
} from "../../mod.ts";
import { SharedRollbackError } from "../../src/database/commit_group.ts";
import { deferred } from "../../src/runtime/waiting.ts";
import { until } from "../support/conditions.ts";
import { temporaryDatabase } from "../support/folders.ts";
import type { TestDatabase } from "../support/stores.ts";
import { connectUsers, openUsers } from "../support/users.ts";

type Writer = WriterStore<TestDatabase>;

/** What a database says that has given a transaction up for others' sake. */
const givenUp = () => new SharedRollbackError(new Error("deadlock"));

async function openWriter(t: Test): Promise<Writer> {
  const writer = await openUsers(t, { database: "sqlite::memory:" });
  return writer;
}

/** Notes which callbacks are called. */
function note(txn: WriterTransaction<TestDatabase>, calls: string[]): void {
  txn.afterCommit(() => calls.push(`committed ${txn.attempt}`));
  txn.afterRollback(() => calls.push(`rolled back ${txn.attempt}`));
}

function insert(txn: WriterTransaction<TestDatabase>, id: string) {
  return txn.db.insertInto("users").values({ id, name: id, version: 1 })
    .execute();
}

t.test("A250: the callback of success is called once, after the one commit", async (t) => {
  const writer = await openWriter(t);
  const { commits, rollbacks } = writer.stats;
  const calls: string[] = [];
  const commit = await writer.transaction("good", async (txn) => {
    note(txn, calls);
    await insert(txn, "a");
    t.same(calls, [], "not before");
    return "result";
  });
  t.equal(commit.result, "result");
  t.same(calls, ["committed 1"]);
  t.match(writer.stats, { commits: commits + 1, rollbacks });
});

t.test("A251: the callback of failure is called once, and the error is passed on", async (t) => {
  const writer = await openWriter(t);
  const { commits, rollbacks } = writer.stats;
  const calls: string[] = [];
  const failing = writer.transaction("bad", async (txn) => {
    note(txn, calls);
    await insert(txn, "a");
    throw new RangeError("no");
  });
  await t.rejects(failing, { name: "RangeError", message: "no" });
  t.same(calls, ["rolled back 1"]);
  t.match(writer.stats, { commits, rollbacks: rollbacks + 1 });
});

t.test("what callbacks reject with is logged, as what they throw", async (t) => {
  const logged: unknown[] = [];
  const writer = await WriterStore.open<TestDatabase>({
    database: "sqlite::memory:",
    logger: (level, message, fields) => logged.push([level, message, fields]),
  });
  t.teardown(() => writer.close());
  await writer.transaction("good", (txn) => {
    txn.afterCommit(() => Promise.reject(new Error("late")));
    txn.afterCommit(() => {
      throw new Error("soon");
    });
    return Promise.resolve();
  });
  const failing = writer.transaction("bad", (txn) => {
    txn.afterRollback(() => Promise.reject(new Error("undone")));
    return Promise.reject(new RangeError("no"));
  });
  await t.rejects(failing, { name: "RangeError" });
  await until("all is logged", () => logged.length === 3);
  const told = (transaction: string, error: string) => [
    "error",
    "transaction callback failed",
    { transaction, error },
  ];
  t.same(logged, [
    told("good", "soon"),
    told("good", "late"),
    told("bad", "undone"),
  ]);
});

t.test("A252: what fails for ever is tried five times, and each is rolled back", async (t) => {
  const writer = await openWriter(t);
  const { commits, rollbacks } = writer.stats;
  const calls: string[] = [];
  const failing = writer.transaction("bad", async (txn) => {
    note(txn, calls);
    await insert(txn, "a");
    throw givenUp();
  });
  await t.rejects(failing, { code: "DATABASE_BUSY" });
  t.same(calls, [1, 2, 3, 4, 5].map((attempt) => `rolled back ${attempt}`));
  t.match(writer.stats, { commits, rollbacks: rollbacks + 5 });
});

t.test("A253 and rule 11: of two attempts, only the second's callback of success is called; Synapse calls both", async (t) => {
  const writer = await openWriter(t);
  const { commits, rollbacks } = writer.stats;
  const calls: string[] = [];
  const commit = await writer.transaction("again", async (txn) => {
    note(txn, calls);
    await insert(txn, "a");
    if (txn.attempt === 1) throw givenUp();
  });
  t.equal(commit.attempts, 2);
  t.same(calls, ["rolled back 1", "committed 2"]);
  t.match(writer.stats, { commits: commits + 1, rollbacks: rollbacks + 1 });
});

t.test("whose caller has left", async (t) => {
  const database = temporaryDatabase(t);
  const writer = await WriterStore.open<TestDatabase>({
    database,
    listen: "tcp://127.0.0.1:0",
    http: "http://127.0.0.1:0",
  });
  t.teardown(() => writer.close());
  const slaved = await connectUsers(t, writer, {
    database,
    http: writer.httpUrl,
  });
  const calls: string[] = [];
  let begun = deferred<void>();
  let held = deferred<void>();
  writer.expose("slow", z.object({ fails: z.boolean() }), async (txn, args) => {
    note(txn, calls);
    txn.invalidateAll("countUsers");
    begun.resolve();
    await held.promise;
    if (args.fails) throw new HeadwaterError("INVALID_ARGUMENT", "no");
    return {};
  });
  const leave = async (t: Test, fails: boolean, expected: string) => {
    begun = deferred();
    held = deferred();
    calls.length = 0;
    const leaving = new AbortController();
    const calling = slaved.call("slow", { fails }, { signal: leaving.signal });
    await begun.promise;
    leaving.abort(new Error("I leave"));
    await t.rejects(calling, { message: "I leave" });
    t.same(calls, []);
    held.resolve();
    await until("it has ended", () => calls.length > 0);
    t.same(calls, [expected]);
  };
  await t.test("A070, A254: it is not cancelled, and its callback of success is called", async (t) => {
    await leave(t, false, "committed 1");
  });
  await t.test("A255: its callback of failure is called", async (t) => {
    await leave(t, true, "rolled back 1");
  });
});

// Waiting for a write, however it is named, in the process that wrote and in others.

import t, { type Test } from "tap";
import { z } from "zod";
import {
  defineStream,
  SlavedStore,
  WaitTimeoutError,
  WriterStore,
} from "../../mod.ts";
import { openDatabase } from "../../src/database/open_database.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { until } from "../support/conditions.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { postgresDatabase } from "../support/postgres.ts";
import {
  createUsers,
  saveUser,
  type TestDatabase,
  Users,
} from "../support/stores.ts";
import { connectUsers, openUsers } from "../support/users.ts";

const orders = defineStream("orders", z.string());

for (
  const [engine, open] of [
    ["SQLite", (t: Test) => Promise.resolve(temporaryDatabase(t))],
    ["PostgreSQL", (t: Test) => postgresDatabase(t)],
  ] as const
) {
  t.test(`${engine}: a position's text, from process to process`, async (t) => {
    const database = await open(t);
    const options = { database, streams: [orders] };
    const writer = await openUsers(t, {
      ...options,
      listen: "tcp://127.0.0.1:0",
    });
    const slaved = await connectUsers(t, writer, { ...options });
    const users = slaved.attach(Users);
    await users.getUserById("a");
    await saveUser(writer, { id: "a", name: "A", version: 1 });
    const text = writer.currentToken();
    t.match(text, /^[A-Za-z0-9_-]{20,40}$/);
    const { outcome, position } = await slaved.waitFor(text);
    t.equal(outcome, "reached");
    t.equal(position.get("master"), writer.position.get("master"));
    t.match(await users.getUserById("a"), { version: 1 });
    t.equal(slaved.currentToken(), text);
    t.match(await writer.waitFor(slaved.currentToken()), {
      outcome: "reached",
    });

    const other = await WriterStore.open({ database: temporaryDatabase(t) });
    const foreign = other.currentToken();
    await other.close();
    for (const store of [slaved, writer]) {
      await t.rejects(store.waitFor(foreign), { code: "POSITION_FOREIGN" });
      await t.rejects(store.waitFor(text.slice(1)), {
        code: "POSITION_INVALID",
      });
      await t.rejects(store.waitFor(text, { streams: ["nobody's"] }), {
        code: "STREAM_UNKNOWN",
      });
    }
    const before = text;
    await writer.close();
    const again = await WriterStore.open<TestDatabase>(options);
    t.teardown(() => again.close());
    t.match(
      await again.waitFor(before),
      { outcome: "reached" },
      "the log is the same one after a restart",
    );
  });
}

t.test("a writer store answers for its own commits only", async (t) => {
  const writer = await WriterStore.open<TestDatabase>({
    database: temporaryDatabase(t),
  });
  await createUsers(writer);
  const commit = await saveUser(writer, { id: "a", name: "A", version: 1 });
  t.match(await writer.waitFor(commit), { outcome: "reached" });
  t.match(await writer.waitFor(new Map([["master", 1], ["other", 0]])), {
    outcome: "reached",
  });
  await t.rejects(writer.waitFor({ instance: "other", token: 1 }), {
    code: "INVALID_ARGUMENT",
    message:
      'Cannot wait for token 1 of instance "other": this writer store is "master" and is not told what others write; connect a SlavedStore',
  });
  await t.rejects(
    writer.waitFor({ instance: "master", token: commit.token + 1 }),
    { code: "LOG_REWOUND" },
  );
  await t.rejects(
    writer.waitFor(commit, { timeoutMs: -1 }),
    { code: "INVALID_ARGUMENT", message: /timeoutMs is -1; give a number/ },
  );
  await t.rejects(
    writer.waitFor(commit, { signal: AbortSignal.abort(new Error("enough")) }),
    { message: "enough" },
  );
  await writer.close();
  await t.rejects(writer.waitFor(commit), { code: "CLOSED" });
});

t.test("a wait that is to return says which it was", async (t) => {
  const database = temporaryDatabase(t);
  const writer = await openUsers(t, {
    database,
    streams: [orders],
    listen: "tcp://127.0.0.1:0",
  });
  const slaved = await connectUsers(t, writer, { database, streams: [orders] });
  const write = (row: string) =>
    writer.transaction("write", (txn) => {
      txn.write(orders, row);
      txn.invalidate("getUserById", [row]);
      return Promise.resolve();
    });

  await t.test("at its deadline", async (t) => {
    const far = { instance: "master", token: 99 };
    const late = await slaved.waitFor(far, {
      timeoutMs: 5,
      onTimeout: "return",
    });
    t.match(late, { outcome: "timeout" });
    t.same(late.position, slaved.position);
    await t.rejects(slaved.waitFor(far, { timeoutMs: 5 }), WaitTimeoutError);
    await t.rejects(
      slaved.waitFor(far, { onTimeout: "hope" as never }),
      { code: "INVALID_ARGUMENT", message: /onTimeout is hope/ },
    );
    for (const timeoutMs of [NaN, -1, "5" as never]) {
      await t.rejects(
        slaved.waitFor(far, { timeoutMs, onTimeout: "return" }),
        {
          code: "INVALID_ARGUMENT",
          message: /timeoutMs is (NaN|-1|"5"); give/,
        },
      );
    }
    t.match(
      await slaved.waitFor(await write("x"), {
        timeoutMs: Infinity,
        onTimeout: "return",
      }),
      { outcome: "reached" },
    );
    t.equal(slaved.stats.waiters, 0);
    const stop = new AbortController();
    const waiting = slaved.waitFor(far, { signal: stop.signal });
    t.equal(slaved.stats.waiters, 1);
    stop.abort(new Error("enough"));
    await t.rejects(waiting, { message: "enough" });
    t.equal(slaved.stats.waiters, 0);
  });

  await t.test("a handler that is called again holds up only who names its stream", async (t) => {
    let isFailing = true;
    const failures: number[] = [];
    const heard: string[] = [];
    slaved.subscribe(orders, ({ rows }) => {
      if (isFailing) throw new Error("not now");
      heard.push(...rows);
    }, {
      retry: { attempts: 1_000_000, minBackoffMs: 1, maxBackoffMs: 2 },
      onFailure: ({ attempt }) => void failures.push(attempt),
    });
    const users = slaved.attach(Users);
    const kept = users.getUserById("b");
    await kept;
    await write("a");
    const commit = await write("b");
    await slaved.waitFor(commit);
    t.not(users.getUserById("b"), kept, "invalidations have gone on");
    t.same(heard, []);
    t.ok(slaved.stats.queuedBatches >= 1);
    await slaved.waitFor(commit, { streams: ["caches", "events"] });
    const late = await slaved.waitFor(commit, {
      streams: [orders],
      timeoutMs: 5,
      onTimeout: "return",
    });
    t.equal(late.outcome, "timeout");
    await t.rejects(
      slaved.waitFor(commit, { streams: [orders], timeoutMs: 5 }),
      {
        code: "WAIT_TIMEOUT",
        message: /it is applied, and a handler of orders/,
      },
    );
    await until("it was called again", () => failures.length > 3);
    const waiting = slaved.waitFor(commit, { streams: [orders] });
    isFailing = false;
    t.match(await waiting, { outcome: "reached" });
    t.same(heard, ["a", "b"]);
    t.equal(slaved.stats.queuedBatches, 0);
  });

  await t.test("closing ends it", async (t) => {
    slaved.subscribe(orders, () => {
      throw new Error("never");
    }, { retry: { minBackoffMs: 60_000 } });
    const commit = await write("c");
    await slaved.waitFor(commit);
    const waiting = slaved.waitFor(commit, { streams: [orders] });
    await Promise.all([
      slaved.close(),
      t.rejects(waiting, { code: "CLOSED" }),
    ]);
  });
});

t.test("what is seen from outside", async (t) => {
  const database = temporaryDatabase(t);
  const writer = await openUsers(t, {
    database,
    listen: "tcp://127.0.0.1:0",
  });
  const slaved = await connectUsers(t, writer, { database });
  let release = () => {};
  const held = new Promise<void>((resolve) => release = resolve);
  slaved.subscribe("caches", () => held);
  const commit = await saveUser(writer, { id: "a", name: "A", version: 1 });
  await until("it is behind", () => slaved.stats.lag[0]?.tokens === 1);
  const [behind] = slaved.stats.lag;
  t.match(behind, { instance: "master", announced: commit.token });
  await until("for a while", () => (slaved.stats.lag[0]?.seconds ?? 0) > 0);
  release();
  await slaved.waitFor(commit);
  t.match(slaved.stats.lag, [{ tokens: 0, seconds: 0 }]);
  t.equal(slaved.stats.rowsByStream.get("caches"), 3);
  t.same(slaved.stats.catchingUp, []);
});

t.test("a log of an older release gets its identity from the first writer of this one", async (t) => {
  const database = temporaryDatabase(t);
  const options = { database, listen: "tcp://127.0.0.1:0" };
  let writer = await WriterStore.open<TestDatabase>(options);
  t.teardown(() => writer.close());
  await createUsers(writer);
  const engine = openDatabase(database, systemClock, {});
  await engine.transaction("undo", async (session) => {
    await session.run("DROP TABLE headwater_meta", []);
    await session.run("DROP TABLE headwater_calls", []);
    await session.run("DROP TABLE headwater_time_ranges", []);
    const added = ["build", "rate", "rebuild_version"];
    for (const name of [...added, "rebuild_done", "rebuild_rate"]) {
      await session.run(
        `ALTER TABLE headwater_projections DROP COLUMN ${name}`,
        [],
      );
    }
    await session.run("DELETE FROM headwater_migrations WHERE version > 3", []);
  });
  await engine.close();
  const slaved = await SlavedStore.connect<TestDatabase>({
    database,
    replicate: writer.url as string,
  });
  t.throws(() => slaved.currentToken(), {
    code: "DATABASE_INVALID",
    message:
      /^Cannot give a position as text: the log's tables are of an older/,
  });
  await slaved.close();
  await writer.close();
  writer = await WriterStore.open<TestDatabase>(options);
  const again = await SlavedStore.connect<TestDatabase>({
    database,
    replicate: writer.url as string,
  });
  t.equal(again.currentToken(), writer.currentToken());
  await again.close();
});

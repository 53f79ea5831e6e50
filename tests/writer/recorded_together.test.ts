// PostgreSQL: transactions that run no statement of their own are recorded
// together, while those before them are on their way.

import postgres from "postgres";
import { sql } from "kysely";
import t, { type Test } from "tap";
import { WriterStore } from "../../mod.ts";
import {
  MAX_RECORDED_TOGETHER,
  MAX_WRITE_CONNECTIONS,
} from "../../src/runtime/limits.ts";
import { deferred } from "../../src/runtime/waiting.ts";
import { until } from "../support/conditions.ts";
import type { AppendOptions } from "../../src/writer/event_appender.ts";
import type { TransactionRunOptions } from "../../src/writer/transaction_runner.ts";
import { startCuttingProxy } from "../support/cutting_proxy.ts";
import { postgresDatabase, sharedPostgres } from "../support/postgres.ts";

type Writer = WriterStore<Record<string, never>>;
type Outside = ReturnType<typeof postgres>;

const event = { type: "happened" };

async function open(
  t: Test,
  database: string,
  instance = "one",
  queueTimeoutMs?: number,
) {
  const writer = await WriterStore.open<Record<string, never>>({
    database,
    instance,
    queueTimeoutMs,
  });
  t.teardown(() => writer.close());
  return writer;
}

async function setUp(t: Test, queueTimeoutMs?: number) {
  const database = await postgresDatabase(t);
  const outside = postgres(database, { max: 2, onnotice: () => {} });
  t.teardown(() => outside.end());
  const writer = await open(t, database, "one", queueTimeoutMs);
  const { size } = await connectAll(writer);
  t.equal(size, MAX_WRITE_CONNECTIONS);
  return { database, outside, writer };
}

/** Has a writer make all its connections, so that none is waited for later. */
async function connectAll(writer: Writer): Promise<Set<unknown>> {
  const backends = new Set<unknown>();
  const all = deferred<void>();
  await Promise.all(
    Array.from(
      { length: MAX_WRITE_CONNECTIONS },
      () =>
        writer.transaction("connect", async ({ db }) => {
          const { rows } = await sql<
            { pid: number }
          >`SELECT pg_backend_pid() AS pid`
            .execute(db);
          backends.add(rows[0]?.pid);
          if (backends.size === MAX_WRITE_CONNECTIONS) {
            all.resolve();
          }
          await all.promise;
        }),
    ),
  );
  return backends;
}

/** How many of the server's transactions wrote the log's newest tokens. */
async function countWrites(outside: Outside, since: number): Promise<number> {
  const [row] = await outside.unsafe(
    "SELECT count(DISTINCT xmin::text) AS n FROM headwater_log " +
      "WHERE token > $1 AND instance = 'one'",
    [since],
  );
  return Number(row?.["n"]);
}

async function versionsOf(writer: Writer, aggregate: string) {
  const found: number[] = [];
  for await (const { version } of writer.readAggregate(aggregate)) {
    found.push(version);
  }
  return found;
}

const append = (writer: Writer, aggregate: string) =>
  writer.transaction("append", (txn) => txn.append(aggregate, [event]));

/** An append, and when its function is done. */
function appendLater(
  writer: Writer,
  aggregate: string,
  { expectedVersion, ...options }: AppendOptions & TransactionRunOptions = {},
) {
  const ran = deferred<void>();
  const committed = writer.transaction("append", async (txn) => {
    const version = await txn.append(aggregate, [event], { expectedVersion });
    // What follows takes no turn of the event loop.
    setImmediate(ran.resolve);
    return version;
  }, options);
  // It may be refused before anybody awaits it.
  committed.catch(() => {});
  return { ran: ran.promise, committed };
}

const numbers = (count: number) =>
  Array.from({ length: count }, (_, index) => index + 1);

/**
 * Holds up the next append to an aggregate, which is at the version before it:
 * another's is there, and not committed yet.
 *
 * @returns Commits that one, once somebody waits for it, others are behind, and
 *   something was done meanwhile.
 */
async function holdUp(outside: Outside, aggregate: string, version: number) {
  const [held, over] = [deferred<void>(), deferred<void>()];
  const done = outside.begin(async (sql) => {
    await sql.unsafe(
      `WITH taken AS (SELECT nextval('headwater_tokens') AS token),
      record AS (INSERT INTO headwater_log (token, stream, instance, commit_id,
          committed_ms, row_count, body)
        SELECT token, 'events', 'outside', 'x', 0, 1, $1 FROM taken)
      INSERT INTO headwater_appends SELECT $2, $3, $3, token, 0 FROM taken`,
      [
        JSON.stringify([aggregate, version, "other", "x", null, null]),
        aggregate,
        version,
      ],
    );
    held.resolve();
    await over.promise;
  });
  await held.promise;
  return async (
    others: readonly Promise<unknown>[],
    meanwhile: () => Promise<unknown> = () => Promise.resolve(),
  ) => {
    await Promise.all(others);
    await until("an append waits", async () => {
      const rows = await outside.unsafe(
        "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'transactionid' " +
          "AND datname = current_database()",
      );
      return rows.length > 0;
    });
    await meanwhile();
    over.resolve();
    await done;
  };
}

t.test("those that come meanwhile go together", async (t) => {
  const { writer, outside } = await setUp(t);
  const count = 2 * MAX_RECORDED_TOGETHER + 10;
  const { token: since } = await append(writer, "first");
  const commits = await Promise.all(
    numbers(count).map((id) =>
      writer.transaction("write", async (txn) => {
        txn.invalidate("get_user_by_id", [id]);
        if (id % 2 === 0) return 0;
        return await txn.append("first", [event, event]);
      })
    ),
  );
  const tokens = commits.map(({ token }) => token);
  t.equal(new Set(tokens).size, count, "each has a token of its own");
  t.ok(tokens.every((token) => token > since));
  t.equal(writer.position.get("one"), Math.max(...tokens));
  // One by itself, two groups, and the rest.
  t.equal(await countWrites(outside, since), 4);
  t.same(
    commits.map(({ result }) => result),
    numbers(count).map((id) => id % 2 === 0 ? 0 : id + 2),
  );
  t.same(await versionsOf(writer, "first"), numbers(count + 1));
  const [ids] = await outside.unsafe(
    "SELECT count(DISTINCT commit_id) AS n FROM headwater_log",
  );
  t.equal(Number(ids?.["n"]), count + 1, "and a commit id");
  t.equal(writer.stats.retries, 0);
});

t.test("what is large goes by itself", async (t) => {
  const { writer, outside } = await setUp(t);
  const { token: since } = await append(writer, "first");
  const note = "x".repeat(600_000);
  await Promise.all(
    numbers(4).map((id) =>
      writer.transaction(
        "write",
        (txn) => txn.append(`a:${id}`, [{ type: "noted", data: { note } }]),
      )
    ),
  );
  t.equal(await countWrites(outside, since), 4);
});

t.test("many append to one aggregate, and none is in another's way", async (t) => {
  const { writer } = await setUp(t);
  const first = await append(writer, "a");
  const commits = [
    first,
    ...await Promise.all(numbers(299).map(() => append(writer, "a"))),
  ];
  t.same(await versionsOf(writer, "a"), numbers(300));
  t.equal(writer.stats.retries, 0);
  const byVersion = commits.toSorted((a, b) => a.result - b.result);
  t.same(byVersion.map(({ result }) => result), numbers(300));
  t.ok(
    byVersion.every(({ token }, index) =>
      index === 0 || token > (byVersion[index - 1]?.token ?? 0)
    ),
    "tokens are in the order of versions",
  );
});

t.test("one that comes too late runs again, and nobody with it", async (t) => {
  const { database, writer } = await setUp(t);
  const other = await open(t, database, "two");
  const names = numbers(20).map((id) => `a:${id}`);
  for (const name of names) await append(writer, name);
  await append(other, "a:2");
  // The second is the first of those that meet. Two go on from it, and are late with it.
  const all = [...names, "a:2", "a:2"];
  const commits = await Promise.all(all.map((name) => append(writer, name)));
  t.same(
    commits.flatMap(({ attempts }, index) => attempts > 1 ? all[index] : []),
    ["a:2", "a:2", "a:2"],
  );
  t.same(await versionsOf(writer, "a:2"), numbers(5));
  t.same(await versionsOf(writer, "a:6"), numbers(2));
});

t.test("whoever goes on from one that is refused is not recorded", async (t) => {
  const { writer, outside } = await setUp(t);
  await append(writer, "a");
  const release = await holdUp(outside, "a", 2);
  const refused = append(writer, "a");
  const others = ["a", "b"].map((name) => appendLater(writer, name));
  await release(others.map(({ ran }) => ran));
  const commits = await Promise.all([
    refused,
    ...others.map(({ committed }) => committed),
  ]);
  t.same(commits.map(({ attempts }) => attempts > 1), [true, true, false]);
  t.same(await versionsOf(writer, "a"), numbers(4));
});

t.test("should the server refuse some together, each runs by itself", async (t) => {
  const { writer, outside } = await setUp(t);
  for (const name of ["a", "b", "c"]) await append(writer, name);
  const release = await holdUp(outside, "b", 2);
  // The first is on its way while the others meet.
  const alone = append(writer, "a");
  const together = ["b", "c"].map((name) => append(writer, name));
  await alone;
  await release([]);
  const commits = await Promise.all(together);
  t.same(commits.map(({ attempts }) => attempts), [2, 2]);
  t.same(await versionsOf(writer, "b"), numbers(3));
  t.same(await versionsOf(writer, "c"), numbers(2));
});

t.test("what the server refuses fails by itself", async (t) => {
  const { writer, outside } = await setUp(t);
  await outside.unsafe(
    "ALTER TABLE headwater_log ADD CONSTRAINT short CHECK (length(body) < 100)",
  );
  const write = (id: number) =>
    writer.transaction("write", (txn) => {
      txn.invalidate("get_user_by_id", [
        `${id}`.repeat(id % 10 === 5 ? 90 : 1),
      ]);
      return Promise.resolve();
    }, { maxAttempts: 2 });
  const results = await Promise.allSettled(numbers(50).map(write));
  for (const [index, result] of results.entries()) {
    t.match(
      result,
      index % 10 === 4
        ? { status: "rejected", reason: /violates check constraint "short"/ }
        : { status: "fulfilled" },
    );
  }
});

t.test("who expects what another is about to change is told", async (t) => {
  const { writer, outside } = await setUp(t);
  for (const name of ["a", "b", "c"]) await append(writer, name);
  const release = await holdUp(outside, "c", 2);
  const expected = { expectedVersion: 1, maxAttempts: 50 };
  const impatient = { expectedVersion: 1, maxAttempts: 1 };
  const others = [
    appendLater(writer, "c"),
    appendLater(writer, "a", expected),
    appendLater(writer, "a", expected),
    appendLater(writer, "b"),
    appendLater(writer, "a", impatient),
  ];
  await release(others.map(({ ran }) => ran));
  const results = await Promise.allSettled(
    others.map(({ committed }) => committed),
  );
  t.match(results, [
    { value: { attempts: 2, result: 3 } },
    { value: { attempts: 1, result: 2 } },
    { reason: { code: "VERSION_CONFLICT" } },
    { value: { attempts: 1, result: 2 } },
    {
      reason: {
        code: "DATABASE_BUSY",
        message: 'Cannot run "append": others were in its way 1 time ' +
          '(another append to "a" was quicker); try again, raise maxAttempts, ' +
          "or have it touch less",
      },
    },
  ]);
});

t.test("who may not fail for others goes by itself", async (t) => {
  const { writer, outside } = await setUp(t);
  let since = 0;
  for (const name of ["a", "c", "d"]) {
    since = (await append(writer, name)).token;
  }
  const release = await holdUp(outside, "d", 2);
  const held = appendLater(writer, "d");
  await held.ran;
  const before = appendLater(writer, "a");
  await before.ran;
  const alone = writer.transaction("invalidate", (txn) => {
    txn.invalidate("get_user_by_id", [1]);
    return Promise.resolve();
  }, { maxAttempts: 1 });
  const after = appendLater(writer, "c");
  await release([after.ran]);
  await Promise.all([held.committed, before.committed, alone, after.committed]);
  t.equal(await countWrites(outside, since), 4);
});

t.test("those that the server holds up hold others up for a while", async (t) => {
  const { writer, outside } = await setUp(t, 1_000);
  for (const name of ["a", "b", "c"]) await append(writer, name);
  const release = await holdUp(outside, "c", 2);
  const held = appendLater(writer, "c");
  await held.ran;
  const first = appendLater(writer, "a");
  await first.ran;
  const second = appendLater(writer, "b");
  await second.ran;
  await t.rejects(first.committed, {
    code: "DATABASE_BUSY",
    message: /^Cannot record the transaction: waited 1000 ms for those before/,
  });
  // Its turn was the first one's.
  await release([]);
  t.match(await second.committed, { result: 2, attempts: 2 });
  t.match(await held.committed, { result: 3, attempts: 2 });
  t.match(await append(writer, "a"), { result: 2, attempts: 1 });
});

t.test("a connection that ends amid a transaction of one statement", async (t) => {
  const { writer, outside } = await setUp(t);
  await append(writer, "a");
  const release = await holdUp(outside, "a", 2);
  const held = appendLater(writer, "a");
  await release([], async () => {
    const ended = await outside.unsafe(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity " +
        "WHERE wait_event = 'transactionid' AND datname = current_database()",
    );
    t.equal(ended.length, 1);
  });
  t.match(await held.committed, { result: 3 });
  t.same(await versionsOf(writer, "a"), numbers(3));
});

t.test("of one that goes on itself, nobody goes on from the middle", async (t) => {
  const { writer } = await setUp(t);
  await append(writer, "a");
  const twice = writer.transaction("twice", async (txn) => {
    await txn.append("a", [event]);
    return await txn.append("a", [event]);
  });
  const versions: number[] = [];
  const between = writer.transaction("between", async (txn) => {
    const version = await txn.append("a", [event]);
    versions.push(version);
    // The other one is on its way by then.
    await new Promise((resolve) => setImmediate(resolve));
    return version;
  });
  t.equal((await twice).result, 3);
  t.equal((await between).result, 4);
  t.same(versions, [3, 4], "it had gone on from the first of two");
  t.same(await versionsOf(writer, "a"), numbers(4));
});

t.test("what fails for another that fails runs again", async (t) => {
  const { writer, outside } = await setUp(t);
  const full = new Error("full");
  const append = (name: string, isRefused: boolean) => {
    const seen: number[] = [];
    const ended = writer.transaction("append", async (txn) => {
      const version = await txn.append(name, [event]);
      seen.push(version);
      if (version > 2) throw full;
      if (isRefused) {
        await new Promise((resolve) => setImmediate(resolve));
        throw new Error("boom");
      }
      return version;
    });
    return { seen, ended };
  };
  for (const name of ["a", "b"]) await append(name, false).ended;
  // The second goes on from the first, which will not have been.
  const refused = append("a", true);
  const second = append("a", false);
  await t.rejects(refused.ended, { message: "boom" });
  t.equal((await second.ended).result, 2);
  t.same(second.seen, [3, 2]);
  // Nor is it told before that what it has seen is committed.
  const release = await holdUp(outside, "c", 1);
  const held = appendLater(writer, "c");
  await held.ran;
  const first = append("b", false);
  const third = append("b", false);
  let isTold = false;
  third.ended.catch(() => isTold = true);
  for (let turn = 0; turn < 10; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.same(third.seen, [3]);
  t.equal(isTold, false);
  await release([]);
  await t.rejects(third.ended, full);
  t.equal((await first.ended).result, 2);
  t.same(third.seen, [3], "once is enough");
  await held.committed;
});

t.test("what isn't closed yet isn't closed", async (t) => {
  const { writer } = await setUp(t);
  await append(writer, "a");
  const closing = writer.transaction("close", async (txn) => {
    await txn.closeAggregate("a");
    await new Promise((resolve) => setImmediate(resolve));
    throw new Error("boom");
  });
  const after = append(writer, "a");
  await t.rejects(closing, { message: "boom" });
  t.equal((await after).result, 2);
  const closed = writer.transaction("close", (txn) => txn.closeAggregate("a"));
  await t.rejects(append(writer, "a"), { code: "AGGREGATE_CLOSED" });
  await closed;
});

t.test("of one that fails, those after it hear", async (t) => {
  const { writer } = await setUp(t);
  await append(writer, "a");
  const boom = new Error("boom");
  const results = await Promise.allSettled(
    numbers(40).map((id) =>
      writer.transaction("append", async (txn) => {
        await txn.append("a", [event]);
        if (id % 10 === 3) throw boom;
      })
    ),
  );
  t.equal(
    results.filter((result) =>
      result.status === "rejected" && result.reason === boom
    ).length,
    4,
  );
  t.equal(results.filter(({ status }) => status === "fulfilled").length, 36);
  t.same(await versionsOf(writer, "a"), numbers(37));
});

t.test("an answer that is lost is found out about for each", async (t) => {
  const { port } = await sharedPostgres();
  const proxy = await startCuttingProxy(t, port);
  const url = new URL(await postgresDatabase(t));
  url.port = `${proxy.port}`;
  const writer = await open(t, url.href);
  await append(writer, "a:1");
  proxy.resetAt = "INSERT";
  const commits = await Promise.all(
    numbers(30).map((id) => append(writer, `b:${id}`)),
  );
  t.equal(proxy.lost(), 1, "the first one's");
  await connectAll(writer);
  proxy.resetAt = "SELECT 29";
  commits.push(
    ...await Promise.all(numbers(30).map((id) => append(writer, `b:${id}`))),
  );
  t.equal(proxy.lost(), 2, "and those of a group");
  t.ok(commits.every(({ attempts }) => attempts === 1));
  t.equal(new Set(commits.map(({ token }) => token)).size, 60);
  for (const id of numbers(30)) {
    t.same(await versionsOf(writer, `b:${id}`), [1, 2]);
  }
});

t.test("nothing is recorded without the lease", async (t) => {
  const { writer, outside } = await setUp(t);
  const { token } = await append(writer, "a");
  await outside.unsafe("UPDATE headwater_instances SET fence = fence + 1");
  const results = await Promise.allSettled(
    numbers(10).map((id) => append(writer, `b:${id}`)),
  );
  for (const result of results) {
    t.match(result, { status: "rejected", reason: { code: "LEASE_LOST" } });
  }
  t.equal(await countWrites(outside, token), 0);
});

t.test("what nobody awaited comes too late", async (t) => {
  const { writer } = await setUp(t);
  let late: Promise<unknown> = Promise.resolve();
  const first = append(writer, "a");
  const commit = await writer.transaction("stray", (txn) => {
    txn.invalidate("get_user_by_id", [1]);
    late = Promise.resolve().then(() => new Promise(setImmediate)).then(() =>
      txn.db.introspection.getTables()
    );
    late.catch(() => {});
    return Promise.resolve();
  });
  await first;
  t.ok(commit.token > 0);
  await t.rejects(late, { code: "TRANSACTION_ENDED" });
});

t.test("each is of read committed, whatever else is the default", async (t) => {
  const database = await postgresDatabase(t);
  const outside = postgres(database, { max: 1, onnotice: () => {} });
  t.teardown(() => outside.end());
  const name = new URL(database).pathname.slice(1);
  await (await open(t, database)).close();
  await outside.unsafe(`CREATE TABLE seen (mode text);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO seen VALUES (current_setting('transaction_isolation'));
    RETURN NEW; END $$;
    CREATE TRIGGER note BEFORE INSERT ON headwater_log
    FOR EACH ROW EXECUTE FUNCTION note()`);
  const seen = async () =>
    (await outside.unsafe("DELETE FROM seen RETURNING mode"))
      .map(({ mode }) => mode);
  for (const isolation of ["read committed", "serializable"]) {
    await outside.unsafe(
      `ALTER DATABASE "${name}" SET default_transaction_isolation = '${isolation}'`,
    );
    const writer = await WriterStore.open<Record<string, never>>({
      database,
      maxWriteConnections: 1,
    });
    await append(writer, "a");
    t.same(await seen(), ["read committed"]);
    await writer.transaction("set", async ({ db }) => {
      await sql`SET default_transaction_isolation = 'repeatable read'`
        .execute(db);
    });
    await append(writer, "a");
    t.same(await seen(), ["read committed"]);
    await writer.close();
  }
});

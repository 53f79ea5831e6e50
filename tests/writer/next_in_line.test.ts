// PostgreSQL: where transactions wait for a connection, the next one begins
// with the commit of the one before it.

import { Buffer } from "node:buffer";
import postgres from "postgres";
import t, { type Test } from "tap";
import { sql } from "kysely";
import type { WriterStoreOptions } from "../../mod.ts";
import type { Isolation } from "../../src/database/engine.ts";
import { until } from "../support/conditions.ts";
import { startCuttingProxy } from "../support/cutting_proxy.ts";
import { postgresDatabase, sharedPostgres } from "../support/postgres.ts";
import { openUsers } from "../support/users.ts";

const MODES: readonly Isolation[] = [
  "read committed",
  "read committed",
  "serializable",
  "read committed",
  "repeatable read",
];

const user = (id: string) => ({ id, name: id, version: 1 });

async function open(t: Test, options: Partial<WriterStoreOptions>) {
  const database = await postgresDatabase(t);
  const outside = postgres(database, { max: 2, onnotice: () => {} });
  t.teardown(() => outside.end());
  const writer = await openUsers(t, { database, ...options });
  /** What the writer's connections do, and did last, but for those that only read. */
  const states = async () => {
    const rows = await outside.unsafe(
      `SELECT state, query FROM pg_stat_activity WHERE datname = current_database()
      AND application_name NOT IN ('headwater reads', 'postgres.js')`,
    );
    return rows.map(({ state, query }) => ({ state, query }));
  };
  return { writer, outside, states };
}

t.test("each has its own mode, and sees nothing of those before it", async (t) => {
  const { writer, outside, states } = await open(t, {
    maxWriteConnections: 2,
    maxAttempts: 100,
  });
  const failure = new Error("not this one");
  const wrong: unknown[] = [];
  let thrown = 0;
  const write = async (number: number) => {
    const isolation = MODES[number % MODES.length] as Isolation;
    const isRefused = number % 7 === 3;
    try {
      await writer.transaction("write", async (txn) => {
        const shown = await sql<{ transaction_isolation: string }>`
          SHOW transaction_isolation`.execute(txn.db);
        const mode = shown.rows[0]?.transaction_isolation;
        if (mode !== isolation) wrong.push([isolation, mode]);
        const xid = await sql<{ none: boolean }>`
          SELECT pg_current_xact_id_if_assigned() IS NULL AS none`
          .execute(txn.db);
        if (xid.rows[0]?.none !== true) wrong.push("something is written");
        await txn.db.insertInto("users")
          .values(user(`user${number}`)).execute();
        // All at once: some are refused by the log's own statement, and run again.
        await txn.append("all", [{ type: "written", data: { number } }]);
        if (isRefused) throw failure;
      }, { isolation });
    } catch (error) {
      if (error !== failure) throw error;
      thrown += 1;
    }
  };
  await Promise.all(Array.from({ length: 70 }, (_, number) => write(number)));
  t.same(wrong, []);
  t.equal(thrown, 10);
  const users = await outside.unsafe("SELECT id FROM users");
  t.equal(users.length, 60);
  const numbers = new Set<unknown>();
  for await (const { data } of writer.readAggregate("all")) {
    numbers.add((data as { number: number }).number);
  }
  t.equal(numbers.size, 60);
  t.ok(writer.stats.retries > 0, `${writer.stats.retries} were run again`);
  await until(
    "none is in a transaction",
    async () => (await states()).every(({ state }) => state === "idle"),
  );
});

t.test("a transaction that nobody came for is taken back", async (t) => {
  const { writer, outside, states } = await open(t, {
    maxWriteConnections: 1,
    queueTimeoutMs: 500,
    // Renewals would take it.
    leaseMs: 3_600_000,
  });
  await writer.transaction("hold", async ({ db }) => {
    await sql`CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NULL; END $$`.execute(db);
    await sql`CREATE CONSTRAINT TRIGGER hold AFTER INSERT ON users
      DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hold()`
      .execute(db);
  });
  const holder = await outside.reserve();
  await holder.unsafe("SELECT pg_advisory_lock(42)");
  const first = writer.transaction("first", async ({ db }) => {
    await db.insertInto("users").values(user("a")).execute();
  });
  const second = writer.transaction("second", () => Promise.resolve());
  // It waits in its COMMIT, with which the next transaction is to begin.
  await t.rejects(second, { code: "DATABASE_BUSY" });
  t.match(await states(), [{ state: "active", query: /^COMMIT; BEGIN / }]);
  await holder.unsafe("SELECT pg_advisory_unlock(42)");
  holder.release();
  await first;
  await until(
    "it is idle",
    async () => (await states())[0]?.state === "idle",
  );
  t.match(await states(), [{ query: "ROLLBACK" }]);
  await writer.transaction("third", async ({ db }) => {
    await db.deleteFrom("users").execute();
  });
});

t.test("an error of the next one's BEGIN is not taken for the COMMIT's", async (t) => {
  const { port } = await sharedPostgres();
  const proxy = await startCuttingProxy(t, port);
  const url = new URL(await postgresDatabase(t));
  url.port = `${proxy.port}`;
  const writer = await openUsers(t, {
    database: url.href,
    maxWriteConnections: 1,
  });
  let changed = 0;
  proxy.change = (answer) => {
    const begun = answer.indexOf(BEGUN);
    if (changed > 0 || begun < 0 || !answer.includes(COMMITTED)) return answer;
    changed += 1;
    return Buffer.concat([answer.subarray(0, begun), CANCELLED, READY]);
  };
  const add = (id: string) =>
    writer.transaction("add", async ({ db }) => {
      await db.insertInto("users").values(user(id)).execute();
    });
  const commits = await Promise.all(["a", "b", "c"].map(add));
  t.equal(changed, 1);
  t.same(
    commits.map(({ attempts }) => attempts),
    [1, 1, 1],
    "none was run twice",
  );
  t.equal(writer.position.get("master"), commits[2]?.token);
});

/** A message of the server's: its kind, its length, its body. */
function message(kind: string, body: string): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length + 4);
  return Buffer.concat([Buffer.from(kind), length, Buffer.from(body)]);
}

const COMMITTED = message("C", "COMMIT\0");
const BEGUN = message("C", "BEGIN\0");
const READY = message("Z", "I");
const CANCELLED = message(
  "E",
  "SERROR\0VERROR\0C57014\0Mcanceling statement due to user request\0\0",
);

// What was missed arrives: in order, whole, once, on either engine.

import t, { type Test } from "tap";
import { z } from "zod";
import { defineStream, SlavedStore } from "../../mod.ts";
import { openForReading } from "../../src/database/open_database.ts";
import { MissedReader } from "../../src/log/missed.ts";
import type { CatchUpProgress, SlavedStats } from "../../src/slaved/mod.ts";
import type { Token } from "../../src/tokens/token.ts";
import { startFakeWriter } from "../support/fake_writer.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { postgresDatabase } from "../support/postgres.ts";
import { type TestDatabase, Users } from "../support/stores.ts";
import { openUsers } from "../support/users.ts";

const orders = defineStream("orders", z.string());
const payments = defineStream("payments", z.string());
const accounts = defineStream("accounts", z.string());

/** A reader that stands at the log's first token, and is told of the rest at once. */
async function start(
  t: Test,
  database: string,
  options: Record<string, unknown> = {},
) {
  const writer = await openUsers(t, {
    database,
    streams: [accounts, orders, payments],
    retentionIntervalMs: 0,
  });
  const first = writer.position.get("master") as Token;
  const fake = await startFakeWriter(t);
  fake.answer = `POSITION caches master ${first} ${first}\n`;
  const slaved = await SlavedStore.connect<TestDatabase>({
    database,
    replicate: fake.url,
    streams: [accounts, orders, payments],
    pollIntervalMs: 0,
    ...options,
  });
  t.teardown(() => slaved.close());
  const heard: string[] = [];
  for (const stream of [orders, payments]) {
    slaved.subscribe(stream, ({ token, rows }) => {
      heard.push(...rows.map((row) => `${token} ${stream.name} ${row}`));
    });
  }
  return {
    writer,
    slaved,
    heard,
    /** Writes a transaction; gives what is to be heard of it. */
    async write(rows: Record<string, string[]>): Promise<string[]> {
      const { token } = await writer.transaction("write", (txn) => {
        for (const [stream, each] of Object.entries(rows)) {
          for (const row of each) {
            if (stream === "caches") txn.invalidate("getUserById", [row]);
            else txn.write(stream === "orders" ? orders : payments, row);
          }
        }
        return Promise.resolve();
      });
      return Object.keys(rows).sort().filter((stream) => stream !== "caches")
        .flatMap((stream) =>
          (rows[stream] ?? []).map((row) => `${token} ${stream} ${row}`)
        );
    },
    /** Tells of all that was written, and waits. */
    async tell(): Promise<void> {
      const last = writer.position.get("master") as Token;
      fake.send(`POSITION caches master ${last} ${last}\n`);
      await slaved.waitFor({ instance: "master", token: last });
    },
  };
}

const named = (count: number, name: string) =>
  Array.from({ length: count }, (_, index) => `${name}${index}`);

for (
  const [engine, open] of [
    ["SQLite", (t: Test) => Promise.resolve(temporaryDatabase(t))],
    ["PostgreSQL", (t: Test) => postgresDatabase(t)],
  ] as const
) {
  t.test(engine, async (t) => {
    const database = await open(t);
    const progress: CatchUpProgress[] = [];
    const { slaved, heard, write, tell } = await start(t, database, {
      onProgress: (told: CatchUpProgress) => void progress.push(told),
    });
    const expected: string[] = [];
    const add = async (rows: Record<string, string[]>) => {
      expected.push(...await write(rows));
    };
    const before: SlavedStats = slaved.stats;

    await t.test("A010, A011: more transactions than a page, on several streams", async (t) => {
      for (let count = 0; count < 105; count += 1) {
        await add({ orders: [`a${count}`] });
      }
      await add({ payments: ["one"] });
      for (let count = 0; count < 400; count += 1) {
        await add(
          count % 3 === 0 ? { payments: ["p"] } : {
            orders: ["o"],
            caches: [`@${count}`],
          },
        );
      }
      await tell();
      t.same(heard, expected);
      t.ok(progress.length > 1, `${progress.length} pages`);
    });

    await t.test("A012, A013, A014: large transactions, whole", async (t) => {
      await add({ orders: named(150, "huge"), payments: ["after it"] });
      for (let count = 0; count < 4; count += 1) {
        await add({ payments: named(26, "p"), orders: named(26, "o") });
      }
      await tell();
      t.same(heard, expected);
    });

    await t.test("A015: what it has had does not come again", async (t) => {
      await tell();
      t.same(heard, expected);
    });

    await t.test("it is counted, and its progress is told", (t) => {
      const { stats } = slaved;
      const caches = stats.rowsByStream.get("caches") ?? 0;
      t.equal(caches - (before.rowsByStream.get("caches") ?? 0), 266);
      t.equal(stats.rows - before.rows, expected.length + 266);
      t.equal(stats.transactions - before.transactions, 511);
      t.same(stats.catchingUp, []);
      const last = progress.at(-1);
      t.match(last, { instance: "master", isDone: true });
      t.equal(last?.done, last?.total);
      const rows = progress.reduce(
        (sum, { rows, isDone }) => isDone ? sum + rows : sum,
        0,
      );
      t.equal(rows, expected.length + 266);
      t.end();
    });

    await t.test("a handler sees no cache older than its token, nor a position that has it", async (t) => {
      const users = slaved.attach(Users);
      const kept = users.getUserById("x");
      await kept;
      const seen: unknown[] = [];
      const end = slaved.subscribe(orders, ({ token, rows }) => {
        if (rows[0] !== "with x") return;
        seen.push(users.getUserById("x") === kept);
        seen.push((slaved.position.get("master") as number) < token);
      });
      await add({ orders: ["with x"], caches: ["x"] });
      await tell();
      end();
      t.same(seen, [false, true]);
    });

    await t.test("pages stay short where transactions get long", async (t) => {
      const from = slaved.position.get("master") as Token;
      for (let count = 0; count < 40; count += 1) {
        await add({ caches: ["short"] });
      }
      for (let count = 0; count < 4; count += 1) {
        await add({ caches: named(200, "long".repeat(20)) });
      }
      await tell();
      const reading = openForReading(database, {});
      const range = {
        instance: "master",
        after: from,
        upTo: slaved.position.get("master") as Token,
      };
      const size = { records: 16, bytes: 20_000 };
      const pages = new MissedReader(reading.session, range, "caches", size);
      let [transactions, reached] = [0, range.after];
      for (let page = await pages.next(); page; page = await pages.next()) {
        t.equal(page.after, reached);
        t.ok(page.transactions <= 16);
        t.ok(page.transactions === 1 || page.joined.length <= size.bytes);
        transactions += page.transactions;
        reached = page.upTo;
      }
      await reading.close();
      t.equal(transactions, 44);
      t.equal(reached, range.upTo);
    });
  });
}

t.test("above its bound of keys a cache is cleared, and no other", async (t) => {
  const { slaved, write, tell } = await start(t, temporaryDatabase(t), {
    maxCatchUpKeys: 5,
  });
  const users = slaved.attach(Users);
  const count = users.countUsers();
  const kept = users.getUserById("kept");
  await Promise.all([kept, count]);
  await write({ caches: named(5, "other") });
  await tell();
  t.equal(users.getUserById("kept"), kept);
  await write({ caches: named(6, "other") });
  await tell();
  t.not(users.getUserById("kept"), kept);
  t.equal(users.countUsers(), count);
  t.equal(slaved.stats.flushes, 1, "as at its first position");
  t.equal(slaved.stats.invalidations, 11);
});

t.test("of a token, caches is handled before every other stream", async (t) => {
  const { slaved, writer, tell } = await start(t, temporaryDatabase(t));
  const heard: string[] = [];
  for (const stream of ["accounts", "caches"]) {
    slaved.subscribe(stream, ({ token }) => void heard.push(stream + token));
  }
  for (let count = 0; count < 2; count += 1) {
    await writer.transaction("write", (txn) => {
      txn.write(accounts, "a");
      txn.invalidate("getUserById", ["a"]);
      return Promise.resolve();
    });
  }
  await tell();
  t.same(heard, ["caches2", "accounts2", "caches3", "accounts3"]);
});

// What verify() makes of logs of more than a page, of logs that are written and
// cut meanwhile, and of texts that are hard to page by.

import t, { type Test } from "tap";
import { openAdmin, type Verification } from "../../src/admin/mod.ts";
import { MAX_PAGE_BYTES, readPages } from "../../src/admin/log_pages.ts";
import { ProblemList } from "../../src/admin/problems.ts";
import { RecordChecks } from "../../src/admin/check_records.ts";
import type { Reserved } from "../../src/admin/reserved.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import {
  change,
  type Dialect,
  DIALECTS,
  emptyDatabase,
  openWriter,
  orders,
  withEngine,
} from "./small_log.ts";
import { until } from "../support/conditions.ts";

const AGGREGATES = 1_300;

/** Some hundred transactions, of which one has events of a thousand aggregates. */
async function writeLargeLog(t: Test, dialect: Dialect): Promise<string> {
  const database = await emptyDatabase(t, dialect);
  const writer = await openWriter(t, database);
  await writer.transaction("import", async (txn) => {
    for (let n = 1; n <= AGGREGATES; n += 1) {
      await txn.append(`thing:${n}`, [{ type: "made", id: `id-${n}` }]);
    }
  });
  for (let n = 1; n <= 600; n += 1) {
    await writer.transaction("write", async (txn) => {
      txn.write(orders, { n });
      await txn.append(`thing:${n}`, [{ type: "a" }, { type: "b" }]);
    });
  }
  await writer.close();
  return database;
}

async function verify(database: string): Promise<Verification> {
  await using admin = await openAdmin(database);
  return await admin.verify();
}

for (const dialect of DIALECTS) {
  t.test(`verify() of a large log on ${dialect}`, async (t) => {
    const database = await writeLargeLog(t, dialect);
    const sound = {
      records: 1_201,
      transactions: 601,
      events: 2_500,
      aggregates: AGGREGATES,
      problems: [],
      problemCount: 0,
    };
    t.same(await verify(database), sound);

    await t.test("finds what is at its end", async (t) => {
      await change(database, [
        "DELETE FROM headwater_appends WHERE token = 601",
        "INSERT INTO headwater_appends VALUES ('zzz', 1, 1, 1, 0)",
        "INSERT INTO headwater_event_ids VALUES ('zzz', 'thing:1', 1, 1)",
        "UPDATE headwater_log SET row_count = 9 WHERE token = 601 AND stream = 'orders'",
      ]);
      const { problems } = await verify(database);
      t.same(problems.map(({ check, token }) => [check, token]), [
        ["events", 1],
        ["event ids", 1],
        ["rows", 601],
        ["appends", 601],
      ]);
    });

    await t.test("doesn't hold retention against it", async (t) => {
      await change(database, [
        "DELETE FROM headwater_appends WHERE aggregate = 'zzz'",
        "DELETE FROM headwater_event_ids WHERE event_id = 'zzz'",
        "INSERT INTO headwater_appends VALUES ('thing:600', 2, 3, 601, 0)",
        "UPDATE headwater_log SET row_count = 1 WHERE token = 601 AND stream = 'orders'",
      ]);
      t.same(await verify(database), sound);
      await using admin = await openAdmin(database);
      const retained = await admin.retain({
        events: { maxRows: 100 },
        orders: { maxRows: 0 },
      });
      t.same(retained, [
        { stream: "events", deleted: 551, floor: 551 },
        { stream: "orders", deleted: 600, floor: 601 },
      ]);
      t.same(await verify(database), {
        ...sound,
        records: 50,
        transactions: 50,
        events: 100,
      });
      await change(database, [
        "DELETE FROM headwater_appends WHERE token <= 551",
        "DELETE FROM headwater_log WHERE token = 560",
      ]);
      const { problems } = await verify(database);
      t.match(problems, [{ check: "events", token: 560 }]);
      t.equal(problems.length, 1);
    });
  });

  t.test(`verify() beside writers on ${dialect}`, async (t) => {
    const database = await emptyDatabase(t, dialect);
    const writer = await openWriter(t, database);
    let isOver = false;
    let written = 0;
    const write = async (each: number) => {
      for (let n = 1; !isOver; n += 1) {
        const id = `id-${each}-${n}`;
        await writer.transaction("write", async (txn) => {
          txn.write(orders, id);
          await txn.append(`a:${each}`, [{ type: "b", id }]);
        });
        written += 1;
      }
    };
    const writing = Promise.all([1, 2, 3, 4].map(write));
    await using admin = await openAdmin(database);
    try {
      for (let round = 0; round < 8; round += 1) {
        const before = written;
        await until("more is written", () => written > before);
        const { problems, transactions } = await admin.verify();
        t.ok(transactions > 0);
        t.same(problems, []);
        const policy = { maxRows: 50 };
        await admin.retain({ orders: policy, caches: policy, events: policy });
      }
    } finally {
      isOver = true;
      await writing;
    }
    t.same((await admin.verify()).problems, []);
  });

  t.test(`texts that are hard to page by on ${dialect}`, async (t) => {
    const database = await emptyDatabase(t, dialect);
    const writer = await openWriter(t, database);
    const names = ["é", "\u{1f44d}", "\uffff", "a\ufffd", "'", '"', "\n"];
    await writer.transaction("write", async (txn) => {
      for (const name of names) {
        await txn.append(name, [{ type: "x", id: `id ${name}` }]);
        await txn.append(name, [{ type: "x" }]);
      }
      for (let n = 1; n <= 1_100; n += 1) {
        await txn.append(`a\ufffd${n}`, [{ type: "x", id: `a\ufffd${n}` }]);
      }
    });
    const found = await verify(database);
    t.same(found.problems, []);
    t.equal(found.aggregates, names.length + 1_100);
    t.equal(found.events, names.length * 2 + 1_100);
  });

  t.test(`pages on ${dialect}`, async (t) => {
    const database = await emptyDatabase(t, dialect);
    const writer = await openWriter(t, database);
    const row = "x".repeat(1_000_000);
    for (const count of [1, 20, 1, 1, 1, 1, 1, 1, 1, 1, 1]) {
      await writer.transaction("write", (txn) => {
        for (let n = 0; n < count; n += 1) txn.write(orders, row);
        return Promise.resolve();
      });
    }
    await withEngine(database, async ({ session }) => {
      const sizes: number[] = [];
      const tokens: number[] = [];
      for await (const page of readPages(session, { upTo: 99 }, systemClock)) {
        t.ok(page.length > 0);
        const bytes = page.reduce((sum, { body }) => sum + body.length, 0);
        if (page.length > 1) t.ok(bytes <= MAX_PAGE_BYTES, `${bytes} bytes`);
        sizes.push(page.length);
        tokens.push(...page.map(({ token }) => token));
      }
      t.same(sizes, [1, 1, 8, 1], "one that is too long stands alone");
      t.same(tokens, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    });
  });
}

t.test("a stream's name that is no UTF-8 is passed, not read for ever", async (t) => {
  const database = await emptyDatabase(t, "sqlite");
  const writer = await openWriter(t, database);
  for (let n = 1; n <= 3; n += 1) {
    await writer.transaction("write", (txn) => {
      txn.write(orders, n);
      return Promise.resolve();
    });
  }
  await writer.close();
  await change(database, [
    "UPDATE headwater_log SET stream = CAST(x'61ff00' AS TEXT) WHERE token = 2",
  ]);
  t.match(await verify(database), { records: 3, problems: [] });
});

t.test("records that come in another order than they should", (t) => {
  // No statement can make a database give them so; a broken index can.
  const problems = new ProblemList();
  const reserved: Reserved = { last: 9, findProblem: () => undefined };
  const checks = new RecordChecks(problems, reserved);
  for (const token of [3, 2]) {
    checks.check({
      token,
      stream: "orders",
      instance: "master",
      commitId: `commit ${token}`,
      committedMs: 5,
      rowCount: 1,
      body: "1",
    });
  }
  t.same(problems.kept, [
    { check: "tokens", token: 2, message: "token 2: it comes after token 3" },
  ]);
  t.end();
});

// log(): all of it, in order, and nothing stepped over however late it commits.

import postgres from "postgres";
import t from "tap";
import {
  type LoggedRecord,
  openAdmin,
  type ReadLogOptions,
} from "../../src/admin/mod.ts";
import { readLog } from "../../src/admin/read_log.ts";
import type { Session } from "../../src/database/engine.ts";
import { openForReading } from "../../src/database/open_database.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { encodeJson } from "../../src/runtime/json.ts";
import { until } from "../support/conditions.ts";
import { postgresDatabase } from "../support/postgres.ts";
import {
  change,
  DIALECTS,
  editRows,
  emptyDatabase,
  listAll,
  openWriter,
  orders,
  type Tables,
  writeSmallLog,
} from "./small_log.ts";
import type { WriterStore } from "../../mod.ts";

async function read(
  database: string,
  options: ReadLogOptions = {},
): Promise<LoggedRecord[]> {
  await using admin = await openAdmin(database);
  return await listAll(admin.log(options));
}

const places = (records: readonly LoggedRecord[]) =>
  records.map(({ token, stream }) => `${token} ${stream}`);

function order(writer: WriterStore<Tables>, row: unknown) {
  return writer.transaction("order", (txn) => {
    txn.write(orders, row);
    return Promise.resolve();
  });
}

/** Keeps what an iteration gives, until it ends. */
function collect(records: AsyncIterable<LoggedRecord>) {
  const tokens: number[] = [];
  const ended = (async () => {
    for await (const { token } of records) tokens.push(token);
  })();
  // Looked at by those who want it.
  ended.catch(() => {});
  return { tokens, ended };
}

for (const dialect of DIALECTS) {
  t.test(`log() on ${dialect}`, async (t) => {
    const database = await writeSmallLog(t, dialect);

    await t.test("gives every record of every instance", async (t) => {
      const records = await read(database);
      t.same(places(records), [
        "1 caches",
        "1 events",
        "1 orders",
        "2 events",
        "3 ",
        "4 orders",
        "5 events",
        "6 events",
        "7 orders",
      ]);
      t.match(records[2], {
        token: 1,
        stream: "orders",
        instance: "master",
        committedMs: Number,
        rows: [{ n: 1 }, { n: 2 }],
      });
      t.match(records[3]?.rows, [
        ["user:1", 3, "named", "given", "c", null],
        ["user:2", 1, "named", String, "d", null],
        ["user:5", 1, "named", String, "e", null],
      ]);
      t.same(records[4]?.rows, []);
      t.equal(records.at(-1)?.instance, "second");
    });

    await t.test("gives an older log's invalidations alike", async (t) => {
      const readRows = async () => {
        const writer = await openWriter(t, database, "master");
        const { rows } = await writer.readRows("caches");
        await writer.close();
        return rows;
      };
      const [record] = await read(database, { stream: "caches" });
      const stored = await readRows();
      const texts = record?.rows.map(encodeJson) ?? [];
      t.ok(texts.length > 1);
      await editRows(database, 1, "caches", (lines) => {
        t.equal(lines.length, 1, "one line has been written for all");
        return texts;
      });
      t.same(await read(database, { stream: "caches" }), [record]);
      t.same(await readRows(), stored);
      await using admin = await openAdmin(database);
      const { problems } = await admin.verify();
      t.same(problems, []);
    });

    for (
      const [options, expected] of [
        [{ stream: "orders" }, ["1 orders", "4 orders", "7 orders"]],
        [{ instance: "second" }, ["6 events", "7 orders"]],
        [{ instance: "second", stream: "orders" }, ["7 orders"]],
        [{ after: 2, upTo: 4 }, ["3 ", "4 orders"]],
        [{ after: 6, upTo: 99 }, ["7 orders"]],
        [{ after: 7 }, []],
        [{ stream: "none" }, []],
        [{ upTo: 0 }, []],
        [{ upTo: 2, follow: true, stream: "events" }, ["1 events", "2 events"]],
      ] as const
    ) {
      await t.test(`gives what is asked: ${JSON.stringify(options)}`, async (t) => {
        t.same(places(await read(database, options)), expected);
      });
    }

    for (
      const [options, message] of [
        [{ after: -1 }, /^Cannot take -1 as a token/],
        [{ upTo: 0.5 }, /^Cannot take 0.5 as a token/],
        [
          { pollIntervalMs: NaN },
          /^Cannot read the log: pollIntervalMs is NaN/,
        ],
      ] as const
    ) {
      await t.test(`refuses ${Object.keys(options)}`, async (t) => {
        const error = { code: "INVALID_ARGUMENT", message };
        await t.rejects(read(database, options), error);
      });
    }

    await t.test("names a row that is no JSON", async (t) => {
      await editRows(database, 4, "orders", ([a = ""]) => [a, "{"]);
      await t.rejects(read(database, { after: 3 }), {
        code: "ROW_INVALID",
        message: /^Cannot read token 4 of stream "orders": row 2 is no JSON/,
      });
    });
  });

  t.test(`log() of more than a page on ${dialect}`, async (t) => {
    const database = await emptyDatabase(t, dialect);
    const writer = await openWriter(t, database);
    for (let n = 1; n <= 520; n += 1) {
      await writer.transaction("both", (txn) => {
        txn.write(orders, n);
        txn.invalidateAll("things");
        return Promise.resolve();
      });
    }
    const both = Array.from({ length: 520 }, (_, index) => index + 1);
    const all = await read(database);
    t.same(all.map(({ token }) => token), both.flatMap((n) => [n, n]));
    const some = await read(database, { stream: "orders", after: 2 });
    t.same(some.map(({ rows }) => rows), both.slice(2).map((n) => [n]));
  });

  t.test(`log({ follow }) on ${dialect}`, async (t) => {
    const database = await writeSmallLog(t, dialect);
    const writer = await openWriter(t, database);
    await using admin = await openAdmin(database);
    const options = { follow: true, pollIntervalMs: 1 };

    await t.test("goes on with what is written", async (t) => {
      const { tokens, ended } = collect(
        admin.log({ ...options, stream: "orders", upTo: 10 }),
      );
      await until("it has come to the end", () => tokens.at(-1) === 7);
      await order(writer, 8);
      await until("it has the next", () => tokens.at(-1) === 8);
      await writer.transaction("other", (txn) => {
        txn.invalidateAll("things");
        return Promise.resolve();
      });
      await order(writer, 10);
      await ended;
      t.same(tokens, [1, 4, 7, 8, 10]);
    });

    await t.test("ends when it is told to", async (t) => {
      const stopping = new AbortController();
      const { signal } = stopping;
      const { tokens, ended } = collect(admin.log({ ...options, signal }));
      await until("it has come to the end", () => tokens.at(-1) === 10);
      const reason = new RangeError("enough");
      stopping.abort(reason);
      await t.rejects(ended, reason);
      await t.rejects(listAll(admin.log({ signal })), reason);
    });

    await t.test("takes what retention has deleted for no rewinding", async (t) => {
      const { tokens, ended } = collect(admin.log({ ...options, upTo: 11 }));
      await until("it has come to the end", () => tokens.at(-1) === 10);
      await admin.retain({ orders: { maxRows: 0 }, caches: { maxRows: 0 } });
      await order(writer, 11);
      await ended;
      t.equal(tokens.at(-1), 11);
    });

    await t.test("notices a log that was rewound", async (t) => {
      for (
        const rewind of [
          "UPDATE headwater_log SET commit_id = 'another' WHERE token = 11",
          "DELETE FROM headwater_log WHERE token = 11",
        ]
      ) {
        const { tokens, ended } = collect(
          admin.log({ ...options, stream: "orders" }),
        );
        await until("it has come to the end", () => tokens.at(-1) === 11);
        await change(database, [rewind]);
        await t.rejects(ended, {
          code: "LOG_REWOUND",
          message: /^Cannot follow the log: token 11 of instance "master"/,
        });
      }
    });

    await t.test("ends with its admin", async (t) => {
      const other = await openAdmin(database);
      const { tokens, ended } = collect(
        other.log({ ...options, pollIntervalMs: 3_600_000 }),
      );
      await until("it has come to the end", () => tokens.length > 0);
      await other.close();
      await t.rejects(ended, { code: "CLOSED" });
    });
  });
}

t.test("log() never steps over a token that commits late", async (t) => {
  const database = await postgresDatabase(t);
  const writer = await openWriter(t, database);
  await order(writer, 1);
  const sql = postgres(database, { max: 1 });
  t.teardown(() => sql.end());
  const late = await sql.reserve();
  // As another instance's transaction that is slow to commit.
  await late`BEGIN`;
  await late`INSERT INTO headwater_log VALUES (nextval('headwater_tokens'),
    'orders', 'master', 'late', 5, 1, '2')`;
  const { token } = await order(writer, 3);
  t.equal(token, 3);

  const reads = openForReading<Tables>(database, {});
  t.teardown(() => reads.close());
  let statements = 0;
  const session: Session = {
    dialect: "postgres",
    run: (sql, parameters) => reads.session.run(sql, parameters),
    rows: (sql, parameters) => {
      statements += 1;
      return reads.session.rows(sql, parameters);
    },
  };
  const { tokens, ended } = collect(
    readLog(session, systemClock, { follow: true, pollIntervalMs: 0, upTo: 3 }),
  );
  // Enough for some rounds, if it didn't wait.
  await until("it looks for the end", () => statements > 20);
  t.same(tokens, [], "the first is held back too: its end isn't known");
  await late`COMMIT`;
  late.release();
  await ended;
  t.same(tokens, [1, 2, 3]);
});

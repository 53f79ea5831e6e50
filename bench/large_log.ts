/**
 * (i) Whether a long log is slower than a short one: opening, positions, the
 * last 1,000 rows, appends; and whether reading it whole takes memory.
 *
 * @module
 */

import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { type Token, WriterStore } from "headwater";
import postgres from "postgres";
import { openAdmin } from "../src/admin/mod.ts";
import { openDatabase, openForReading } from "../src/database/open_database.ts";
import { addTimeRanges } from "../src/log/time_ranges.ts";
import { catchUp } from "../src/replication/catch_up.ts";
import { countRows } from "../src/replication/transaction.ts";
import { systemClock } from "../src/runtime/clock.ts";
import { sharedPostgres } from "../tests/support/postgres.ts";
import { timeWriters } from "./support/load.ts";
import { compete, type Figure, summarize } from "./support/measure.ts";
import type { Size } from "./main.ts";

const SMALL = 1_000;
const LAST = 1_000;
/** Events of each aggregate: the long log has as many more aggregates. */
const VERSIONS = 10;

/** How long the long log is, and whether PostgreSQL is measured too. */
export interface LargeLogSize extends Size {
  /** 10,000,000 by default; 100,000 for a short run. */
  readonly rows?: number | undefined;
  readonly postgres?: boolean | undefined;
}

/** A log of so many rows, one event each. */
interface Log {
  readonly database: string;
  readonly rows: number;
}

/** ms, the long log's beside the short one's; and MiB while it is read whole. */
export async function benchLargeLog(size: LargeLogSize): Promise<Figure[]> {
  const rows = size.rows ?? (size.isShort ? 100_000 : 10_000_000);
  if (!Number.isSafeInteger(rows) || rows < LAST || rows % VERSIONS !== 0) {
    throw new Error(`rows is ${rows}; give a multiple of 10 of at least 1000`);
  }
  const sqlite = async (count: number) => {
    const path = join(size.folder, `log-${count}.db`);
    return await makeLog(
      `sqlite:${path}`,
      count,
      () => fillSqlite(path, count),
    );
  };
  const figures = await measure(
    "SQLite",
    await sqlite(rows),
    await sqlite(SMALL),
    size,
  );
  if (size.postgres !== true) return figures;
  const server = await sharedPostgres();
  const onServer = async (count: number) => {
    const url = await server.createDatabase();
    return await makeLog(url, count, () => fillPostgres(url, count));
  };
  const [large, small] = [await onServer(rows), await onServer(SMALL)];
  return [...figures, ...await measure("PostgreSQL", large, small, size)];
}

/** Makes the tables as migrations do, fills them, and has the log checked. */
async function makeLog(
  database: string,
  rows: number,
  fill: () => void | Promise<void>,
): Promise<Log> {
  await (await WriterStore.open({ database })).close();
  await fill();
  // A writer does so within some seconds.
  const engine = openDatabase(database, systemClock, {});
  await addTimeRanges(engine, { clock: systemClock });
  await engine.close();
  await using admin = await openAdmin(database);
  const { problems } = await admin.verify();
  if (problems.length > 0) {
    throw new Error(`the log is not sound: ${JSON.stringify(problems[0])}`);
  }
  return { database, rows };
}

async function measure(
  where: string,
  large: Log,
  small: Log,
  size: Size,
): Promise<Figure[]> {
  const rows = large.rows.toLocaleString("en-US");
  const measureBoth = (
    what: string,
    time: (side: "large" | "small") => Promise<number>,
    goal?: string,
  ) =>
    compete({
      name: `${what}, ${where}, a log of ${rows} rows`,
      unit: "ms",
      against: `a log of ${SMALL} rows`,
      goal,
      rounds: size.isShort ? 3 : 9,
      ours: () => time("large"),
      baseline: () => time("small"),
    });
  const compare: Compare = (what, time) => measureBoth(what, time, "≤ 1.5");
  const logs = { large, small };
  const figures = [
    await compare("opening and closing", (side) =>
      timeEach(5, async () => {
        const { database } = logs[side];
        await (await WriterStore.open({ database })).close();
      })),
    await compareAdmins(logs, compare),
    await compareCatchUp(logs, compare),
  ];
  const writers = {
    large: await WriterStore.open({ database: large.database }),
    small: await WriterStore.open({ database: small.database }),
  };
  try {
    figures.push(
      await compare(
        `the last ${LAST} events`,
        (side) =>
          timeEach(20, async () => {
            const after = logs[side].rows - LAST;
            let read = 0;
            for await (const _ of writers[side].readEvents({ after })) {
              read += 1;
            }
            requireCount(read, LAST);
          }),
      ),
      await measureBoth(
        `the last ${LAST} events, by their time`,
        (side) =>
          timeEach(20, async () => {
            const since = COMMITTED_MS + logs[side].rows - LAST + 1;
            let read = 0;
            for await (const _ of writers[side].readEvents({ since })) {
              read += 1;
            }
            requireCount(read, LAST);
          }),
      ),
      ...await readWhole(where, writers.large, large.rows),
    );
    // These make the logs longer, so they come last.
    const appends = size.isShort ? 200 : 1_000;
    for (const spread of ["everywhere", "few"] as const) {
      const to = spread === "few" ? "100 aggregates" : "any of the aggregates";
      let appended = 0;
      figures.push(
        await compare(`an append to ${to}`, (side) => {
          const aggregates = spread === "few"
            ? SMALL / VERSIONS
            : logs[side].rows / VERSIONS;
          return timeEach(appends, async () => {
            // A prime step, so that neighbours are not met one after another.
            appended += 7_919;
            const aggregate = nameOf(appended % aggregates);
            await writers[side].transaction("append", async (txn) => {
              await txn.append(aggregate, [
                { type: "deposited", data: { cents: appended } },
              ]);
            });
          });
        }),
      );
    }
  } finally {
    await writers.large.close();
    await writers.small.close();
  }
  return figures;
}

type Logs = Readonly<Record<"large" | "small", Log>>;
type Compare = (
  what: string,
  time: (side: "large" | "small") => Promise<number>,
) => Promise<Figure>;

async function compareAdmins(logs: Logs, compare: Compare): Promise<Figure> {
  await using large = await openAdmin(logs.large.database);
  await using small = await openAdmin(logs.small.database);
  const admins = { large, small };
  return await compare("positions", (side) =>
    timeEach(50, async () => {
      const { horizon } = await admins[side].positions();
      requireCount(horizon, logs[side].rows);
    }));
}

/** The way of a slaved store that was away. */
async function compareCatchUp(logs: Logs, compare: Compare): Promise<Figure> {
  const engines = {
    large: openForReading(logs.large.database, {}),
    small: openForReading(logs.small.database, {}),
  };
  const figure = await compare(
    `catch-up of the last ${LAST} rows`,
    (side) =>
      timeEach(20, async () => {
        const { rows } = logs[side];
        const range = {
          instance: "master",
          after: rows - LAST as Token,
          upTo: rows as Token,
        };
        let read = 0;
        for await (
          const transactions of catchUp(engines[side].session, range)
        ) {
          for (const transaction of transactions) {
            for (const [, rows] of countRows(transaction)) read += rows;
          }
        }
        requireCount(read, LAST);
      }),
  );
  await engines.large.close();
  await engines.small.close();
  return figure;
}

/** The least heap and the greatest resident set of two tenths of the way. */
async function readWhole(
  where: string,
  writer: WriterStore<unknown>,
  rows: number,
): Promise<Figure[]> {
  const early = { heap: Infinity, rss: 0 };
  const late = { heap: Infinity, rss: 0 };
  const step = Math.max(1, Math.floor(rows / 1_000));
  let read = 0;
  const began = performance.now();
  for await (const _ of writer.readEvents()) {
    read += 1;
    if (read % step !== 0) continue;
    const share = read / rows;
    const seen = share > 0.9 ? late : early;
    if (share <= 0.1 || share > 0.2 && share <= 0.9) continue;
    const { heapUsed, rss } = process.memoryUsage();
    // The least is what is still there just after garbage was collected.
    seen.heap = Math.min(seen.heap, heapUsed / 2 ** 20);
    seen.rss = Math.max(seen.rss, rss / 2 ** 20);
  }
  requireCount(read, rows);
  const seconds = ((performance.now() - began) / 1_000).toFixed(1);
  return (["heap", "rss"] as const).map((key) =>
    summarize({
      name: `${key}, ${where}, ` +
        `${rows.toLocaleString("en-US")} events read in ${seconds} s`,
      unit: "MiB in the last tenth",
      against: "in the second tenth",
      goal: "≤ 1.2",
    }, [[late[key], early[key]]])
  );
}

/** ms that each took, one after another. */
async function timeEach(
  count: number,
  work: () => Promise<void>,
): Promise<number> {
  return await timeWriters(1, count, work) / count;
}

function requireCount(actual: number, expected: number): void {
  if (actual !== expected) throw new Error(`${actual}, not ${expected}`);
}

/** Padded, so that the index of appends is filled from left to right. */
function nameOf(aggregate: number): string {
  return `account:${String(aggregate).padStart(8, "0")}`;
}

const COLUMNS =
  "(token, stream, instance, commit_id, committed_ms, row_count, body)";
const KEYED_COLUMNS = COLUMNS.replace("token", "id");
const APPEND_COLUMNS =
  "(aggregate, first_version, last_version, token, is_last)";
const COMMITTED_MS = 1_760_000_000_000;

function fillSqlite(path: string, rows: number): void {
  const database = new DatabaseSync(path);
  const aggregate = `printf('account:%08d', (n - 1) / ${VERSIONS})`;
  const version = `(n - 1) % ${VERSIONS} + 1`;
  const numbers =
    `WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers
    WHERE n < ${rows})`;
  // Nothing that would have to survive: a log that is half filled is deleted.
  database.exec(`PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
    BEGIN;
    INSERT INTO headwater_log ${KEYED_COLUMNS} ${numbers}
    SELECT (n << 9) + 256, 'events', 'master', printf('%016x', n), ${COMMITTED_MS} + n, 1,
      printf('["%s",%d,"deposited","%08x-0000-4000-8000-%012x",{"cents":%d},{}]',
        ${aggregate}, ${version}, n, n, n)
    FROM numbers;
    INSERT INTO headwater_appends ${APPEND_COLUMNS} ${numbers}
    SELECT ${aggregate}, ${version}, ${version}, n, 0 FROM numbers;
    UPDATE headwater_instances SET last_token = ${rows}, position = ${rows};
    COMMIT;
    PRAGMA journal_mode = WAL`);
  database.close();
}

async function fillPostgres(url: string, rows: number): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  const aggregate = `'account:' || lpad(((n - 1) / ${VERSIONS})::text, 8, '0')`;
  const version = `(n - 1) % ${VERSIONS} + 1`;
  await sql.unsafe(`INSERT INTO headwater_log ${COLUMNS}
    SELECT n, 'events', 'master', lpad(to_hex(n), 16, '0'),
      ${COMMITTED_MS} + n, 1,
      '["' || ${aggregate} || '",' || ${version} || ',"deposited","' ||
        lpad(to_hex(n), 8, '0') || '-0000-4000-8000-' ||
        lpad(to_hex(n), 12, '0') || '",{"cents":' || n || '},{}]'
    FROM generate_series(1, ${rows}::bigint) AS numbers (n);
    INSERT INTO headwater_appends ${APPEND_COLUMNS}
    SELECT ${aggregate}, ${version}, ${version}, n, 0
    FROM generate_series(1, ${rows}::bigint) AS numbers (n);
    SELECT setval('headwater_tokens', ${rows});
    UPDATE headwater_instances SET position = ${rows}`);
  await sql.unsafe("VACUUM ANALYZE headwater_log");
  await sql.unsafe("VACUUM ANALYZE headwater_appends");
  await sql.end();
}

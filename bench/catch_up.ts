/**
 * (g) Fetching the log from the database, beside the driver alone reading as
 * many rows of a table.
 *
 * @module
 */

import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type Token, WriterStore } from "headwater";
import postgres from "postgres";
import { openForReading } from "../src/database/open_database.ts";
import type { Session } from "../src/database/engine.ts";
import { CacheRegistry } from "../src/caches/cache_registry.ts";
import { formatRuns } from "../src/protocol/invalidations.ts";
import { catchUpSteps } from "../src/replication/catch_up.ts";
import { MAX_CATCH_UP_KEYS } from "../src/runtime/limits.ts";
import { silentLogger } from "../src/runtime/logger.ts";
import { sharedPostgres } from "../tests/support/postgres.ts";
import { compete, type Figure, perSecond } from "./support/measure.ts";
import { keyOf } from "./support/store.ts";
import type { Size } from "./main.ts";

const PAGE = 1_000;

/** The driver alone: reads a page of records after a token, as arrays. */
interface Raw {
  fill(records: readonly Record[]): Promise<void>;
  page(after: number): Promise<readonly (readonly unknown[])[]>;
  close(): Promise<void>;
}

interface Record {
  readonly token: number;
  readonly count: number;
  readonly body: string;
}

/** Rows a second, in records of a hundred rows, and of one. */
export async function benchCatchUp(size: Size): Promise<Figure[]> {
  const server = await sharedPostgres();
  const rows = size.isShort ? 20_000 : 200_000;
  const figures: Figure[] = [];
  for (const each of [100, 1]) {
    const path = (whose: string) =>
      join(size.folder, `catch-up-${whose}-${each}.db`);
    const ours = await server.createDatabase();
    const raw = await server.createDatabase();
    figures.push(
      await measure("SQLite", rows, each, size, {
        ours: {
          url: `sqlite:${path("ours")}`,
          open: () => openSqlite(path("ours")),
        },
        raw: {
          url: `sqlite:${path("raw")}`,
          open: () => openSqlite(path("raw")),
        },
      }),
      await measure("PostgreSQL", rows, each, size, {
        ours: { url: ours, open: () => openPostgres(ours) },
        raw: { url: raw, open: () => openPostgres(raw) },
      }),
    );
  }
  return figures;
}

/** A database, and the driver on it. */
interface Side {
  readonly url: string;
  readonly open: () => Raw;
}

async function measure(
  where: string,
  rows: number,
  each: number,
  size: Size,
  sides: { readonly ours: Side; readonly raw: Side },
): Promise<Figure> {
  const filler = await fill(sides.ours, makeRecords(rows, each));
  await filler.close();
  const raw = await fill(sides.raw, makeRecords(rows, 1));
  const engine = openForReading(sides.ours.url, {});
  const figure = await compete({
    name: `catch-up, ${where}, records of ${each}`,
    unit: "rows/s",
    against: "the driver's arrays of as many records of one, 1,000 a page",
    goal: "≥ 0.7",
    rounds: size.isShort ? 3 : 9,
    ours: () => timeOurs(engine.session, rows, each),
    baseline: () => timeRaw(raw, rows),
  });
  await engine.close();
  await raw.close();
  return figure;
}

async function fill(side: Side, records: readonly Record[]): Promise<Raw> {
  // Makes the tables.
  await (await WriterStore.open({ database: side.url })).close();
  const raw = side.open();
  await raw.fill(records);
  return raw;
}

async function timeOurs(
  session: Session,
  rows: number,
  each: number,
): Promise<number> {
  const range = {
    instance: "master",
    after: 0 as Token,
    upTo: rows / each as Token,
  };
  // None of these caches is here: what is left is reading, and looking at it.
  const caches = new CacheRegistry([], silentLogger);
  let read = 0;
  const began = performance.now();
  for await (
    const step of catchUpSteps(session, range, caches, MAX_CATCH_UP_KEYS)
  ) {
    step.invalidate();
    read += step.rows;
  }
  const ms = performance.now() - began;
  if (read !== rows) throw new Error(`${read} rows were read`);
  return perSecond(rows, ms);
}

async function timeRaw(raw: Raw, rows: number): Promise<number> {
  let read = 0;
  let after = 0;
  const began = performance.now();
  for (;;) {
    const page = await raw.page(after);
    read += page.length;
    after = Number(page.at(-1)?.[0]);
    if (page.length < PAGE) break;
  }
  const ms = performance.now() - began;
  if (read !== rows) throw new Error(`${read} records were read`);
  return perSecond(rows, ms);
}

function makeRecords(rows: number, each: number): Record[] {
  return Array.from({ length: rows / each }, (_, index) => ({
    token: index + 1,
    count: each,
    body: formatRuns([{
      name: "get_user_by_id",
      ms: 1760000000000,
      keys: Array.from(
        { length: each },
        (_, row) => keyOf(index * each + row),
      ),
    }]),
  }));
}

const COLUMNS =
  "(token, stream, instance, commit_id, committed_ms, row_count, body)";
const KEYED_COLUMNS = COLUMNS.replace("token", "id");
const readPage = (after: string, instance: string, order: string) =>
  `SELECT token, stream, body FROM headwater_log
  WHERE ${after} AND instance = ${instance} ORDER BY ${order} LIMIT ${PAGE}`;

function openSqlite(path: string): Raw {
  const database = new DatabaseSync(path);
  const read = database.prepare(readPage("id >= (? + 1) << 9", "?", "id"));
  read.setReturnArrays(true);
  return {
    fill(records) {
      const insert = database.prepare(
        `INSERT INTO headwater_log ${KEYED_COLUMNS}
        VALUES (? << 9, 'caches', 'master', 'commit', 1760000000000, ?, ?)`,
      );
      database.exec("BEGIN");
      for (const { token, count, body } of records) {
        insert.run(token, count, body);
      }
      database.exec("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
      return Promise.resolve();
    },
    page: (after) =>
      Promise.resolve(read.all(after, "master") as unknown as unknown[][]),
    close: () => Promise.resolve(database.close()),
  };
}

function openPostgres(url: string): Raw {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  return {
    async fill(records) {
      for (let from = 0; from < records.length; from += 10_000) {
        const some = records.slice(from, from + 10_000);
        await sql.unsafe(
          `INSERT INTO headwater_log ${COLUMNS}
          SELECT token, 'caches', 'master', 'commit', 1760000000000, count, body
          FROM unnest($1::bigint[], $2::bigint[], $3::text[])
            AS r (token, count, body)`,
          [
            some.map(({ token }) => token),
            some.map(({ count }) => count),
            some.map(({ body }) => body),
          ],
        );
      }
      await sql.unsafe("VACUUM ANALYZE headwater_log");
    },
    page: async (after) =>
      await sql.unsafe(readPage("token > $1", "$2", "token, stream"), [
        after,
        "master",
      ], {
        prepare: true,
      }).values(),
    close: () => sql.end(),
  };
}

// A log with some of everything, and ways to spoil it.

import { equal } from "node:assert/strict";
import { copyFileSync } from "node:fs";
import root, { type Test } from "tap";
import { z } from "zod";
import { defineStream, WriterStore } from "../../mod.ts";
import type { Engine, SqlValue } from "../../src/database/engine.ts";
import { openDatabase } from "../../src/database/open_database.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { postgresDatabase } from "../support/postgres.ts";

/** Where logs are kept. */
export const DIALECTS = ["sqlite", "postgres"] as const;

/** One of them. */
export type Dialect = (typeof DIALECTS)[number];

/** The user's tables. */
export interface Tables {
  things: { id: string };
}

/** A stream. */
export const orders = defineStream("orders", z.unknown());

/** An empty database's URL; it goes with the test. */
export async function emptyDatabase(
  t: Test,
  dialect: Dialect,
): Promise<string> {
  return dialect === "sqlite"
    ? temporaryDatabase(t)
    : await postgresDatabase(t);
}

/** A writer that is closed with the test. */
export async function openWriter(
  t: Test,
  database: string,
  instance = "master",
): Promise<WriterStore<Tables>> {
  const writer = await WriterStore.open<Tables>({
    database,
    instance,
    synchronous: "normal",
    streams: [orders],
  });
  t.teardown(() => writer.close());
  return writer;
}

/** What each test has a copy of. */
const originals = new Map<Dialect, Promise<string>>();

/** Where the file of an SQLite database is. */
const fileOf = (database: string) => database.slice("sqlite:".length);

/**
 * A log whose writers have ended:
 *
 * ```text
 * token  instance  events                       orders     else
 *     1  master    user:1 v1, v2                1, 2       an invalidation
 *     2  master    user:1 v3 (id given), user:2 v1, user:5 v1
 *     3  master                                            a table, no rows
 *     4  master                                 3, 4, 5
 *     5  master    user:2 v2, which closes it
 *     6  second    user:1 v4
 *     7  second                                 6
 * ```
 *
 * and a snapshot of user:1 v4, and projections that have come to token 6.
 */
export async function writeSmallLog(
  t: Test,
  dialect: Dialect,
): Promise<string> {
  // Written once a process, with all that it takes to open stores.
  const writing = originals.get(dialect) ?? writeOriginal(dialect);
  originals.set(dialect, writing);
  const original = await writing;
  if (dialect === "postgres") return await postgresDatabase(t, original);
  const copy = temporaryDatabase(t);
  copyFileSync(fileOf(original), fileOf(copy));
  return copy;
}

async function writeOriginal(dialect: Dialect): Promise<string> {
  const database = await emptyDatabase(root, dialect);
  const master = await openWriter(root, database);
  const orderAll = (from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, n) => ({ n: from + n }));
  await master.transaction("1", async (txn) => {
    for (const row of orderAll(1, 2)) txn.write(orders, row);
    await txn.append("user:1", [{ type: "named", data: "a" }]);
    await txn.append("user:1", [{ type: "named", data: "b" }]);
    txn.invalidateAll("things");
    txn.invalidate("thing", ["é", 2]);
    txn.invalidate("thing", [null]);
  });
  await master.transaction("2", async (txn) => {
    await txn.append("user:1", [{ type: "named", data: "c", id: "given" }]);
    await txn.append("user:2", [{ type: "named", data: "d" }]);
    await txn.append("user:5", [{ type: "named", data: "e" }]);
  });
  await master.transaction("3", async (txn) => {
    await txn.db.schema.createTable("things").addColumn("id", "text").execute();
  });
  await master.transaction("4", (txn) => {
    for (const row of orderAll(3, 5)) txn.write(orders, row);
    return Promise.resolve();
  });
  await master.transaction("5", async (txn) => {
    await txn.closeAggregate("user:2", { reason: "done" });
  });
  await master.close();
  const second = await openWriter(root, database, "second");
  await second.transaction("6", async (txn) => {
    await txn.append("user:1", [{ type: "named", data: "f" }]);
  });
  const { token } = await second.transaction("7", (txn) => {
    txn.write(orders, { n: 6 });
    return Promise.resolve();
  });
  equal(token, 7);
  await second.aggregate("user:1").fold(0, (count) => count + 1, {
    snapshotEvery: 1,
    name: "count",
  });
  await second.close();
  await change(database, [
    ...["behind", "even"].map((name, index) =>
      `INSERT INTO headwater_projections (name, version, position, done,
        rebuild_position, fence, holder, expires_ms, updated_ms)
      VALUES ('${name}', 1, ${5 + index}, 5, NULL, 1, '', 0, 0)`
    ),
    `INSERT INTO headwater_projections (name, version, position, done,
      rebuild_position, fence, holder, expires_ms, updated_ms)
    VALUES ('inline', 1, NULL, 0, NULL, 0, '', 0, 0)`,
  ]);
  return database;
}

/** Does something with a database, past any store. */
export async function withEngine<Result>(
  database: string,
  use: (engine: Engine<Tables>) => Promise<Result>,
): Promise<Result> {
  const engine = openDatabase<Tables>(database, systemClock, {
    synchronous: "normal",
  });
  try {
    return await use(engine);
  } finally {
    await engine.close();
  }
}

/** Runs statements, in one transaction. */
export async function change(
  database: string,
  statements: readonly string[],
): Promise<void> {
  await withEngine(
    database,
    (engine) =>
      engine.transaction("change", async (session) => {
        for (const sql of statements) await session.run(sql, []);
      }),
  );
}

/** Rewrites the rows of a record, and its count of them. */
export async function editRows(
  database: string,
  token: number,
  stream: string,
  edit: (rows: string[]) => readonly string[],
): Promise<void> {
  await withEngine(
    database,
    (engine) =>
      engine.transaction("edit", async (session) => {
        const key: SqlValue[] = [token, stream];
        const [row] = await session.rows(
          "SELECT body FROM headwater_log WHERE token = ? AND stream = ?",
          key,
        );
        const rows = edit(String(row?.[0]).split("\n"));
        await session.run(
          `UPDATE headwater_log SET body = ?, row_count = ?
        WHERE token = ? AND stream = ?`,
          [rows.join("\n"), rows.length, ...key],
        );
      }),
  );
}

/** All that an iteration gives. */
export async function listAll<Value>(
  values: AsyncIterable<Value>,
): Promise<Value[]> {
  const list: Value[] = [];
  for await (const value of values) list.push(value);
  return list;
}

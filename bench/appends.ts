/**
 * (f) Appending many events at once, beside a multi-row INSERT by hand.
 *
 * @module
 */

import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { WriterStore, type WriterStoreOptions } from "headwater";
import postgres from "postgres";
import { sharedPostgres } from "../tests/support/postgres.ts";
import { openBareSqlite } from "./support/bare_sqlite.ts";
import { timeWriters } from "./support/load.ts";
import { compete, type Figure, perSecond } from "./support/measure.ts";
import type { Size } from "./main.ts";

const EVENTS = 100;

/** What both sides append, as their callers have it. */
interface Event {
  readonly type: string;
  readonly data: { readonly cents: number; readonly note: string };
  readonly metadata: { readonly user: string };
}

/** Inserts events after a version of an aggregate, in a transaction. */
type InsertByHand = (
  aggregate: string,
  version: number,
  events: readonly Event[],
) => Promise<void>;

/** Events a second, a hundred a transaction, one transaction after another. */
export async function benchAppends(size: Size): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const synchronous of ["normal", "full"] as const) {
    const path = (whose: string) =>
      join(size.folder, `${whose}-appends-${synchronous}.db`);
    const raw = openSqlite(path("raw"), synchronous);
    figures.push(
      await measure(
        `SQLite, synchronous=${synchronous}`,
        size,
        { database: `sqlite:${path("ours")}`, synchronous },
        raw.insert,
      ),
    );
    raw.close();
  }
  const server = await sharedPostgres();
  const raw = await openPostgres(await server.createDatabase());
  const database = await server.createDatabase();
  figures.push(await measure("PostgreSQL", size, { database }, raw.insert));
  await raw.close();
  return figures;
}

async function measure(
  where: string,
  size: Size,
  options: WriterStoreOptions,
  insert: InsertByHand,
): Promise<Figure> {
  await using writer = await WriterStore.open(options);
  const count = size.isShort ? 30 : 300;
  const rate = async (append: (batch: number) => Promise<void>) => {
    let batch = 0;
    const ms = await timeWriters(1, count, () => append(batch += 1));
    return perSecond(count * EVENTS, ms);
  };
  const [versionsOurs, versionsRaw] = [new Versions(), new Versions()];
  return await compete({
    name: `appends of ${EVENTS} events, ${where}`,
    unit: "events/s",
    against: "a multi-row INSERT in a transaction of the driver",
    goal: "≥ 0.5",
    rounds: size.isShort ? 3 : 9,
    ours: () =>
      rate(async (batch) => {
        const { aggregate, version } = versionsOurs.next(batch);
        await writer.transaction("append", async (txn) => {
          await txn.append(aggregate, makeEvents(batch), {
            expectedVersion: version,
          });
        });
      }),
    baseline: () =>
      rate(async (batch) => {
        const { aggregate, version } = versionsRaw.next(batch);
        await insert(aggregate, version, makeEvents(batch));
      }),
  });
}

/** Ten aggregates in turn, and their versions. */
class Versions {
  readonly #versions = new Map<string, number>();

  next(batch: number): { aggregate: string; version: number } {
    const aggregate = `account:${batch % 10}`;
    const version = this.#versions.get(aggregate) ?? 0;
    this.#versions.set(aggregate, version + EVENTS);
    return { aggregate, version };
  }
}

function makeEvents(batch: number): Event[] {
  return Array.from({ length: EVENTS }, (_, index) => ({
    type: "deposited",
    data: { cents: batch * EVENTS + index, note: `deposit ${index}` },
    metadata: { user: `user${batch}` },
  }));
}

const TABLE = `CREATE TABLE events (
  aggregate TEXT NOT NULL,
  version INTEGER NOT NULL,
  type TEXT NOT NULL,
  data TEXT NOT NULL,
  metadata TEXT NOT NULL,
  id TEXT NOT NULL,
  PRIMARY KEY (aggregate, version)
)`;
const INSERT =
  "INSERT INTO events (aggregate, version, type, data, metadata, id) VALUES ";

function toParameters(
  aggregate: string,
  version: number,
  events: readonly Event[],
): (string | number)[] {
  return events.flatMap(({ type, data, metadata }, index) => [
    aggregate,
    version + index + 1,
    type,
    JSON.stringify(data),
    JSON.stringify(metadata),
    randomUUID(),
  ]);
}

function openSqlite(
  path: string,
  synchronous: "full" | "normal",
): { insert: InsertByHand; close: () => void } {
  const database = openBareSqlite(path, synchronous);
  database.exec(`${TABLE} WITHOUT ROWID`);
  const [begin, commit] = [
    database.prepare("BEGIN IMMEDIATE"),
    database.prepare("COMMIT"),
  ];
  const insert = database.prepare(
    INSERT + Array(EVENTS).fill("(?, ?, ?, ?, ?, ?)").join(),
  );
  return {
    insert: (aggregate, version, events) => {
      begin.run();
      insert.run(...toParameters(aggregate, version, events));
      commit.run();
      return Promise.resolve();
    },
    close: () => database.close(),
  };
}

async function openPostgres(
  url: string,
): Promise<{ insert: InsertByHand; close: () => Promise<void> }> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  await sql.unsafe(TABLE);
  const row = (index: number) =>
    `(${[1, 2, 3, 4, 5, 6].map((column) => `$${index * 6 + column}`)})`;
  const insert = INSERT +
    Array.from({ length: EVENTS }, (_, index) => row(index));
  return {
    insert: async (aggregate, version, events) => {
      await sql.begin((txn) =>
        txn.unsafe(insert, toParameters(aggregate, version, events), {
          prepare: true,
        })
      );
    },
    close: () => sql.end(),
  };
}

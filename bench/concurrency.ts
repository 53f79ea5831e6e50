/**
 * (e) Many writers at a time: SQLite beside one writer through Kysely alone,
 * PostgreSQL beside as many on as many connections.
 *
 * @module
 */

import { join } from "node:path";
import { WriterStore } from "headwater";
import { sharedPostgres } from "../tests/support/postgres.ts";
import { openByHand } from "./support/by_hand.ts";
import { openBareKysely, openBarePostgres } from "./support/bare_kysely.ts";
import { timeWriters } from "./support/load.ts";
import { compete, type Figure, perSecond } from "./support/measure.ts";
import {
  createUsers,
  nextVersion,
  rename,
  renameBare,
} from "./support/rename.ts";
import type { Database } from "./support/store.ts";
import type { Size } from "./main.ts";

const WRITERS = 64;
/** PostgreSQL's on either side: one for each writer, half of them, and what is the default. */
const CONNECTIONS = [WRITERS, 32, 10];

/** Transactions a second. */
export async function benchConcurrency(size: Size): Promise<Figure[]> {
  const figures = await benchSqlite(size);
  for (const connections of CONNECTIONS) {
    figures.push(...await benchPostgres(size, connections));
  }
  return figures;
}

async function benchSqlite(size: Size): Promise<Figure[]> {
  const path = (whose: string) => join(size.folder, `${whose}-64.db`);
  await using writer = await WriterStore.open<Database>({
    database: `sqlite:${path("ours")}`,
  });
  const bare = openBareKysely(path("bare"), "full");
  await writer.transaction("create", ({ db }) => createUsers(db));
  await createUsers(bare);
  const writes: [string, string, () => Promise<void>][] = [
    ["a row and an invalidation", "≥ 6", () => rename(writer)],
    ["one event", "≥ 15", () => append(writer)],
    ["one invalidation", "≥ 15", () => invalidate(writer)],
  ];
  const count = size.isShort ? 2_000 : 60_000;
  const bareCount = size.isShort ? 100 : 1_000;
  const figures: Figure[] = [];
  for (const [what, goal, write] of writes) {
    figures.push(
      await compete({
        name: `${WRITERS} writers, SQLite, synchronous=full, ${what}`,
        unit: "transactions/s",
        against: "one row in a bare Kysely transaction, one by one",
        goal,
        rounds: size.isShort ? 3 : 9,
        ours: async () =>
          perSecond(count, await timeWriters(WRITERS, count, write)),
        baseline: async () =>
          perSecond(
            bareCount,
            await timeWriters(1, bareCount, () => renameBare(bare)),
          ),
      }),
    );
  }
  await bare.destroy();
  return figures;
}

async function benchPostgres(
  size: Size,
  connections: number,
): Promise<Figure[]> {
  const server = await sharedPostgres();
  await using writer = await WriterStore.open<Database>({
    database: await server.createDatabase(),
    maxWriteConnections: connections,
  });
  const bareUrl = await server.createDatabase();
  const bare = openBarePostgres(bareUrl, connections);
  await writer.transaction("create", ({ db }) => createUsers(db));
  await createUsers(bare);
  const byHand = await openByHand(bareUrl, connections, bare);
  const rate = async (count: number, write: () => Promise<void>) =>
    perSecond(count, await timeWriters(WRITERS, count, write));
  const bareCount = size.isShort ? 1_000 : 5_000;
  const writes: [string, string | undefined, number, () => Promise<void>][] = [
    ["a row and an invalidation", "≥ 0.8", 1, () => rename(writer)],
    ["a row and its record by hand", undefined, 1, () => byHand.rename()],
    ["one event", undefined, 5, () => append(writer)],
    ["one invalidation", undefined, 5, () => invalidate(writer)],
  ];
  const figures: Figure[] = [];
  for (const [what, goal, times, write] of writes) {
    figures.push(
      await compete({
        name: `${WRITERS} writers, PostgreSQL, ${connections} connections, ` +
          what,
        unit: "transactions/s",
        against: "one row in as many bare Kysely transactions",
        goal,
        rounds: size.isShort ? 3 : 9,
        ours: () => rate(bareCount * times, write),
        baseline: () => rate(bareCount, () => renameBare(bare)),
      }),
    );
  }
  await byHand.close();
  await bare.destroy();
  return figures;
}

async function append(writer: WriterStore<Database>): Promise<void> {
  const version = nextVersion();
  await writer.transaction("append", async (txn) => {
    await txn.append(`user:${version % 1_000}`, [
      { type: "renamed", data: { name: `name ${version}` } },
    ]);
  });
}

async function invalidate(writer: WriterStore<Database>): Promise<void> {
  const version = nextVersion();
  await writer.transaction("invalidate", (txn) => {
    txn.invalidate("get_user_by_id", [version % 1_000]);
    return Promise.resolve();
  });
}

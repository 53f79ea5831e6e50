/**
 * (c) A transaction with one log row, beside the same write through Kysely
 * alone.
 *
 * @module
 */

import { join } from "node:path";
import type { Kysely } from "kysely";
import { WriterStore } from "headwater";
import { openBareKysely } from "./support/bare_kysely.ts";
import { compete, type Figure, perSecond } from "./support/measure.ts";
import type { Database } from "./support/store.ts";
import type { Size } from "./main.ts";

const ROWS = 1_000;

/** Transactions a second, one after another. */
export async function benchTransactions(size: Size): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const synchronous of ["normal", "full"] as const) {
    const name = (whose: string) =>
      join(size.folder, `${whose}-${synchronous}.db`);
    await using writer = await WriterStore.open<Database>({
      database: `sqlite:${name("ours")}`,
      synchronous,
    });
    await writer.transaction("create", ({ db }) => createUsers(db));
    const bare = openBareKysely(name("bare"), synchronous);
    await createUsers(bare);
    const fast = size.isShort ? 2_000 : 10_000;
    const count = synchronous === "normal" ? fast : fast / 10;
    figures.push(
      await compete({
        name: `transactions with one log row, synchronous=${synchronous}`,
        unit: "transactions/s",
        against: "the same write in a bare Kysely transaction",
        rounds: size.isShort ? 3 : 9,
        ours: () => timeOurs(writer, count),
        baseline: () => timeBare(bare, count),
      }),
    );
    await bare.destroy();
  }
  return figures;
}

let lastVersion = 0;

/** Never twice the same: SQLite does not write a row that stays as it is. */
function nextVersion(): number {
  return lastVersion += 1;
}

async function createUsers(db: Kysely<Database>): Promise<void> {
  await db.schema.createTable("users")
    .addColumn("id", "integer", (column) => column.primaryKey())
    .addColumn("name", "text").addColumn("version", "integer").execute();
  for (let id = 0; id < ROWS; id += 1) {
    await db.insertInto("users").values({ id, name: `user ${id}`, version: 0 })
      .execute();
  }
}

async function timeOurs(
  writer: WriterStore<Database>,
  count: number,
): Promise<number> {
  const began = performance.now();
  for (let written = 0; written < count; written += 1) {
    const version = nextVersion();
    const id = version % ROWS;
    await writer.transaction("rename", async (txn) => {
      await txn.db.updateTable("users").set({
        name: `name ${version}`,
        version,
      })
        .where("id", "=", id).execute();
      txn.invalidate("get_user_by_id", [id]);
    });
  }
  return perSecond(count, performance.now() - began);
}

async function timeBare(db: Kysely<Database>, count: number): Promise<number> {
  const began = performance.now();
  for (let written = 0; written < count; written += 1) {
    const version = nextVersion();
    const id = version % ROWS;
    await db.transaction().execute(async (trx) => {
      await trx.updateTable("users").set({ name: `name ${version}`, version })
        .where("id", "=", id).execute();
    });
  }
  return perSecond(count, performance.now() - began);
}

/**
 * The write that benchmarks share: one row of a thousand changes.
 *
 * @module
 */

import type { Kysely } from "kysely";
import type { WriterStore } from "headwater";
import type { Database } from "./store.ts";

const ROWS = 1_000;

let lastVersion = 0;

/** Never twice the same: SQLite does not write a row that stays as it is. */
export function nextVersion(): number {
  return lastVersion += 1;
}

/** Makes the rows. */
export async function createUsers(db: Kysely<Database>): Promise<void> {
  await db.schema.createTable("users")
    .addColumn("id", "integer", (column) => column.primaryKey())
    .addColumn("name", "text").addColumn("version", "integer").execute();
  const rows = Array.from(
    { length: ROWS },
    (_, id) => ({ id, name: `user ${id}`, version: 0 }),
  );
  await db.insertInto("users").values(rows).execute();
}

/** The statement that changes a row, and the row's id. */
export function renameQuery(db: Kysely<Database>, version: number) {
  const id = version % ROWS;
  const query = db.updateTable("users")
    .set({ name: `name ${version}`, version })
    .where("id", "=", id);
  return { id, query };
}

/** Changes a row, and invalidates one key. */
export async function rename(writer: WriterStore<Database>): Promise<void> {
  const version = nextVersion();
  await writer.transaction("rename", async (txn) => {
    const { id, query } = renameQuery(txn.db, version);
    await query.execute();
    txn.invalidate("get_user_by_id", [id]);
  });
}

/** Changes a row in a transaction of Kysely's. */
export async function renameBare(db: Kysely<Database>): Promise<void> {
  const version = nextVersion();
  await db.transaction().execute(async (trx) => {
    await renameQuery(trx, version).query.execute();
  });
}

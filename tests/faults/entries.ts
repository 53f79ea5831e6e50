// What the writers under fire write: entries with ids of their own, which the
// table would take twice, and an event of the same name beside each.

import type { WriterStore } from "../../mod.ts";

/** Its tables. */
export interface EntryDatabase {
  entries: { id: string; attempt: number; filling: string };
}

/** Makes them. */
export async function createEntries(
  writer: WriterStore<EntryDatabase>,
): Promise<void> {
  await writer.transaction("create entries", async (txn) => {
    await txn.db.schema.createTable("entries").ifNotExists()
      .addColumn("id", "text", (column) => column.notNull())
      .addColumn("attempt", "integer", (column) => column.notNull())
      .addColumn("filling", "text", (column) => column.notNull())
      .execute();
  });
}

/** What a writer under fire says of one entry. */
export interface Told {
  readonly id: string;
  /** If it was acknowledged. */
  readonly token?: number;
  /** If it failed. */
  readonly code?: string;
  /** The error's class, and its text. */
  readonly error?: string;
}

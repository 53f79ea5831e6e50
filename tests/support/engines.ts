// Databases without a store around them.

import type { Kysely } from "kysely";
import type { Test } from "tap";
import type { Engine } from "../../src/database/engine.ts";
import { openDatabase } from "../../src/database/open_database.ts";
import type { SqliteOptions } from "../../src/database/sqlite_engine.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { temporaryDatabase } from "./folders.ts";

/** A table of things. */
export interface ThingDatabase {
  things: { id: number; name: string | null };
}

/** An engine on a file of its own, or on the given one; it is closed with the test. */
export function openEngine(
  t: Test,
  url: string = temporaryDatabase(t),
  options: SqliteOptions = {},
): Engine<ThingDatabase> {
  const engine = openDatabase<ThingDatabase>(url, systemClock, {
    synchronous: "normal",
    ...options,
  });
  t.teardown(() => engine.close());
  return engine;
}

/** An engine whose table holds the things 1 to `count`. */
export async function openThings(
  t: Test,
  url?: string,
  options?: SqliteOptions,
  count = 3,
): Promise<Engine<ThingDatabase>> {
  const engine = openEngine(t, url, options);
  await engine.transaction("create things", async ({ db }) => {
    await db.schema.createTable("things")
      .addColumn("id", "integer", (column) => column.primaryKey())
      .addColumn("name", "text")
      .execute();
    for (let id = 1; id <= count; id += 1) await addThing(db, id);
  });
  return engine;
}

/** Adds one. */
export async function addThing(
  db: Pick<Kysely<ThingDatabase>, "insertInto">,
  id: number,
): Promise<void> {
  await db.insertInto("things").values({ id, name: `thing ${id}` }).execute();
}

/** The ids of the things that can be seen. */
export async function readIds(
  db: Pick<Kysely<ThingDatabase>, "selectFrom">,
): Promise<number[]> {
  const rows = await db.selectFrom("things").select("id").orderBy("id")
    .execute();
  return rows.map(({ id }) => id);
}

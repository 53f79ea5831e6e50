// The databases that a test of both engines runs on.

import type { Test } from "tap";
import { temporaryDatabase } from "./folders.ts";
import { postgresDatabase } from "./postgres.ts";

/** Runs a test on an SQLite file, and on PostgreSQL. */
export function onEachEngine(
  t: Test,
  name: string,
  run: (t: Test, database: string) => Promise<void>,
): void {
  t.test(`${name} (SQLite)`, (t) => run(t, temporaryDatabase(t)));
  t.test(`${name} (PostgreSQL)`, async (t) =>
    await run(t, await postgresDatabase(t)));
}

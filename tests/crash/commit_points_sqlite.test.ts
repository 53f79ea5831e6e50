// Promise 1 on SQLite: see commit_points_kills.ts.

import t from "tap";
import { DatabaseSync } from "node:sqlite";
import { temporaryDatabase } from "../support/folders.ts";
import { SQLITE_POINTS } from "./commit_points.ts";
import { killAtPoints } from "./commit_points_kills.ts";

t.test("writers that are killed at each point of a commit", async (t) => {
  const database = temporaryDatabase(t);
  const outside = new DatabaseSync(database.slice("sqlite:".length));
  t.teardown(() => outside.close());
  const read = (sql: string) => Promise.resolve(outside.prepare(sql).all());
  await killAtPoints(t, database, read, SQLITE_POINTS);
});

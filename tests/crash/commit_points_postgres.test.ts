// Promise 1 on PostgreSQL: see commit_points_kills.ts.

import postgres from "postgres";
import t from "tap";
import { postgresDatabase } from "../support/postgres.ts";
import { POSTGRES_POINTS } from "./commit_points.ts";
import { killAtPoints } from "./commit_points_kills.ts";

t.test("writers that are killed at each point of a commit", async (t) => {
  const database = await postgresDatabase(t);
  const outside = postgres(database, { max: 1, onnotice: () => {} });
  t.teardown(() => outside.end());
  const read = async (sql: string) => [...await outside.unsafe(sql)];
  await killAtPoints(t, database, read, POSTGRES_POINTS);
});

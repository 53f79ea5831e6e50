/**
 * A row and its record in PostgreSQL's log, by hand: what a log within the
 * data's own transaction takes, whoever keeps it.
 *
 * @module
 */

import { WriterStore } from "headwater";
import type { Kysely } from "kysely";
import postgres, { type ReservedSql } from "postgres";
import { nextVersion, renameQuery } from "./rename.ts";
import type { Database } from "./store.ts";

const RECORD = `INSERT INTO headwater_log
  (token, stream, instance, commit_id, committed_ms, row_count, body)
  VALUES (CASE WHEN EXISTS (SELECT 1 FROM headwater_instances
    WHERE name = $1 AND fence = $2) THEN nextval('headwater_tokens') END,
    'caches', $1, $3, $4, 1, $5)
  RETURNING token`;
const PREPARED = { prepare: true };

/** Connections, and what is done with them. */
export interface ByHand {
  /** Changes a row, and records that a key is invalidated. */
  rename(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens connections to a database that has the rows; makes the log's tables.
 *
 * Statements leave as ours do: BEGIN with the first, COMMIT with the last.
 *
 * @param kysely Makes the statement that changes the row.
 */
export async function openByHand(
  url: string,
  connections: number,
  kysely: Kysely<Database>,
): Promise<ByHand> {
  await (await WriterStore.open({ database: url })).close();
  const clients = Array.from(
    { length: connections },
    () => postgres(url, { max: 1, onnotice: () => {} }),
  );
  const free: ReservedSql[] = [];
  for (const client of clients) {
    // To reserve a connection that isn't there yet takes for ever in 3.4.9.
    await client`SELECT 1`;
    free.push(await client.reserve());
  }
  const [row] =
    await (free[0] as ReservedSql)`SELECT name, fence FROM headwater_instances`;
  const lease = [row?.["name"], row?.["fence"]];
  const waiting: ((connection: ReservedSql) => void)[] = [];
  return {
    async rename() {
      const connection = free.pop() ??
        await new Promise<ReservedSql>((resolve) => waiting.push(resolve));
      const version = nextVersion();
      const { id, query } = renameQuery(kysely, version);
      const { sql, parameters } = query.compile();
      const begun = connection.unsafe("BEGIN").execute();
      await connection.unsafe(sql, [...parameters] as never[], PREPARED);
      await begun;
      const now = Date.now();
      const body = `["get_user_by_id",${now},[${id}]]`;
      await Promise.all([
        connection.unsafe(
          RECORD,
          [...lease, `commit ${version}`, now, body],
          PREPARED,
        ),
        connection.unsafe("COMMIT"),
      ]);
      const next = waiting.shift();
      if (next === undefined) free.push(connection);
      else next(connection);
    },
    async close() {
      await Promise.all(clients.map((client) => client.end({ timeout: 0 })));
    },
  };
}

// What is in the database, read past the library, and what must be true of it
// when nobody writes.

import type { Test } from "tap";
import { type Acknowledged, laneOf, partsOf } from "./commit_points.ts";

/** Runs a query past the library. */
export type ReadRows = (sql: string) => Promise<Record<string, unknown>[]>;

/** An event, as it is in the log and as a reader is told of it. */
export type SeenEvent = readonly [
  token: number,
  aggregate: string,
  version: number,
  part: string,
  write: number,
];

/** A write, as it is in the log. */
export interface LoggedWrite extends Acknowledged {
  readonly events: readonly SeenEvent[];
}

/** The writes that are in the log after a token, in token order; torn ones fail. */
export async function readLog(
  t: Test,
  read: ReadRows,
  after: number,
): Promise<LoggedWrite[]> {
  const records = await read(
    `SELECT token, stream, commit_id, row_count, body FROM headwater_log
    WHERE token > ${after} ORDER BY token, stream`,
  );
  const appends = await read(
    `SELECT aggregate, first_version, last_version, token
    FROM headwater_appends WHERE token > ${after}`,
  );
  const tokens = [...new Set(records.map(({ token }) => Number(token)))];
  if (appends.length !== tokens.length) t.fail("appends without events");
  return tokens.map((token) => {
    const own = records.filter((record) => Number(record.token) === token);
    const rows = own.map(({ body }) =>
      String(body).split("\n").map((row) => JSON.parse(row))
    );
    const [caches = [], logged = []] = rows;
    const events = logged.map((
      [aggregate, version, part, , data],
    ): SeenEvent => [token, aggregate, version, part, data?.write]);
    const write = Number(events[0]?.[4]);
    const lane = laneOf(write);
    const append = appends.find((append) => Number(append.token) === token);
    const isWhole = own.map(({ stream }) =>
          stream
        ).join() === "caches,events" &&
      own[0]?.commit_id === own[1]?.commit_id &&
      Number(own[1]?.row_count) === logged.length &&
      // One line for all that is invalidated: a name, a time, the keys.
      Number(own[0]?.row_count) === 1 && caches.length === 1 &&
      JSON.stringify([caches[0]?.[0], caches[0]?.[2]]) ===
        JSON.stringify(["getUserById", [lane]]) &&
      events.map(([, , , part]) => part).join() === partsOf(write).join() &&
      events.every(([, aggregate, version, , of], i) =>
        aggregate === lane && of === write &&
        version === Number(append?.first_version) + i &&
        (i < events.length - 1 || version === Number(append?.last_version))
      );
    if (!isWhole) t.fail("a torn transaction", { own, append });
    return { write, token, events };
  });
}

/** The parts of writes that are in the data, from a write's number on. */
export async function readParts(
  read: ReadRows,
  first: number,
): Promise<string[]> {
  const rows = await read(
    `SELECT id FROM users WHERE version >= ${first} AND id NOT LIKE 'lane%'`,
  );
  return rows.map(({ id }) => String(id)).sort();
}

/** The newest write of each lane that is in the data. */
export async function readLanes(read: ReadRows): Promise<[string, number][]> {
  const rows = await read(
    "SELECT id, version FROM users WHERE id LIKE 'lane%' ORDER BY id",
  );
  return rows.map(({ id, version }) => [String(id), Number(version)]);
}

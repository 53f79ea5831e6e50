/**
 * Writing a transaction's rows into PostgreSQL's log, together with its commit.
 *
 * @module
 */

import type {
  CommitSession,
  Session,
  SqlParameter,
} from "../database/engine.ts";
import { parseToken, type Token } from "../tokens/token.ts";
import { type Lease, leaseLostError } from "./lease.ts";
import { NO_STREAM } from "./log_schema.ts";
import type { LogEntry, RecordBody } from "./record.ts";

/**
 * The next token, or NULL, which the log refuses, if the lease is not ours any
 * more.
 *
 * Promise 8: the statement locks the log's table before it takes its snapshot,
 * so that whoever takes the name, and then waits for all who hold that lock,
 * has either been seen here or waits for this transaction.
 */
const TOKEN = `CASE WHEN EXISTS (SELECT 1 FROM headwater_instances
  WHERE name = ? AND fence = ?::bigint) THEN nextval('headwater_tokens') END`;

/** A snapshot that is older than the statement must not hide a new holder. */
const LOCKED_TOKEN = TOKEN.replace(
  "?::bigint)",
  "?::bigint FOR KEY SHARE)",
);

const COLUMNS =
  "(token, stream, instance, commit_id, committed_ms, row_count, body)";

const insertOne = (token: string) =>
  `INSERT INTO headwater_log ${COLUMNS}
  VALUES (${token}, ?, ?, ?, ?, ?, ?) RETURNING token`;

/** Events of one aggregate alone: the arrays of `insertMany` cost 80 µs. */
const insertAppend = (token: string) =>
  `WITH taken AS (SELECT ${token} AS token),
  records AS (INSERT INTO headwater_log ${COLUMNS}
    SELECT token, ?, ?, ?, ?::bigint, ?::bigint, ? FROM taken)
  INSERT INTO headwater_appends
      (aggregate, first_version, last_version, token, is_last)
    SELECT ?, ?::bigint, ?::bigint, token, ?::bigint FROM taken
  RETURNING token`;

const insertMany = (token: string) =>
  `WITH taken AS (SELECT ${token} AS token),
  records AS (INSERT INTO headwater_log ${COLUMNS}
    SELECT taken.token, r.stream, ?, ?, ?::bigint, r.row_count, r.body
    FROM taken, unnest(?::text[], ?::bigint[], ?::text[])
      AS r (stream, row_count, body)),
  appends AS (INSERT INTO headwater_appends
      (aggregate, first_version, last_version, token, is_last)
    SELECT a.aggregate, a.first, a.last, taken.token, a.is_last
    FROM taken, unnest(?::text[], ?::bigint[], ?::bigint[], ?::bigint[])
      AS a (aggregate, first, last, is_last)),
  ids AS (INSERT INTO headwater_event_ids (event_id, aggregate, version, token)
    SELECT i.event_id, i.aggregate, i.version, taken.token
    FROM taken, unnest(?::text[], ?::text[], ?::bigint[])
      AS i (event_id, aggregate, version))
  SELECT token FROM taken`;

const INSERT_ONE = insertOne(TOKEN);
const INSERT_ONE_LOCKED = insertOne(LOCKED_TOKEN);
const INSERT_APPEND = insertAppend(TOKEN);
const INSERT_APPEND_LOCKED = insertAppend(LOCKED_TOKEN);
const INSERT_MANY = insertMany(TOKEN);
const INSERT_MANY_LOCKED = insertMany(LOCKED_TOKEN);

const NOT_NULL_VIOLATION = "23502";

/**
 * Records a transaction under the next token of the sequence, and commits it:
 * both leave in one packet. Whether the token is complete is the caller's to
 * keep track of, as another that is lower may still be open.
 *
 * @param session The transaction that wrote the data.
 * @param lease The right to write.
 * @param entry The rows to record.
 * @param isSnapshotOld Whether the transaction sees the database as it was when it began.
 * @returns The transaction's token.
 * @throws {HeadwaterError} `LEASE_LOST` if this process may not write any more.
 */
export async function appendAndCommit(
  session: CommitSession,
  lookup: Session,
  lease: Lease,
  entry: LogEntry,
  isSnapshotOld: boolean,
): Promise<Token> {
  const { instance, fence } = lease;
  const { bodies, commitId, committedMs, appends = [], eventIds = [] } = entry;
  const [append] = appends;
  let sql: string;
  let parameters: SqlParameter[];
  if (bodies.size <= 1 && appends.length <= 1 && eventIds.length === 0) {
    const [stream, { rowCount, body }] = bodies.entries().next().value ??
      NO_ROWS;
    parameters = [
      instance,
      fence,
      stream,
      instance,
      commitId,
      committedMs,
      rowCount,
      body,
    ];
    if (append === undefined) {
      sql = isSnapshotOld ? INSERT_ONE_LOCKED : INSERT_ONE;
    } else {
      sql = isSnapshotOld ? INSERT_APPEND_LOCKED : INSERT_APPEND;
      const { aggregate, first, last, isLast } = append;
      parameters.push(aggregate, first, last, isLast ? 1 : 0);
    }
  } else {
    sql = isSnapshotOld ? INSERT_MANY_LOCKED : INSERT_MANY;
    const records = [...bodies];
    parameters = [
      instance,
      fence,
      instance,
      commitId,
      committedMs,
      records.map(([stream]) => stream),
      records.map(([, { rowCount }]) => rowCount),
      records.map(([, { body }]) => body),
      appends.map(({ aggregate }) => aggregate),
      appends.map(({ first }) => first),
      appends.map(({ last }) => last),
      appends.map(({ isLast }) => isLast ? 1 : 0),
      eventIds.map(({ eventId }) => eventId),
      eventIds.map(({ aggregate }) => aggregate),
      eventIds.map(({ version }) => version),
    ];
  }
  try {
    const [row] = await session.commit(sql, parameters);
    return parseToken(Number(row?.[0]));
  } catch (error) {
    const { code, column_name } = Object(error) as Record<string, unknown>;
    if (code !== NOT_NULL_VIOLATION || column_name !== "token") throw error;
    throw await leaseLostError(lookup, lease);
  }
}

const NO_ROWS: readonly [string, RecordBody] = [
  NO_STREAM,
  { rowCount: 0, body: "" },
];

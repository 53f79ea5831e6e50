/**
 * Writing transactions' rows into PostgreSQL's log, together with their commit.
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
import type { AppendedVersions, LogEntry, RecordBody } from "./record.ts";

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

/** Events of one aggregate alone: the lists of `insertMany` cost 80 µs. */
const insertAppend = (token: string) =>
  `WITH taken AS (SELECT ${token} AS token),
  records AS (INSERT INTO headwater_log ${COLUMNS}
    SELECT token, ?, ?, ?, ?::bigint, ?::bigint, ? FROM taken)
  INSERT INTO headwater_appends
      (aggregate, first_version, last_version, token, is_last)
    SELECT ?, ?::bigint, ?::bigint, token, ?::bigint FROM taken
  RETURNING token`;

/**
 * The lists tell of each item whose it is: the first's, the second's, … If any
 * comes too late to its aggregate, nothing is written, and those are told: an
 * aggregate's last append is looked up as where one stands always is.
 */
const insertMany = (token: string) =>
  `WITH given AS MATERIALIZED (SELECT * FROM unnest(?::int[], ?::text[],
      ?::bigint[], ?::bigint[], ?::bigint[])
      AS a (whose, aggregate, first, last, is_last)),
  stale AS MATERIALIZED (SELECT whose FROM given WHERE first <= (
    SELECT last_version FROM headwater_appends a
    WHERE a.aggregate = given.aggregate ORDER BY first_version DESC LIMIT 1)),
  taken AS (SELECT ARRAY(
    SELECT ${token} FROM generate_series(1, ?::bigint)) AS tokens
    WHERE NOT EXISTS (SELECT 1 FROM stale)),
  records AS (INSERT INTO headwater_log ${COLUMNS}
    SELECT tokens[r.whose], r.stream, ?, r.commit_id, r.committed_ms,
      r.row_count, r.body
    FROM taken, unnest(?::int[], ?::text[], ?::text[], ?::bigint[],
      ?::bigint[], ?::text[])
      AS r (whose, stream, commit_id, committed_ms, row_count, body)),
  appends AS (INSERT INTO headwater_appends
      (aggregate, first_version, last_version, token, is_last)
    SELECT aggregate, first, last, tokens[whose], is_last FROM taken, given),
  ids AS (INSERT INTO headwater_event_ids (event_id, aggregate, version, token)
    SELECT i.event_id, i.aggregate, i.version, tokens[i.whose]
    FROM taken, unnest(?::int[], ?::text[], ?::text[], ?::bigint[])
      AS i (whose, event_id, aggregate, version))
  SELECT token, NULL FROM taken, unnest(tokens) AS t (token)
  UNION ALL SELECT NULL, whose FROM stale`;

const INSERT_ONE = insertOne(TOKEN);
const INSERT_ONE_LOCKED = insertOne(LOCKED_TOKEN);
const INSERT_APPEND = insertAppend(TOKEN);
const INSERT_APPEND_LOCKED = insertAppend(LOCKED_TOKEN);
const INSERT_MANY = insertMany(TOKEN);
const INSERT_MANY_LOCKED = insertMany(LOCKED_TOKEN);

const NOT_NULL_VIOLATION = "23502";

/**
 * Records transactions, each under a token of its own of the sequence, and
 * commits them: all, or none. Both leave in one packet. Whether a token is
 * complete is the caller's to keep track of, as one that is lower may still be
 * open.
 *
 * @param session The transaction that wrote the data.
 * @param lookup Where to look if it is refused.
 * @param lease The right to write.
 * @param entries What to record, in the order of their appends.
 * @param isSnapshotOld Whether the transaction sees the database as it was when it began.
 * @returns The transactions' tokens, in order; or, if some come too late to
 *   their aggregates, which.
 * @throws {HeadwaterError} `LEASE_LOST` if this process may not write any more.
 */
export async function appendAndCommit(
  session: CommitSession,
  lookup: Session,
  lease: Lease,
  entries: readonly LogEntry[],
  isSnapshotOld: boolean,
): Promise<Appended> {
  const [only] = entries;
  const isOne = entries.length === 1 && only !== undefined && isPlain(only);
  const [sql, parameters] = isOne
    ? ofOne(lease, only, isSnapshotOld)
    : ofMany(lease, entries, isSnapshotOld);
  try {
    const rows = await session.commit(sql, parameters);
    const stale = new Set<number>();
    const tokens: Token[] = [];
    for (const [token, whose] of rows) {
      if (token === null) stale.add(Number(whose) - 1);
      else tokens.push(parseToken(Number(token)));
    }
    return { tokens, stale };
  } catch (error) {
    const { code, column_name } = Object(error) as Record<string, unknown>;
    if (code !== NOT_NULL_VIOLATION || column_name !== "token") throw error;
    throw await leaseLostError(lookup, lease);
  }
}

/** What became of transactions that were to be recorded. */
export interface Appended {
  /** Their tokens, in order; none if any is stale. */
  readonly tokens: readonly Token[];
  /** Those whose aggregates have later events by now; nothing was written then. */
  readonly stale: ReadonlySet<number>;
}

type Statement = readonly [sql: string, parameters: readonly SqlParameter[]];

/** One record, and events of one aggregate at most. */
function isPlain({ bodies, appends, eventIds }: LogEntry): boolean {
  return bodies.size <= 1 && (appends?.length ?? 0) <= 1 &&
    (eventIds?.length ?? 0) === 0;
}

function ofOne(
  { instance, fence }: Lease,
  { bodies, commitId, committedMs, appends }: LogEntry,
  isSnapshotOld: boolean,
): Statement {
  const [[stream, { rowCount, body }] = NO_ROWS] = bodies;
  const record: readonly SqlParameter[] = [
    instance,
    fence,
    stream,
    instance,
    commitId,
    committedMs,
    rowCount,
    body,
  ];
  const append = appends?.[0];
  if (append === undefined) {
    return [isSnapshotOld ? INSERT_ONE_LOCKED : INSERT_ONE, record];
  }
  const { aggregate, first, last, isLast } = append;
  return [
    isSnapshotOld ? INSERT_APPEND_LOCKED : INSERT_APPEND,
    [...record, aggregate, first, last, isLast ? 1 : 0],
  ];
}

function ofMany(
  { instance, fence }: Lease,
  entries: readonly LogEntry[],
  isSnapshotOld: boolean,
): Statement {
  const records = entries.flatMap(({ bodies, ...entry }, index) =>
    [...(bodies.size === 0 ? [NO_ROWS] : bodies)].map(([stream, body]) => ({
      ...entry,
      ...body,
      whose: index + 1,
      stream,
    }))
  );
  // Others that append to the same do so in the same order: nobody waits in a ring.
  const appends = entries.flatMap(({ appends = [] }, index) =>
    appends.map((append) => ({ ...append, whose: index + 1 }))
  ).sort(byAggregate);
  const ids = entries.flatMap(({ eventIds = [] }, index) =>
    eventIds.map((id) => ({ ...id, whose: index + 1 }))
  );
  return [isSnapshotOld ? INSERT_MANY_LOCKED : INSERT_MANY, [
    appends.map(({ whose }) => whose),
    appends.map(({ aggregate }) => aggregate),
    appends.map(({ first }) => first),
    appends.map(({ last }) => last),
    appends.map(({ isLast }) => isLast ? 1 : 0),
    instance,
    fence,
    entries.length,
    instance,
    records.map(({ whose }) => whose),
    records.map(({ stream }) => stream),
    records.map(({ commitId }) => commitId),
    records.map(({ committedMs }) => committedMs),
    records.map(({ rowCount }) => rowCount),
    records.map(({ body }) => body),
    ids.map(({ whose }) => whose),
    ids.map(({ eventId }) => eventId),
    ids.map(({ aggregate }) => aggregate),
    ids.map(({ version }) => version),
  ]];
}

function byAggregate(
  { aggregate: a }: AppendedVersions,
  { aggregate: b }: AppendedVersions,
): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

const NO_ROWS: readonly [string, RecordBody] = [
  NO_STREAM,
  { rowCount: 0, body: "" },
];

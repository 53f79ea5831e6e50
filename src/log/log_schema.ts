/**
 * The tables of the log, and how they came to be.
 *
 * @module
 */

import type { SqlDialect } from "../database/engine.ts";
import type { Migration } from "../database/migrator.ts";

/**
 * What separates the lines of a record's body. JSON on one line never holds it,
 * so a body is cut into rows for the wire without being parsed. One line of the
 * `caches` stream may stand for many rows.
 */
export const ROW_SEPARATOR = "\n";

/**
 * The stream of a record that stands for a transaction without rows. Its token
 * and its commit id are part of the history like any other's.
 */
export const NO_STREAM = "";

/** The stream that {@linkcode LOG_MIGRATIONS} keeps an index of. */
export const EVENTS_STREAM = "events";

/**
 * Newest last; never changed once released.
 *
 * - `headwater_log`: one record for each token and stream. SQLite's is in the
 *   order of its key (`log_key.ts`): appending touches one page at the
 *   right-hand end, and a range of tokens is read in order.
 * - `headwater_instances`: who may write under a name, and its `position` when
 *   it last told. SQLite: no token was ever given beyond its `last_token`, which
 *   is apart from the log, so that deleting the log's tail never frees one.
 * - `headwater_holders`: each process that has held a name, and where the log
 *   ended when it began: what it wrote is part of the log's history if no later
 *   one began before it.
 * - `headwater_appends`: which versions of an aggregate stand under which
 *   token. The events themselves are rows of the log.
 * - `headwater_event_ids`: the ids that users gave to events.
 * - `headwater_snapshots`: folded aggregates.
 * - `headwater_projections`, `headwater_parked`: how far each has got, and what
 *   it could not take; both for the tables that serve, and for those that are
 *   being built to take their place.
 * - `headwater_retained`: up to where rows of a stream may have been deleted.
 * - `headwater_time_ranges`: of some thousand records of `events` each, the oldest
 *   and the newest time.
 * - `headwater_meta`: what is said once of the whole log: its identity.
 * - `headwater_calls`: what was answered to calls, so that one that is repeated
 *   gets the same answer and changes nothing.
 */
export const LOG_MIGRATIONS: readonly Migration[] = [
  {
    version: 1,
    name: "log, instances and events",
    statements: (dialect) => [
      table(dialect, "headwater_log", [
        "token INTEGER NOT NULL",
        "stream TEXT NOT NULL",
        "instance TEXT NOT NULL",
        "commit_id TEXT NOT NULL",
        "committed_ms INTEGER NOT NULL",
        "row_count INTEGER NOT NULL",
        "body TEXT NOT NULL",
        "PRIMARY KEY (token, stream)",
      ]),
      table(dialect, "headwater_instances", [
        "name TEXT NOT NULL PRIMARY KEY",
        "last_token INTEGER NOT NULL",
        "fence INTEGER NOT NULL",
        "host TEXT NOT NULL",
        "pid INTEGER NOT NULL",
        "process_mark TEXT NOT NULL",
        "started_ms INTEGER NOT NULL",
        "expires_ms INTEGER NOT NULL",
      ]),
      table(dialect, "headwater_events", [
        "aggregate TEXT NOT NULL",
        "version INTEGER NOT NULL",
        "token INTEGER NOT NULL",
        "type TEXT NOT NULL",
        "event_id TEXT NOT NULL",
        "data TEXT NOT NULL",
        "metadata TEXT NOT NULL",
        "PRIMARY KEY (aggregate, version)",
      ]),
    ],
  },
  {
    version: 2,
    name: "holders, appends, snapshots, projections and retention",
    statements: (dialect) => [
      ...(dialect === "postgres" ? ONLY_POSTGRES : []),
      "CREATE INDEX ix_headwater_log_events ON headwater_log (token) " +
      `WHERE stream = '${EVENTS_STREAM}'`,
      "ALTER TABLE headwater_instances ADD COLUMN holder TEXT NOT NULL DEFAULT ''",
      "ALTER TABLE headwater_instances ADD COLUMN position " +
      `${dialect === "sqlite" ? "INTEGER" : "BIGINT"} NOT NULL DEFAULT 0`,
      table(dialect, "headwater_holders", [
        "instance TEXT NOT NULL",
        "fence INTEGER NOT NULL",
        "holder TEXT NOT NULL",
        "start_token INTEGER NOT NULL",
        "started_ms INTEGER NOT NULL",
        "PRIMARY KEY (instance, fence)",
      ]),
      table(dialect, "headwater_appends", [
        "aggregate TEXT NOT NULL",
        "first_version INTEGER NOT NULL",
        "last_version INTEGER NOT NULL",
        "token INTEGER NOT NULL",
        "is_last INTEGER NOT NULL",
        "PRIMARY KEY (aggregate, first_version)",
      ]),
      "INSERT INTO headwater_appends SELECT aggregate, min(version), " +
      "max(version), token, 0 FROM headwater_events GROUP BY aggregate, token",
      "DROP TABLE headwater_events",
      table(dialect, "headwater_event_ids", [
        "event_id TEXT NOT NULL PRIMARY KEY",
        "aggregate TEXT NOT NULL",
        "version INTEGER NOT NULL",
        "token INTEGER NOT NULL",
      ]),
      table(dialect, "headwater_snapshots", [
        "aggregate TEXT NOT NULL",
        "reducer TEXT NOT NULL",
        "reducer_version INTEGER NOT NULL",
        "version INTEGER NOT NULL",
        "state TEXT NOT NULL",
        "PRIMARY KEY (aggregate, reducer)",
      ]),
      table(dialect, "headwater_projections", [
        "name TEXT NOT NULL PRIMARY KEY",
        "version INTEGER NOT NULL",
        // NULL for one that is inline: it has no way to fall behind.
        "position INTEGER",
        "done INTEGER NOT NULL",
        // NULL, -1 if it was asked for, or how far it has got.
        "rebuild_position INTEGER",
        "fence INTEGER NOT NULL",
        "holder TEXT NOT NULL",
        "expires_ms INTEGER NOT NULL",
        "updated_ms INTEGER NOT NULL",
      ]),
      table(dialect, "headwater_parked", [
        "projection TEXT NOT NULL",
        "token INTEGER NOT NULL",
        "ordinal INTEGER NOT NULL",
        "attempts INTEGER NOT NULL",
        "error TEXT NOT NULL",
        "parked_ms INTEGER NOT NULL",
        "PRIMARY KEY (projection, token, ordinal)",
      ]),
      table(dialect, "headwater_retained", [
        "stream TEXT NOT NULL PRIMARY KEY",
        "floor_token INTEGER NOT NULL",
      ]),
    ],
  },
  {
    version: 3,
    name: "a key for the log that SQLite appends to faster",
    statements: (dialect) => dialect === "sqlite" ? REKEY_SQLITE : [],
  },
  {
    version: 4,
    name: "the log's identity",
    statements: (dialect) => [
      table(dialect, "headwater_meta", [
        "name TEXT NOT NULL PRIMARY KEY",
        "value TEXT NOT NULL",
      ]),
      // Drawn by the database: a copy or a restored backup of it keeps it.
      "INSERT INTO headwater_meta (name, value) VALUES " +
      `('log_id', ${RANDOM_ID[dialect]})`,
    ],
  },
  {
    version: 5,
    name: "calls",
    statements: (dialect) => [
      table(dialect, "headwater_calls", [
        "id TEXT NOT NULL PRIMARY KEY",
        "instance TEXT NOT NULL",
        // Of the name and the arguments: an id stands for one call only.
        "digest TEXT NOT NULL",
        // By these the transaction's token is found.
        "commit_id TEXT NOT NULL",
        "after_token INTEGER NOT NULL",
        "response TEXT NOT NULL",
        "called_ms INTEGER NOT NULL",
      ]),
      "CREATE INDEX ix_headwater_calls_age ON headwater_calls (called_ms)",
    ],
  },
  {
    version: 6,
    name: "rebuilds that park events of their own, and how fast they are",
    statements: (dialect) => [
      // Counts the swaps: the names of indexes differ by it.
      column(dialect, "headwater_projections", "build INTEGER"),
      column(dialect, "headwater_projections", "rate REAL"),
      column(dialect, "headwater_projections", "rebuild_version INTEGER"),
      column(dialect, "headwater_projections", "rebuild_done INTEGER"),
      column(dialect, "headwater_projections", "rebuild_rate REAL"),
      // A table can't be given another key, nor, in a schema, another name, by
      // one statement for both databases.
      "CREATE TABLE headwater_parked_before AS SELECT * FROM headwater_parked",
      "DROP TABLE headwater_parked",
      table(dialect, "headwater_parked", [
        "projection TEXT NOT NULL",
        "is_rebuild INTEGER NOT NULL",
        "token INTEGER NOT NULL",
        "ordinal INTEGER NOT NULL",
        "attempts INTEGER NOT NULL",
        "error TEXT NOT NULL",
        "parked_ms INTEGER NOT NULL",
        "PRIMARY KEY (projection, is_rebuild, token, ordinal)",
      ]),
      "INSERT INTO headwater_parked SELECT projection, 0, token, ordinal, " +
      "attempts, error, parked_ms FROM headwater_parked_before",
      "DROP TABLE headwater_parked_before",
    ],
  },
  {
    version: 7,
    name: "invalidations as runs",
    // The tables stay: what went before can't read the bodies.
    statements: () => [],
  },
  {
    version: 8,
    name: "when events were committed",
    statements: (dialect) => [
      table(dialect, "headwater_time_ranges", [
        "upto_token INTEGER NOT NULL PRIMARY KEY",
        "after_token INTEGER NOT NULL",
        "oldest_ms INTEGER NOT NULL",
        "newest_ms INTEGER NOT NULL",
      ]),
    ],
  },
];

const OTHER_COLUMNS =
  "stream, instance, commit_id, committed_ms, row_count, body";

const REKEY_SQLITE = [
  `CREATE TABLE headwater_rekeyed (
    id INTEGER PRIMARY KEY,
    token INTEGER NOT NULL GENERATED ALWAYS AS (id >> 9) VIRTUAL,
    stream TEXT NOT NULL,
    instance TEXT NOT NULL,
    commit_id TEXT NOT NULL,
    committed_ms INTEGER NOT NULL,
    row_count INTEGER NOT NULL,
    body TEXT NOT NULL
  ) STRICT`,
  `INSERT INTO headwater_rekeyed (id, ${OTHER_COLUMNS})
  SELECT (token << 9) + CASE
      WHEN stream = '${EVENTS_STREAM}' THEN 256
      WHEN stream < '${EVENTS_STREAM}' THEN 0 ELSE 257
    END + CASE stream WHEN '${EVENTS_STREAM}' THEN 0 ELSE
      row_number() OVER (PARTITION BY token ORDER BY stream) - 1
    END, ${OTHER_COLUMNS}
  FROM headwater_log ORDER BY token, stream`,
  "DROP TABLE headwater_log",
  "ALTER TABLE headwater_rekeyed RENAME TO headwater_log",
  "CREATE INDEX ix_headwater_log_events ON headwater_log (token) " +
  `WHERE stream = '${EVENTS_STREAM}'`,
];

const RANDOM_ID: Readonly<Record<SqlDialect, string>> = {
  sqlite: "lower(hex(randomblob(8)))",
  postgres: "substr(md5(gen_random_uuid()::text), 1, 16)",
};

const ONLY_POSTGRES = [
  "CREATE SEQUENCE headwater_tokens",
  // Where each instance's log ends, however long it has been silent.
  "CREATE INDEX ix_headwater_log_instance ON headwater_log (instance, token)",
  // Makes the fence a part of a key: a row lock for a key's sake (FOR KEY SHARE)
  // then meets a new holder, and still lets renewals pass.
  "CREATE UNIQUE INDEX ix_headwater_instances_fence " +
  "ON headwater_instances (name, fence)",
];

/** Adds a column that is 0 in every row there is. */
function column(dialect: SqlDialect, name: string, added: string): string {
  const text = `ALTER TABLE ${name} ADD COLUMN ${added} NOT NULL DEFAULT 0`;
  return dialect === "sqlite" ? text : text.replace(" INTEGER", " BIGINT");
}

function table(
  dialect: SqlDialect,
  name: string,
  columns: readonly string[],
): string {
  const text = `CREATE TABLE ${name} (\n  ${columns.join(",\n  ")}\n)`;
  if (dialect === "sqlite") return `${text} STRICT, WITHOUT ROWID`;
  // Names are compared byte by byte, as SQLite does; a collation takes longer.
  return text.replaceAll(" INTEGER", " BIGINT")
    .replaceAll(" TEXT NOT NULL", ' TEXT COLLATE "C" NOT NULL');
}

/**
 * The tables of the log, and how they came to be.
 *
 * @module
 */

import type { Migration } from "../database/migrator.ts";

/**
 * What separates the rows of a record's body. JSON on one line never holds it,
 * so a body is cut into lines of the wire without being parsed.
 */
export const ROW_SEPARATOR = "\n";

/**
 * The stream of a record that stands for a transaction without rows. Its token
 * and its commit id are part of the history like any other's.
 */
export const NO_STREAM = "";

/**
 * Newest last; never changed once released.
 *
 * - `headwater_log`: one record for each token and stream. It is its own index
 *   (`WITHOUT ROWID`): appending touches one page at the right-hand end, and a
 *   range of tokens is read in order.
 * - `headwater_instances`: who may write under a name. No token was ever given
 *   beyond its `last_token`, which is apart from the log, so that deleting the
 *   log's tail never frees one.
 * - `headwater_events`: events by aggregate and version.
 */
export const LOG_MIGRATIONS: readonly Migration[] = [
  {
    version: 1,
    name: "log, instances and events",
    statements: [
      `CREATE TABLE headwater_log (
        token INTEGER NOT NULL,
        stream TEXT NOT NULL,
        instance TEXT NOT NULL,
        commit_id TEXT NOT NULL,
        committed_ms INTEGER NOT NULL,
        row_count INTEGER NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (token, stream)
      ) STRICT, WITHOUT ROWID`,
      `CREATE TABLE headwater_instances (
        name TEXT NOT NULL PRIMARY KEY,
        last_token INTEGER NOT NULL,
        fence INTEGER NOT NULL,
        host TEXT NOT NULL,
        pid INTEGER NOT NULL,
        process_mark TEXT NOT NULL,
        started_ms INTEGER NOT NULL,
        expires_ms INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID`,
      `CREATE TABLE headwater_events (
        aggregate TEXT NOT NULL,
        version INTEGER NOT NULL,
        token INTEGER NOT NULL,
        type TEXT NOT NULL,
        event_id TEXT NOT NULL,
        data TEXT NOT NULL,
        metadata TEXT NOT NULL,
        PRIMARY KEY (aggregate, version)
      ) STRICT, WITHOUT ROWID`,
    ],
  },
];

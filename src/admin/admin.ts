/**
 * A log, for those who look after it: beside its writers, or without any.
 *
 * @module
 */

import type { Engine, ReadEngine, Session } from "../database/engine.ts";
import {
  readSchemaVersion,
  requireKnownVersion,
} from "../database/migrator.ts";
import { openDatabase, openForReading } from "../database/open_database.ts";
import {
  TABLE_NAME_OPTIONS,
  type TableNameOptions,
} from "../database/table_names.ts";
import { LOG_MIGRATIONS } from "../log/log_schema.ts";
import {
  DEFAULT_RETENTION,
  requirePolicies,
  type Retained,
  retainStream,
  type RetentionPolicies,
} from "../log/retention.ts";
import {
  requestRebuild,
  requestRetry,
  requireProjection,
} from "../projections/administer.ts";
import {
  type ProjectionRecord,
  readProjections,
} from "../projections/checkpoint.ts";
import { type ParkedEvent, readParked } from "../projections/parked.ts";
import { measureAll, type ProjectionReport } from "../projections/progress.ts";
import { systemClock } from "../runtime/clock.ts";
import { HeadwaterError, quote } from "../runtime/errors.ts";
import { type OptionNames, requireNames } from "../runtime/option_names.ts";
import { hideSecrets } from "../runtime/secrets.ts";
import { type LogPositions, readPositions } from "./positions.ts";
import { type LoggedRecord, readLog, type ReadLogOptions } from "./read_log.ts";
import { readStreams } from "./streams.ts";
import { type Verification, verifyLog, type VerifyOptions } from "./verify.ts";

/** Where the library's tables stand in the database. */
export type AdminOptions = TableNameOptions;

/** What retention did to a stream. */
export interface RetainedStream extends Retained {
  /** The stream's name. */
  readonly stream: string;
}

/** How retention is run. */
export interface RetainStreamsOptions {
  /** Stops it between two transactions; the call then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** The names of {@linkcode RetainStreamsOptions}. */
export const RETAIN_OPTIONS: OptionNames<RetainStreamsOptions> = {
  signal: true,
};

/** Looks after a log. */
export interface Admin extends AsyncDisposable {
  /**
   * How far each instance has got, and who it is.
   *
   * On PostgreSQL it waits for transactions that are being committed.
   */
  positions(): Promise<LogPositions>;
  /**
   * Reads records of all instances in token order, page by page.
   *
   * @param options Which; `follow` to go on with what is written later.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for options that can't be;
   *   `LOG_REWOUND` where it follows a log that was restored; `ROW_INVALID`
   *   for a row that is no JSON; `CLOSED` once it is closed.
   */
  log(options?: ReadLogOptions): AsyncIterable<LoggedRecord>;
  /**
   * Checks the whole log, and what points at it.
   *
   * @param options Who is told how far it has got.
   */
  verify(options?: VerifyOptions): Promise<Verification>;
  /**
   * Deletes what need not be kept, in short transactions.
   *
   * @param policies What to keep, by stream; other streams are left alone.
   *   `caches` for 7 days by default.
   * @returns What was done to each stream.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for a policy that can't be.
   */
  retain(
    policies?: RetentionPolicies,
    options?: RetainStreamsOptions,
  ): Promise<RetainedStream[]>;
  /**
   * The streams that the log has, or had, rows of; the built-in ones first. The
   * whole log is looked through.
   */
  streams(): Promise<string[]>;
  /** Every projection that was ever run, by name. */
  projections(): Promise<ProjectionRecord[]>;
  /**
   * How far each projection has got, and how long the rest will take. This looks
   * at the events that they have yet to take, which takes longer the more there
   * are.
   */
  progress(): Promise<ProjectionReport[]>;
  /**
   * The events that a projection could not take in, the oldest 1,000: those that
   * its tables lack, then those that a rebuild under way does.
   *
   * @throws {HeadwaterError} `PROJECTION_UNKNOWN`.
   */
  parked(name: string): Promise<ParkedEvent[]>;
  /**
   * Asks whoever runs a projection to rebuild it from zero.
   *
   * @throws {HeadwaterError} `PROJECTION_UNKNOWN`; `EVENTS_DELETED` if retention
   *   has deleted some.
   */
  rebuildProjection(name: string): Promise<void>;
  /**
   * Asks whoever runs a projection to try its parked events again.
   *
   * @returns How many there are.
   * @throws {HeadwaterError} `PROJECTION_UNKNOWN`.
   */
  retryProjection(name: string): Promise<number>;
  /** Closes its connections, and ends what follows the log. */
  close(): Promise<void>;
}

type Tables = Record<string, never>;

/**
 * Opens a log to look after it. Its writers may be running, or not; nothing is
 * written but what is asked for.
 *
 * @param url `sqlite:FILE` or `postgres://…`; of PostgreSQL the server that is
 *   written to, not a replica.
 * @param options Where its tables stand.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for another URL;
 *   `DATABASE_UNAVAILABLE`; `DATABASE_INVALID` where there is no log, or that of
 *   an older release; `SCHEMA_TOO_NEW`.
 *
 * @example Usage
 * ```ts
 * import { openAdmin } from "headwater/admin";
 *
 * await using admin = await openAdmin("sqlite:app.db");
 * const { problemCount } = await admin.verify();
 * ```
 */
export async function openAdmin(
  url: string,
  options: AdminOptions = {},
): Promise<Admin> {
  requireNames("look after a log", TABLE_NAME_OPTIONS, options);
  if (url === "sqlite::memory:") throw memoryError();
  const reads = openForReading<Tables>(url, options);
  try {
    await requireLog(reads.session, url);
  } catch (error) {
    await reads.close();
    throw error;
  }
  return createAdmin(reads, () =>
    openDatabase<Tables>(
      url,
      systemClock,
      { ...options, maxWriteConnections: 1 },
      "headwater admin",
    ));
}

function createAdmin(
  reads: ReadEngine<Tables>,
  open: () => Engine<Tables>,
): Admin {
  const { session } = reads;
  const closing = new AbortController();
  let engine: Engine<Tables> | undefined;
  let closed: Promise<void> | undefined;
  const requireOpen = () => {
    if (closing.signal.aborted) throw closing.signal.reason;
  };
  // Opened for those who write only: it makes files that reading does without.
  const writes = () => {
    requireOpen();
    return engine ??= open();
  };
  const until = (signal?: AbortSignal) =>
    signal === undefined
      ? closing.signal
      : AbortSignal.any([signal, closing.signal]);
  const close = () =>
    closed ??= (async () => {
      closing.abort(closedError());
      await engine?.close();
      await reads.close();
    })();
  return {
    async positions() {
      requireOpen();
      return await readPositions(session, systemClock);
    },
    async *log(options = {}) {
      const signal = until(options.signal);
      try {
        yield* readLog(session, systemClock, { ...options, signal });
      } catch (error) {
        // A query that was cut off by it says something else.
        signal.throwIfAborted();
        throw error;
      }
    },
    async verify(options = {}) {
      const signal = until(options.signal);
      try {
        signal.throwIfAborted();
        return await verifyLog(session, systemClock, { ...options, signal });
      } catch (error) {
        signal.throwIfAborted();
        throw error;
      }
    },
    async retain(policies = DEFAULT_RETENTION, options = {}) {
      requireNames("retain streams", RETAIN_OPTIONS, options);
      requirePolicies(policies);
      const { signal } = options;
      const retained: RetainedStream[] = [];
      for (const [stream, policy] of Object.entries(policies)) {
        if (policy === "forever") continue;
        const done = await retainStream(writes(), stream, policy, {
          clock: systemClock,
          signal: until(signal),
        });
        retained.push({ stream, ...done });
      }
      return retained;
    },
    async streams() {
      requireOpen();
      return await readStreams(session);
    },
    async projections() {
      requireOpen();
      return await readProjections(session);
    },
    async progress() {
      requireOpen();
      return await measureAll(session);
    },
    async parked(name) {
      requireOpen();
      await requireProjection(session, "list parked events of", name);
      return await readParked(session, name);
    },
    rebuildProjection: async (name) => await requestRebuild(writes(), name),
    retryProjection: async (name) => await requestRetry(writes(), name),
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function requireLog(session: Session, url: string): Promise<void> {
  const version = await readSchemaVersion(session);
  requireKnownVersion(version, LOG_MIGRATIONS);
  const known = LOG_MIGRATIONS.at(-1)?.version ?? 0;
  if (version === known) return;
  const where = quote(hideSecrets(url));
  throw new HeadwaterError(
    "DATABASE_INVALID",
    version === 0
      ? `Cannot look after database ${where}: it has no log of headwater's; ` +
        "give another database, tablePrefix or schema, or open a WriterStore " +
        "on this one first"
      : `Cannot look after database ${where}: its tables have version ` +
        `${version}, and this release's are ${known}; open a WriterStore on it ` +
        "once, which upgrades them",
  );
}

function memoryError(): HeadwaterError {
  return new HeadwaterError(
    "INVALID_ARGUMENT",
    'Cannot look after "sqlite::memory:": no other process can reach it; give ' +
      "sqlite:FILE or postgres://USER@HOST/DATABASE",
  );
}

function closedError(): HeadwaterError {
  return new HeadwaterError(
    "CLOSED",
    "Cannot use this log: its admin is closed; open another",
  );
}

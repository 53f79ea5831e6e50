/**
 * Putting a transaction into the log and keeping its token in order, on either
 * engine.
 *
 * @module
 */

import type {
  CommitSession,
  Session,
  SyncCommitSession,
} from "../database/engine.ts";
import { CommitUnknownError } from "../database/postgres_errors.ts";
import {
  findCommit,
  readCommitId,
  readFloor,
  readLowestFloor,
} from "../log/history.ts";
import { readHorizon } from "../log/horizon.ts";
import { endBackend, type Lease } from "../log/lease.ts";
import { appendAndCommit } from "../log/postgres_append.ts";
import { toRecordStreams } from "../log/log_key.ts";
import type { LogEntry, LogRecord } from "../log/record.ts";
import { LogAppender } from "../log/sqlite_append.ts";
import type { InvalidationRun } from "../protocol/command.ts";
import {
  CACHES_STREAM,
  type LoggedTransaction,
} from "../replication/transaction.ts";
import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import {
  MAX_BACKOFF_MS,
  MIN_BACKOFF_MS,
  QUEUE_TIMEOUT_MS,
} from "../runtime/limits.ts";
import { pause } from "../runtime/waiting.ts";
import type { Token } from "../tokens/token.ts";
import { type Flight, TokenTracker } from "../tokens/token_tracker.ts";
import type { AppendFate } from "./append_fate.ts";
import { AppendGroups, type RecordManner } from "./append_groups.ts";
import { CommitOrder } from "./commit_order.ts";

/** A transaction that has been given to the log. */
export interface Ticket {
  /** Its token; known once it is recorded. */
  token?: Token;
  /** PostgreSQL: begins as it is sent. */
  flight?: Flight;
  readonly entry: LogEntry;
  readonly told: Told;
}

/** What readers are told of a transaction. */
export interface Told {
  /** Rows as JSON, by stream; those of `caches` are not among them. */
  readonly rows: ReadonlyMap<string, readonly string[]>;
  readonly invalidations: readonly InvalidationRun[];
  /** What others know of it that append after it; `undefined` if nobody can. */
  readonly fate: AppendFate | undefined;
}

/** What a store records with. */
export interface Recorder {
  /** The last token that was taken. */
  readonly lastTaken: Token;
  /** How far the instance is complete. */
  readonly position: Token;
  /** Transactions that are committed and wait for a lower token to end. */
  readonly held: number;
  /** Makes room for a transaction; it must come to one of the three ends. */
  begin(entry: LogEntry, told: Told): Ticket;
  /** Writes it into the log; on PostgreSQL, commits it too. */
  record(
    session: CommitSession,
    ticket: Ticket,
    manner: RecordManner,
  ): Promise<void> | undefined;
  /** It is durable. */
  committed(ticket: Ticket): void;
  /** It is rolled back. */
  abandoned(ticket: Ticket): void;
  /**
   * Finds out about one whose commit was not answered. Resolves to whether it
   * was committed, once that is certain.
   *
   * @param backend The server's process that was to commit it.
   * @throws {CommitUnknownError} If retention has come beyond it meanwhile.
   */
  settle(
    ticket: Ticket,
    backend: number | undefined,
    signal: AbortSignal,
  ): Promise<boolean>;
  /** Whether the last transaction of this process is still in the log. */
  isInHistory(): Promise<boolean>;
}

/** What a recorder works with. */
export interface RecorderOptions {
  readonly lease: Lease;
  /** Reads outside of any transaction. */
  readonly session: Session;
  readonly clock: Clock;
  /** How long, in ms, those that only record wait for others that do: 30,000 unless told. */
  readonly queueTimeoutMs?: number | undefined;
  /** Is given each transaction as it is durable, before the position moves. */
  readonly durable?: ((transaction: LoggedTransaction) => void) | undefined;
  /** Is given transactions in token order, once they are complete. */
  readonly publish: (transaction: LoggedTransaction) => void;
  /**
   * Called before the position moves beyond a commit that nobody can find out
   * about any more: whoever is not told of it must compare with the log. Its
   * token is not beyond the one that is given.
   */
  readonly lost: (upTo: Token) => void;
  /** Called when a commit fails for another process has the name by now. */
  readonly leaseLost: () => void;
}

/** Makes the recorder of an engine. */
export function createRecorder(options: RecorderOptions): Recorder {
  return options.session.dialect === "sqlite"
    ? sqliteRecorder(options)
    : postgresRecorder(options);
}

/** Commits are serial: each is complete as it comes. */
function sqliteRecorder(
  { lease, durable, publish, leaseLost }: RecorderOptions,
): Recorder {
  const appender = new LogAppender(lease);
  let position = lease.lastToken;
  return {
    get lastTaken() {
      return appender.lastTaken;
    },
    get position() {
      return position;
    },
    held: 0,
    begin: (entry, told) => ({ entry, told }),
    record(session, ticket) {
      const token = appender.append(session as SyncCommitSession, ticket.entry);
      if (typeof token !== "number") {
        return token.then(
          (given) => void (ticket.token = given),
          (error) => noteLeaseLost(error, leaseLost),
        );
      }
      ticket.token = token;
      return undefined;
    },
    committed(ticket) {
      const token = ticket.token as Token;
      const transaction = toTransaction(lease.instance, token, ticket);
      durable?.(transaction);
      position = token;
      publish(transaction);
    },
    abandoned() {},
    settle: () => Promise.resolve(false),
    // It is asked where the file was replaced. What this process has open is
    // nobody's any more.
    isInHistory: () => Promise.resolve(false),
  };
}

function postgresRecorder(options: RecorderOptions): Recorder {
  const { lease, session: lookup, clock, publish, leaseLost } = options;
  const { durable, lost } = options;
  const { instance, lastToken } = lease;
  const tracker = new TokenTracker({
    instance,
    positions: new Map([[instance, lastToken]]),
  });
  const order = new CommitOrder({ tracker, publish });
  const groups = new AppendGroups(
    (session, entries, isSnapshotOld) =>
      appendAndCommit(session, lookup, lease, entries, isSnapshotOld),
    clock,
    options.queueTimeoutMs ?? QUEUE_TIMEOUT_MS,
  );
  let lastTaken = lastToken;
  let lastCommitId: string | undefined;
  const committed = (ticket: Ticket, token: Token) => {
    if (token > lastTaken) {
      lastTaken = token;
      lastCommitId = ticket.entry.commitId;
    }
    const transaction = toTransaction(instance, token, ticket);
    durable?.(transaction);
    order.committed(ticket.flight as Flight, transaction);
  };
  const abandoned = ({ flight }: Ticket) => {
    if (flight !== undefined) order.abandoned(flight);
  };
  return {
    get lastTaken() {
      return lastTaken;
    },
    get position() {
      return tracker.position;
    },
    get held() {
      return order.held;
    },
    begin: (entry, told) => ({ entry, told }),
    async record(session, ticket, manner) {
      const { entry, told } = ticket;
      try {
        ticket.token = await groups.record(
          {
            session,
            entry,
            fate: told.fate,
            sent: () => ticket.flight ??= order.begin(),
          },
          manner,
        );
      } catch (error) {
        noteLeaseLost(error, leaseLost);
      }
    },
    committed: (ticket) => committed(ticket, ticket.token as Token),
    abandoned,
    async isInHistory() {
      // As they are now: others commit while this one asks.
      const [token, commitId] = [lastTaken, lastCommitId];
      if (commitId === undefined) return true;
      const found = await readCommitId(lookup, instance, token);
      return found === commitId ||
        (found === undefined && token <= await readFloor(lookup));
    },
    async settle(ticket, backend, signal) {
      const { commitId, bodies } = ticket.entry;
      const streams = toRecordStreams(bodies);
      const after = tracker.position;
      for (let delayMs = MIN_BACKOFF_MS;; delayMs = nextDelay(delayMs)) {
        try {
          // The request may not even have been read by then.
          if (backend !== undefined) {
            await endBackend(lookup, lease, backend, { clock, signal });
          }
          // Once nobody has anything open, what is not there will never be.
          await readHorizon(lookup, { clock, signal });
          const token = await findCommit(lookup, instance, after, commitId);
          if (token !== undefined) {
            committed(ticket, ticket.token = token);
            return true;
          }
          // Asked after it was not there: retention notes what it deletes first.
          const floor = await readLowestFloor(lookup, streams);
          if (floor > after) lost(floor);
          abandoned(ticket);
          if (floor <= after) return false;
          throw new CommitUnknownError(backend, undefined);
        } catch (error) {
          if (signal.aborted || error instanceof CommitUnknownError) {
            throw error;
          }
          if (!(error instanceof HeadwaterError)) throw error;
        }
        await pause(clock, delayMs, signal);
      }
    },
  };
}

function noteLeaseLost(error: unknown, leaseLost: () => void): never {
  if (error instanceof HeadwaterError && error.code === "LEASE_LOST") {
    leaseLost();
  }
  throw error;
}

function nextDelay(delayMs: number): number {
  return Math.min(MAX_BACKOFF_MS, delayMs * Math.E);
}

function toTransaction(
  instance: string,
  token: Token,
  { entry, told }: Ticket,
): LoggedTransaction {
  const records: LogRecord[] = [];
  for (const [stream, lines] of told.rows) {
    records.push({ token, stream, lines });
  }
  const text = entry.bodies.get(CACHES_STREAM)?.body;
  return text === undefined ? { instance, token, records } : {
    instance,
    token,
    records,
    invalidations: told.invalidations,
    invalidationsText: text,
  };
}

/**
 * Writing a transaction's rows into SQLite's log, in the transaction itself.
 *
 * @module
 */

import type { Awaitable, SyncCommitSession } from "../database/engine.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import { parseToken, type Token } from "../tokens/token.ts";
import { type Lease, leaseLostError } from "./lease.ts";
import { LAST_TOKEN, toOrdinal, toRecordStreams } from "./log_key.ts";
import type { LogEntry, RecordBody } from "./record.ts";

// Promise 8: recorded only while the instance's lease stands. The last
// condition refuses a token that is not the newest of the database, as another
// instance may have written meanwhile. If either fails, the instance is NULL,
// nothing is written, and the slow way finds out why. (As an INSERT … SELECT
// from the log itself it would take a quarter longer: SQLite copies the row
// into a temporary table first.)
const INSERT_FIRST_RECORD = `INSERT OR IGNORE INTO headwater_log
  (id, stream, instance, commit_id, committed_ms, row_count, body)
  VALUES (
    (? << 9) + ?, ?,
    CASE WHEN
      EXISTS (SELECT 1 FROM headwater_instances WHERE name = ? AND fence = ?)
      AND ? > (SELECT coalesce(${LAST_TOKEN.sqlite}, 0) FROM headwater_log)
    THEN ? END,
    ?, ?, ?, ?
  )`;

const RESERVE = `UPDATE headwater_instances SET last_token = ?
  WHERE name = ? AND fence = ?`;

/**
 * Tokens set aside at a time. Of a log whose end was deleted by hand, a writer
 * that died knows only that none beyond these was given: it goes on after
 * them. Setting each aside by itself would cost every transaction a page.
 */
const RESERVED_TOKENS = 1_000;

const INSERT_RECORD = `INSERT INTO headwater_log
  (id, stream, instance, commit_id, committed_ms, row_count, body)
  VALUES ((? << 9) + ?, ?, ?, ?, ?, ?, ?)`;

const READ_LAST = `SELECT ${LAST_TOKEN.sqlite} FROM headwater_log`;

const INSERT_APPEND = `INSERT INTO headwater_appends
  (aggregate, first_version, last_version, token, is_last)
  VALUES (?, ?, ?, ?, ?)`;

const INSERT_EVENT_ID = `INSERT INTO headwater_event_ids
  (event_id, aggregate, version, token) VALUES (?, ?, ?, ?)`;

/**
 * Gives out the tokens of one writing process.
 *
 * Promise 2, complete tokens: a token is taken while SQLite's one write lock
 * is held, so tokens are committed in order and no lower one can follow. One
 * that was taken is never given again, even if its transaction rolls back.
 */
export class LogAppender {
  readonly #lease: Lease;
  #lastTaken: Token;
  #reserved: Token;

  /** Constructs an appender that goes on where the instance ended. */
  constructor(lease: Lease) {
    this.#lease = lease;
    this.#lastTaken = lease.lastReserved;
    this.#reserved = lease.lastReserved;
  }

  /** The last token that was taken, committed or not. */
  get lastTaken(): Token {
    return this.#lastTaken;
  }

  /**
   * Records a transaction under the next token.
   *
   * @param session The transaction that wrote the data.
   * @param entry The rows to record.
   * @returns The transaction's token; a promise of it only where another
   *   instance has written meanwhile.
   * @throws {HeadwaterError} `LEASE_LOST` if this process may not write any more.
   */
  append(session: SyncCommitSession, entry: LogEntry): Awaitable<Token> {
    const streams = toRecordStreams(entry.bodies);
    const token = next(this.#lastTaken);
    return this.#insertFirst(session, entry, streams[0] as string, token)
      ? this.#insertRest(session, entry, streams, token)
      : this.#appendAgain(session, entry, streams);
  }

  /** Finds out why the token was refused, and takes another where there is one. */
  async #appendAgain(
    session: SyncCommitSession,
    entry: LogEntry,
    streams: readonly string[],
  ): Promise<Token> {
    const [row] = session.rows(READ_LAST, []);
    const token = next(Math.max(Number(row?.[0] ?? 0), this.#lastTaken));
    if (this.#insertFirst(session, entry, streams[0] as string, token)) {
      return this.#insertRest(session, entry, streams, token);
    }
    throw await leaseLostError(session, this.#lease);
  }

  #insertFirst(
    session: SyncCommitSession,
    { bodies, commitId, committedMs }: LogEntry,
    stream: string,
    token: Token,
  ): boolean {
    if (!this.#reserve(session, token)) return false;
    const { instance, fence } = this.#lease;
    const { rowCount, body } = bodies.get(stream) ?? NO_ROWS;
    this.#lastTaken = token;
    const inserted = session.run(INSERT_FIRST_RECORD, [
      token,
      toOrdinal(stream, 0),
      stream,
      instance,
      fence,
      // Numbered parameters came with a later Node than we support.
      token,
      instance,
      commitId,
      committedMs,
      rowCount,
      body,
    ]);
    return inserted === 1;
  }

  #insertRest(
    session: SyncCommitSession,
    { bodies, commitId, committedMs, appends, eventIds }: LogEntry,
    streams: readonly string[],
    token: Token,
  ): Token {
    const { instance } = this.#lease;
    for (let index = 1; index < streams.length; index += 1) {
      const stream = streams[index] as string;
      const { rowCount, body } = bodies.get(stream) as RecordBody;
      session.run(INSERT_RECORD, [
        token,
        toOrdinal(stream, index),
        stream,
        instance,
        commitId,
        committedMs,
        rowCount,
        body,
      ]);
    }
    for (const { aggregate, first, last, isLast } of appends ?? []) {
      session.run(
        INSERT_APPEND,
        [aggregate, first, last, token, isLast ? 1 : 0],
      );
    }
    for (const { eventId, aggregate, version } of eventIds ?? []) {
      session.run(INSERT_EVENT_ID, [eventId, aggregate, version, token]);
    }
    return token;
  }

  /** Gives `false` if the lease is lost. */
  #reserve(session: SyncCommitSession, token: Token): boolean {
    if (token <= this.#reserved) return true;
    const { instance, fence } = this.#lease;
    const end = Math.min(token + RESERVED_TOKENS - 1, Number.MAX_SAFE_INTEGER);
    const changed = session.run(RESERVE, [end, instance, fence]);
    if (changed === 0) return false;
    const before = this.#reserved;
    session.onRollback(() => this.#reserved = before);
    this.#reserved = parseToken(end);
    return true;
  }
}

const NO_ROWS: RecordBody = { rowCount: 0, body: "" };

function next(last: number): Token {
  if (last >= Number.MAX_SAFE_INTEGER) {
    throw new HeadwaterError(
      "TOKENS_EXHAUSTED",
      `Cannot take a token: ${last} is the last there is; start a new database`,
    );
  }
  return parseToken(last + 1);
}

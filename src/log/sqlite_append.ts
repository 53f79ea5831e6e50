/**
 * Writing a transaction's rows into SQLite's log, in the transaction itself.
 *
 * @module
 */

import type { CommitSession } from "../database/engine.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import { parseToken, type Token } from "../tokens/token.ts";
import { type Lease, leaseLostError } from "./lease.ts";
import { NO_STREAM, ROW_SEPARATOR } from "./log_schema.ts";
import type { LogEntry } from "./record.ts";

// Promise 8: recorded only while the instance's lease stands. The last
// condition refuses a token that is not the newest of the database, as another
// instance may have written meanwhile. If either fails, the token is NULL,
// nothing is written, and the slow way finds out why. (As an INSERT … SELECT
// from the log itself it would take a quarter longer: SQLite copies the row
// into a temporary table first.)
const INSERT_FIRST_RECORD = `INSERT OR IGNORE INTO headwater_log
  (token, stream, instance, commit_id, committed_ms, row_count, body)
  VALUES (
    CASE WHEN
      EXISTS (SELECT 1 FROM headwater_instances WHERE name = ? AND fence = ?)
      AND ? > (SELECT coalesce(max(token), 0) FROM headwater_log)
    THEN ? END,
    ?, ?, ?, ?, ?, ?
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
  (token, stream, instance, commit_id, committed_ms, row_count, body)
  VALUES (?, ?, ?, ?, ?, ?, ?)`;

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
   * @returns The transaction's token.
   * @throws {HeadwaterError} `LEASE_LOST` if this process may not write any more.
   */
  async append(session: CommitSession, entry: LogEntry): Promise<Token> {
    const { instance } = this.#lease;
    const { commitId, committedMs } = entry;
    const common = [instance, commitId, committedMs] as const;
    const [first = NO_ROWS, ...others] = entry.rows;
    const token = await this.#appendFirst(session, common, first);
    for (const [stream, lines] of others) {
      const body = lines.join(ROW_SEPARATOR);
      await session.run(
        INSERT_RECORD,
        [token, stream, ...common, lines.length, body],
      );
    }
    for (const { aggregate, first, last, isLast } of entry.appends ?? []) {
      await session.run(
        INSERT_APPEND,
        [aggregate, first, last, token, isLast ? 1 : 0],
      );
    }
    for (const { eventId, aggregate, version } of entry.eventIds ?? []) {
      await session.run(INSERT_EVENT_ID, [eventId, aggregate, version, token]);
    }
    return token;
  }

  async #appendFirst(
    session: CommitSession,
    common: readonly [string, string, number],
    [stream, lines]: readonly [string, readonly string[]],
  ): Promise<Token> {
    const { instance, fence } = this.#lease;
    const body = lines.join(ROW_SEPARATOR);
    const insert = async (token: Token) => {
      await this.#reserve(session, token);
      this.#lastTaken = token;
      return await session.run(
        INSERT_FIRST_RECORD,
        [
          instance,
          fence,
          // Numbered parameters came with a later Node than we support.
          token,
          token,
          stream,
          ...common,
          lines.length,
          body,
        ],
      );
    };
    let token = next(this.#lastTaken);
    if (await insert(token) === 1) return token;
    const [row] = await session.rows(
      "SELECT max(token) FROM headwater_log",
      [],
    );
    token = next(Math.max(Number(row?.[0] ?? 0), this.#lastTaken));
    if (await insert(token) === 1) return token;
    throw await leaseLostError(session, this.#lease);
  }

  async #reserve(session: CommitSession, token: Token): Promise<void> {
    if (token <= this.#reserved) return;
    const { instance, fence } = this.#lease;
    const end = Math.min(token + RESERVED_TOKENS - 1, Number.MAX_SAFE_INTEGER);
    const changed = await session.run(RESERVE, [end, instance, fence]);
    if (changed === 0) throw await leaseLostError(session, this.#lease);
    const before = this.#reserved;
    session.onRollback(() => this.#reserved = before);
    this.#reserved = parseToken(end);
  }
}

const NO_ROWS = [NO_STREAM, []] as const;

function next(last: number): Token {
  if (last >= Number.MAX_SAFE_INTEGER) {
    throw new HeadwaterError(
      "TOKENS_EXHAUSTED",
      `Cannot take a token: ${last} is the last there is; start a new database`,
    );
  }
  return parseToken(last + 1);
}

/**
 * Writing a transaction's rows into the log, in the transaction itself.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import { parseToken, type Token } from "../tokens/token.ts";
import { type Lease, leaseLostError } from "./lease.ts";
import { NO_STREAM, ROW_SEPARATOR } from "./log_schema.ts";

/** What one transaction leaves in the log. */
export interface LogEntry {
  /** Rows as JSON, by stream; may be empty. */
  readonly rows: ReadonlyMap<string, readonly string[]>;
  /** The transaction's random mark. */
  readonly commitId: string;
  /** The wall-clock time, in ms. */
  readonly committedMs: number;
}

/** An event as it is stored. */
export interface StoredEvent {
  readonly aggregate: string;
  readonly version: number;
  readonly type: string;
  readonly eventId: string;
  /** JSON. */
  readonly data: string;
  /** JSON. */
  readonly metadata: string;
}

// Promise 8: moves the instance on only while its lease stands. The last
// condition refuses a token that another instance has taken meanwhile; then
// nothing is changed and the slow way finds out why.
const TAKE_TOKEN = `UPDATE headwater_instances SET last_token = ?1
  WHERE name = ?2 AND fence = ?3
  AND NOT EXISTS (SELECT 1 FROM headwater_instances WHERE last_token >= ?1)`;

const INSERT_RECORD = `INSERT INTO headwater_log
  (token, stream, instance, commit_id, committed_ms, row_count, body)
  VALUES (?, ?, ?, ?, ?, ?, ?)`;

const INSERT_EVENT = `INSERT INTO headwater_events
  (aggregate, version, token, type, event_id, data, metadata)
  VALUES (?, ?, ?, ?, ?, ?, ?)`;

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

  /** Constructs an appender that goes on where the instance ended. */
  constructor(lease: Lease) {
    this.#lease = lease;
    this.#lastTaken = lease.lastToken;
  }

  /**
   * Records a transaction under the next token.
   *
   * @param session The transaction that wrote the data.
   * @param entry The rows to record.
   * @returns The transaction's token.
   * @throws {HeadwaterError} `LEASE_LOST` if this process may not write any more.
   */
  async append(session: Session, entry: LogEntry): Promise<Token> {
    const token = await this.#take(session);
    const { instance } = this.#lease;
    const { rows, commitId, committedMs } = entry;
    const common = [instance, commitId, committedMs] as const;
    if (rows.size === 0) {
      await session.run(INSERT_RECORD, [token, NO_STREAM, ...common, 0, ""]);
    }
    for (const [stream, lines] of rows) {
      const body = lines.join(ROW_SEPARATOR);
      await session.run(
        INSERT_RECORD,
        [token, stream, ...common, lines.length, body],
      );
    }
    return token;
  }

  async #take(session: Session): Promise<Token> {
    const { instance, fence } = this.#lease;
    let next = this.#next(this.#lastTaken);
    let taken = await session.run(TAKE_TOKEN, [next, instance, fence]);
    if (taken === 0) {
      const [row] = await session.rows(
        "SELECT max(last_token) FROM headwater_instances",
        [],
      );
      next = this.#next(Math.max(Number(row?.[0] ?? 0), this.#lastTaken));
      taken = await session.run(TAKE_TOKEN, [next, instance, fence]);
      if (taken === 0) throw await leaseLostError(session, this.#lease);
    }
    this.#lastTaken = next;
    return next;
  }

  #next(last: number): Token {
    if (last >= Number.MAX_SAFE_INTEGER) {
      throw new HeadwaterError(
        "TOKENS_EXHAUSTED",
        `Cannot take a token: ${last} is the last there is; start a new database`,
      );
    }
    return parseToken(last + 1);
  }
}

/** Stores events beside the log, under the transaction's token. */
export async function insertEvents(
  session: Session,
  token: Token,
  events: readonly StoredEvent[],
): Promise<void> {
  for (const event of events) {
    const { aggregate, version, type, eventId, data, metadata } = event;
    await session.run(
      INSERT_EVENT,
      [aggregate, version, token, type, eventId, data, metadata],
    );
  }
}

/** The number of an aggregate's events; 0 if it has none. */
export async function readVersion(
  session: Session,
  aggregate: string,
): Promise<number> {
  const [row] = await session.rows(
    "SELECT max(version) FROM headwater_events WHERE aggregate = ?",
    [aggregate],
  );
  return Number(row?.[0] ?? 0);
}

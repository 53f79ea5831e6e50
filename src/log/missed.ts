/**
 * Reading what a reader has missed: joined by the database, as a million small
 * transactions are too many to hand over one by one.
 *
 * @module
 */

import type { Session, SqlDialect } from "../database/engine.ts";
import { parseToken, type Token } from "../tokens/token.ts";
import { LAST_TOKEN, LOG_ORDER, perDialect, tokenIs } from "./log_key.ts";
import { ROW_SEPARATOR } from "./log_schema.ts";
import type { LogRange } from "./read.ts";
import type { LogRecord } from "./record.ts";

/** Some of a range's transactions, all that a reader needs of them at once. */
export interface MissedPage {
  /** The token before its first. */
  readonly after: Token;
  /** The last token of a transaction in it. */
  readonly upTo: Token;
  /** How many transactions they are. */
  readonly transactions: number;
  /** Rows by stream. */
  readonly rowsByStream: ReadonlyMap<string, number>;
  /** The lines of the stream that was asked for, {@linkcode ROW_SEPARATOR} between them. */
  readonly joined: string;
}

/** How long pages are to be. */
export interface PageSize {
  /** Records, about. */
  readonly records: number;
  /** Bytes of the records; more only if one token has more. */
  readonly bytes: number;
}

/** What stands between two tokens. */
interface Measure {
  readonly records: number;
  readonly bytes: number;
  readonly rows: number;
  /** Records of the stream that is asked for. */
  readonly joined: number;
  readonly last: number;
}

const FIRST_SPAN = 256;
const MAX_SPAN = 2 ** 40;

const RANGE = perDialect((dialect) =>
  `${tokenIs(dialect, ">")} AND ${tokenIs(dialect, "<=")} AND instance = ?`
);

/**
 * What both statements say of a stream is written in them: SQLite takes half as
 * long again over parameters and calls that are the same for every record.
 * Bodies are measured unread.
 */
function statementsOf(
  dialect: SqlDialect,
  stream: string,
): { readonly measure: string; readonly join: string } {
  const isWanted = `stream = '${stream.replaceAll("'", "''")}'`;
  const aggregate = dialect === "sqlite" ? "group_concat" : "string_agg";
  return {
    measure: `SELECT count(*), coalesce(sum(octet_length(body)), 0),
      coalesce(sum(row_count), 0), count(*) FILTER (WHERE ${isWanted}),
      coalesce(${LAST_TOKEN[dialect]}, 0)
    FROM headwater_log WHERE ${RANGE[dialect]}`,
    join: `SELECT ${aggregate}(body, '${ROW_SEPARATOR}') FROM headwater_log
    WHERE ${RANGE[dialect]} AND ${isWanted}`,
  };
}

const COUNT_ROWS = perDialect((dialect) =>
  `SELECT stream, sum(row_count) FROM headwater_log
  WHERE ${RANGE[dialect]} AND row_count > 0 GROUP BY stream`
);
const COUNT_TOKENS = perDialect((dialect) =>
  `SELECT count(DISTINCT token) FROM headwater_log WHERE ${RANGE[dialect]}`
);

/** Reads a range page by page; each page holds whole transactions. */
export class MissedReader {
  readonly #session: Session;
  readonly #range: LogRange;
  readonly #stream: string;
  readonly #statements: ReturnType<typeof statementsOf>;
  readonly #size: PageSize;
  #after: Token;
  /** Token numbers of the next page: others' may lie between. */
  #span = FIRST_SPAN;

  /**
   * Constructs a reader that stands at the range's beginning.
   *
   * @param stream The stream whose lines to give.
   */
  constructor(
    session: Session,
    range: LogRange,
    stream: string,
    size: PageSize,
  ) {
    this.#session = session;
    this.#range = range;
    this.#stream = stream;
    this.#statements = statementsOf(session.dialect, stream);
    this.#size = size;
    this.#after = range.after;
  }

  /** The next page; `undefined` if there is none. One at a time. */
  async next(): Promise<MissedPage | undefined> {
    const { instance } = this.#range;
    let after = this.#after;
    let fitting = await this.#fit();
    // Where there is nothing, there is no token to come to either.
    while (fitting?.measure.records === 0) {
      after = this.#after = fitting.upTo;
      fitting = await this.#fit();
    }
    if (fitting === undefined) return undefined;
    const { measure } = fitting;
    this.#after = fitting.upTo;
    const upTo = parseToken(measure.last);
    const place = { instance, after, upTo };
    const isJoined = measure.joined > 0;
    const isMixed = measure.joined < measure.records;
    return {
      after,
      upTo,
      joined: isJoined ? await this.#join(place) : "",
      transactions: isMixed ? await this.#countTokens(place) : measure.records,
      rowsByStream: isMixed
        ? await this.#countRows(place)
        : new Map(isJoined ? [[this.#stream, measure.rows]] : []),
    };
  }

  /** Where the page ends, so that it is neither too long nor much too short. */
  async #fit(): Promise<{ upTo: Token; measure: Measure } | undefined> {
    const after = this.#after;
    const { instance, upTo: last } = this.#range;
    if (after >= last) return undefined;
    while (true) {
      const upTo = parseToken(Math.min(last, after + this.#span));
      const measure = await this.#measure({ instance, after, upTo });
      // How many times its size it is.
      const fullness = Math.max(
        measure.records / this.#size.records,
        measure.bytes / this.#size.bytes,
      );
      const span = upTo - after;
      if (fullness > 1 && span > 1) {
        this.#span = Math.max(1, Math.floor(span / fullness * 0.8));
        continue;
      }
      if (fullness < 0.5) this.#span = Math.min(MAX_SPAN, this.#span * 4);
      return { upTo, measure };
    }
  }

  async #measure({ instance, after, upTo }: LogRange): Promise<Measure> {
    const [row = []] = await this.#session.rows(
      this.#statements.measure,
      [after, upTo, instance],
    );
    const [records = 0, bytes = 0, rows = 0, joined = 0, last = 0] = row
      .map(Number);
    return { records, bytes, rows, joined, last };
  }

  async #join({ instance, after, upTo }: LogRange): Promise<string> {
    const [row] = await this.#session.rows(
      this.#statements.join,
      [after, upTo, instance],
    );
    return typeof row?.[0] === "string" ? row[0] : "";
  }

  async #countRows(
    { instance, after, upTo }: LogRange,
  ): Promise<Map<string, number>> {
    const found = await this.#session.rows(
      COUNT_ROWS[this.#session.dialect],
      [after, upTo, instance],
    );
    return new Map(
      found.map(([stream, rows]) => [String(stream), Number(rows)]),
    );
  }

  async #countTokens({ instance, after, upTo }: LogRange): Promise<number> {
    const [row] = await this.#session.rows(
      COUNT_TOKENS[this.#session.dialect],
      [after, upTo, instance],
    );
    return Number(row?.[0]);
  }
}

/** The records of some streams, by token. */
export async function readMissedRecords(
  session: Session,
  { instance, after, upTo }: LogRange,
  streams: readonly string[],
): Promise<LogRecord[]> {
  const { dialect } = session;
  const found = await session.rows(
    `SELECT token, stream, body FROM headwater_log WHERE ${RANGE[dialect]}
    AND stream IN (${streams.map(() => "?")}) ORDER BY ${LOG_ORDER[dialect]}`,
    [after, upTo, instance, ...streams],
  );
  return found.map(([token, stream, body]) => ({
    token: parseToken(Number(token)),
    stream: String(stream),
    lines: String(body).split(ROW_SEPARATOR),
  }));
}

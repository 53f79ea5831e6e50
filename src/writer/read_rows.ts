/**
 * Reading a stream's rows back from the log.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";
import { readFloorOf } from "../log/history.ts";
import { readLogPages } from "../log/read.ts";
import { toRows } from "../protocol/logged_rows.ts";
import { HeadwaterError, show } from "../runtime/errors.ts";
import { PAGE_ROWS } from "../runtime/limits.ts";
import type { OptionNames } from "../runtime/option_names.ts";
import { parseToken, type Token, TOKEN_ZERO } from "../tokens/token.ts";

/** Which rows to read: `after < token <= upTo`. */
export interface ReadRowsOptions {
  /**
   * The token before the first. If it is given, nothing after it may have been
   * deleted; without it, reading begins with what retention has left.
   *
   * @default {0}
   */
  readonly after?: number | undefined;
  /**
   * The last token.
   *
   * @default {the last there is}
   */
  readonly upTo?: number | undefined;
  /**
   * About how many rows; the rows of one token are given whole.
   *
   * @default {1000}
   */
  readonly limit?: number | undefined;
}

/** The names of {@linkcode ReadRowsOptions}. */
export const READ_ROWS_OPTIONS: OptionNames<ReadRowsOptions> = {
  after: true,
  upTo: true,
  limit: true,
};

/** Some of a stream's rows. */
export interface RowPage<Row = unknown> {
  /** Each with its token, ascending. */
  readonly rows: readonly (readonly [token: Token, row: Row])[];
  /** The token up to which the stream is contained. */
  readonly upTo: Token;
  /** Whether the range goes on: then read again after `upTo`. */
  readonly isLimited: boolean;
}

/** What {@linkcode readStreamRows} takes: a range, in one instance's stream. */
export interface ReadStreamRowsOptions extends ReadRowsOptions {
  readonly instance: string;
  readonly stream: string;
  /** The last token there is. */
  readonly last: Token;
}

/**
 * Reads whole tokens until there are about as many rows as wanted.
 *
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for a limit that is no positive
 *   integer; `ROWS_DELETED` if rows after the given token are missing.
 */
export async function readStreamRows<Row>(
  session: Session,
  options: ReadStreamRowsOptions,
): Promise<RowPage<Row>> {
  const { instance, stream, last, limit = PAGE_ROWS } = options;
  if (!Number.isSafeInteger(limit) || limit < 1) {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot read rows: limit is ${show(limit)}; give a positive integer`,
    );
  }
  let after = parseToken(options.after ?? TOKEN_ZERO);
  const wanted = parseToken(options.upTo ?? last);
  const upTo = wanted < last ? wanted : last;
  const rows: (readonly [Token, Row])[] = [];
  const range = { instance, stream, after, upTo };
  let isFirst = true;
  for await (const page of readLogPages(session, range)) {
    // Asked after it was read: retention notes what it deletes first.
    if (!isFirst || options.after !== undefined) {
      await requireKept(session, stream, after);
    }
    isFirst = false;
    for (const { token, lines } of page.records) {
      for (const row of toRows(stream, lines)) {
        rows.push([token, JSON.parse(row)]);
      }
      after = token;
      if (rows.length >= limit) {
        return { rows, upTo: after, isLimited: after < upTo };
      }
    }
    after = page.upTo;
  }
  return { rows, upTo: after, isLimited: false };
}

async function requireKept(
  session: Session,
  stream: string,
  after: Token,
): Promise<void> {
  const floor = await readFloorOf(session, stream);
  if (floor <= after) return;
  throw new HeadwaterError(
    "ROWS_DELETED",
    `Cannot read rows of stream "${stream}" after token ${after}: retention has ` +
      `deleted some up to token ${floor}; start over with what is left, which ` +
      'leaving "after" out gives, or keep them for longer',
  );
}

/**
 * Whether a token is still part of a log's history.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";
import { MAX_HOLDERS } from "../runtime/limits.ts";
import { type HolderMark, Holders } from "../tokens/holders.ts";
import { parseToken, type Token } from "../tokens/token.ts";
import { NEWEST_FIRST, tokenAt, tokenIs } from "./log_key.ts";

/** What a reader remembers of the last transaction it has applied. */
export interface HistoryMark {
  readonly token: Token;
  /** The transaction's random mark; `undefined` while it isn't known. */
  readonly commitId: string | undefined;
  /** Who was writing then; `undefined` while it isn't known. */
  readonly holder: HolderMark | undefined;
}

/** The token of a transaction, by its random mark; `undefined` if it isn't in the log. */
export async function findCommit(
  session: Session,
  instance: string,
  after: Token,
  commitId: string,
): Promise<Token | undefined> {
  const [row] = await session.rows(
    `SELECT token FROM headwater_log
    WHERE ${
      tokenIs(session.dialect, ">")
    } AND instance = ? AND commit_id = ? LIMIT 1`,
    [after, instance, commitId],
  );
  return row === undefined ? undefined : parseToken(Number(row[0]));
}

/** The random mark of a transaction; `undefined` if it isn't in the log. */
export async function readCommitId(
  session: Session,
  instance: string,
  token: Token,
): Promise<string | undefined> {
  const [isAt, at] = tokenAt(session.dialect, token);
  const [row] = await session.rows(
    `SELECT commit_id FROM headwater_log WHERE ${isAt} AND instance = ? LIMIT 1`,
    [...at, instance],
  );
  return row === undefined ? undefined : String(row[0]);
}

/** The random mark of the newest transaction up to a token, whoever wrote it. */
export async function readNewestId(
  session: Session,
  upTo: Token,
): Promise<string | undefined> {
  const { dialect } = session;
  const [row] = await session.rows(
    `SELECT commit_id FROM headwater_log
    WHERE ${tokenIs(dialect, "<=")} ORDER BY ${NEWEST_FIRST[dialect]} LIMIT 1`,
    [upTo],
  );
  return row === undefined ? undefined : String(row[0]);
}

/** Whoever holds an instance's name, or held it last; `undefined` if nobody did. */
export async function readHolderMark(
  session: Session,
  instance: string,
): Promise<HolderMark | undefined> {
  const [row] = await session.rows(
    `SELECT fence, holder FROM headwater_holders
    WHERE instance = ? ORDER BY fence DESC LIMIT 1`,
    [instance],
  );
  return row && { fence: Number(row[0]), holder: String(row[1]) };
}

/** Whoever has held an instance's name: the newest {@linkcode MAX_HOLDERS}. */
export async function readHolders(
  session: Session,
  instance: string,
): Promise<Holders> {
  const rows = await session.rows(
    `SELECT fence, holder, start_token FROM headwater_holders
    WHERE instance = ? ORDER BY fence DESC LIMIT ${MAX_HOLDERS}`,
    [instance],
  );
  const starts = rows.map(([fence, holder, start]) => ({
    fence: Number(fence),
    holder: String(holder),
    start: parseToken(Number(start)),
  }));
  return new Holders(starts.reverse());
}

const READ_LATER_STARTS =
  `SELECT coalesce(max(CASE WHEN fence = ? AND holder = ? THEN 1 ELSE 0 END), 0),
    min(CASE WHEN fence > ? THEN start_token END)
  FROM headwater_holders WHERE instance = ? AND fence >= ?`;

/**
 * Whether what a reader has applied is part of the log's history.
 *
 * Promise 7, a rewound log is noticed. After a restore, or a failover that lost
 * writes, tokens are given again:
 *
 * - the holder that wrote the mark is not known, or a later one began below
 *   the mark's token;
 * - or the token's transaction has another commit id.
 *
 * A record that retention has deleted proves nothing.
 *
 * @param session Where the log is.
 * @param instance Who wrote.
 * @param mark What the reader remembers.
 */
export async function isInHistory(
  session: Session,
  instance: string,
  { token, commitId, holder: mark }: HistoryMark,
): Promise<boolean> {
  if (mark !== undefined) {
    const { fence, holder } = mark;
    const [row] = await session.rows(
      READ_LATER_STARTS,
      [fence, holder, fence, instance, fence],
    );
    const [isKnown, lowestStart] = row ?? [];
    if (Number(isKnown) !== 1) return false;
    if (lowestStart !== null && Number(lowestStart) < token) return false;
  }
  if (token === 0) return true;
  const found = await readCommitId(session, instance, token);
  // In this order: what was deleted meanwhile is below the floor.
  if (found === undefined) return token <= await readFloor(session);
  return commitId === undefined || commitId === found;
}

/** The token up to which retention has deleted rows of some stream; 0 if of none. */
export async function readFloor(session: Session): Promise<Token> {
  const [row] = await session.rows(
    "SELECT coalesce(max(floor_token), 0) FROM headwater_retained",
    [],
  );
  return parseToken(Number(row?.[0] ?? 0));
}

/**
 * The token up to which every record of a transaction may have been deleted.
 *
 * @param streams The streams of its records; at least one.
 */
export async function readLowestFloor(
  session: Session,
  streams: readonly string[],
): Promise<Token> {
  const floors: Token[] = [];
  for (const stream of streams) floors.push(await readFloorOf(session, stream));
  return parseToken(Math.min(...floors));
}

/** The token up to which retention has deleted rows of a stream; 0 if it hasn't. */
export async function readFloorOf(
  session: Session,
  stream: string,
): Promise<Token> {
  const [row] = await session.rows(
    "SELECT floor_token FROM headwater_retained WHERE stream = ?",
    [stream],
  );
  return parseToken(Number(row?.[0] ?? 0));
}

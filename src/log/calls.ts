/**
 * Answers to calls, kept with what the calls have changed.
 *
 * @module
 */

import type { Engine, Session } from "../database/engine.ts";
import { RETENTION_CHUNK_RECORDS } from "../runtime/limits.ts";
import { parseToken, type Token } from "../tokens/token.ts";
import { findCommit } from "./history.ts";

/** An answer that was given. */
export interface StoredCall {
  /** Chosen by the caller; stands for one call. */
  readonly id: string;
  /** Who answered. */
  readonly instance: string;
  /** Of the call's name and arguments. */
  readonly digest: string;
  /** The transaction's random mark. */
  readonly commitId: string;
  /** A token below the transaction's own. */
  readonly after: Token;
  /** The result, as JSON. */
  readonly response: string;
}

const COLUMNS = "id, instance, digest, commit_id, after_token, response";
const INSERT = `INSERT INTO headwater_calls (${COLUMNS}, called_ms)
  VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`;
const READ = `SELECT ${COLUMNS} FROM headwater_calls WHERE id = ?`;
const DELETE_CHUNK = `DELETE FROM headwater_calls WHERE id IN (
  SELECT id FROM headwater_calls WHERE called_ms < ?
  ORDER BY called_ms LIMIT ${RETENTION_CHUNK_RECORDS})`;

/**
 * Stores an answer in the transaction that it answers for.
 *
 * @returns Whether it is the first of its id; if not, the transaction must not commit.
 */
export async function storeCall(
  session: Session,
  call: StoredCall,
  calledMs: number,
): Promise<boolean> {
  const { id, instance, digest, commitId, after, response } = call;
  const values = [id, instance, digest, commitId, after, response, calledMs];
  return await session.run(INSERT, values) > 0;
}

/** The answer that was given to a call; `undefined` if none was. */
export async function readCall(
  session: Session,
  id: string,
): Promise<StoredCall | undefined> {
  const [row] = await session.rows(READ, [id]);
  if (row === undefined) return undefined;
  return {
    id,
    instance: String(row[1]),
    digest: String(row[2]),
    commitId: String(row[3]),
    after: parseToken(Number(row[4])),
    response: String(row[5]),
  };
}

/** The token of a call's transaction; `undefined` if retention has taken its record. */
export function findCallToken(
  session: Session,
  { instance, after, commitId }: StoredCall,
): Promise<Token | undefined> {
  return findCommit(session, instance, after, commitId);
}

/**
 * Deletes the answers of calls before a moment.
 *
 * @param engine The database.
 * @param beforeMs The wall-clock time.
 * @param signal Stops between two chunks.
 * @returns How many were deleted.
 */
export async function deleteCalls<Database>(
  engine: Engine<Database>,
  beforeMs: number,
  signal: AbortSignal,
): Promise<number> {
  let deleted = 0;
  while (true) {
    signal.throwIfAborted();
    const count = await engine.transaction(
      "delete calls",
      async (session) => await session.run(DELETE_CHUNK, [beforeMs]),
    );
    deleted += count;
    if (count < RETENTION_CHUNK_RECORDS) return deleted;
  }
}

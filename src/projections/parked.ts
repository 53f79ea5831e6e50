/**
 * Events that a projection could not take in.
 *
 * @module
 */

import type { Session, SqlValue } from "../database/engine.ts";
import { parseToken, type Token } from "../tokens/token.ts";

/** An event that was set aside, so that those after it go on. */
export interface ParkedEvent {
  /** The name of the projection. */
  readonly projection: string;
  /** Whether it is missing in the tables that are being built, not in those that serve. */
  readonly isRebuild: boolean;
  /** The event's token. */
  readonly token: Token;
  /** Its place among the events of the token, from 0. */
  readonly ordinal: number;
  /** How often it was tried; 0 if it is to be tried again. */
  readonly attempts: number;
  /** What the last attempt failed with. */
  readonly error: string;
  /** When it was set aside, in ms since 1970. */
  readonly parkedMs: number;
}

const COLUMNS =
  "projection, is_rebuild, token, ordinal, attempts, error, parked_ms";

/** A projection's parked events, the oldest 1,000; the serving tables' first. */
export async function readParked(
  session: Session,
  projection: string,
): Promise<ParkedEvent[]> {
  const rows = await session.rows(
    `SELECT ${COLUMNS} FROM headwater_parked
    WHERE projection = ? ORDER BY is_rebuild, token, ordinal LIMIT 1000`,
    [projection],
  );
  return rows.map(toParked);
}

/** Those of the serving tables that are to be tried again, the oldest 1,000. */
export async function readDue(
  session: Session,
  projection: string,
): Promise<ParkedEvent[]> {
  const rows = await session.rows(
    `SELECT ${COLUMNS} FROM headwater_parked
    WHERE projection = ? AND is_rebuild = 0 AND attempts = 0
    ORDER BY token, ordinal LIMIT 1000`,
    [projection],
  );
  return rows.map(toParked);
}

/** Sets an event aside, or notes another failure. */
export async function park(
  session: Session,
  parked: ParkedEvent,
): Promise<void> {
  const { projection, isRebuild, token, ordinal } = parked;
  const { attempts, error, parkedMs } = parked;
  await session.run(
    `INSERT INTO headwater_parked (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (projection, is_rebuild, token, ordinal) DO UPDATE SET
      attempts = excluded.attempts, error = excluded.error,
      parked_ms = excluded.parked_ms`,
    [projection, isRebuild ? 1 : 0, token, ordinal, attempts, error, parkedMs],
  );
}

/**
 * Forgets one: it has been taken in.
 *
 * @returns Whether it was there; if not, it is not to be taken in again.
 */
export async function unpark(
  session: Session,
  { projection, isRebuild, token, ordinal }: ParkedEvent,
): Promise<boolean> {
  const count = await session.run(
    `DELETE FROM headwater_parked
    WHERE projection = ? AND is_rebuild = ? AND token = ? AND ordinal = ?`,
    [projection, isRebuild ? 1 : 0, token, ordinal],
  );
  return count === 1;
}

/** Forgets those of a rebuild, which begins anew or is given up. */
export async function forgetRebuildParked(
  session: Session,
  projection: string,
): Promise<void> {
  await session.run(
    "DELETE FROM headwater_parked WHERE projection = ? AND is_rebuild = 1",
    [projection],
  );
}

/** What the rebuild lacks is what the serving tables lack, once they are swapped. */
export async function swapParked(
  session: Session,
  projection: string,
): Promise<void> {
  await session.run(
    "DELETE FROM headwater_parked WHERE projection = ? AND is_rebuild = 0",
    [projection],
  );
  await session.run(
    "UPDATE headwater_parked SET is_rebuild = 0 WHERE projection = ?",
    [projection],
  );
}

function toParked(row: readonly SqlValue[]): ParkedEvent {
  const [projection, isRebuild, token, ordinal, attempts, error, parkedMs] =
    row;
  return {
    projection: String(projection),
    isRebuild: Number(isRebuild) === 1,
    token: parseToken(Number(token)),
    ordinal: Number(ordinal),
    attempts: Number(attempts),
    error: String(error),
    parkedMs: Number(parkedMs),
  };
}

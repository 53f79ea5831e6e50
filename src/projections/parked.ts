/**
 * Events that a projection could not take in.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";
import { parseToken, type Token } from "../tokens/token.ts";

/** An event that was set aside, so that those after it go on. */
export interface ParkedEvent {
  /** The name of the projection. */
  readonly projection: string;
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

const COLUMNS = "projection, token, ordinal, attempts, error, parked_ms";

/** A projection's parked events, oldest first. */
export async function readParked(
  session: Session,
  projection: string,
): Promise<ParkedEvent[]> {
  const rows = await session.rows(
    `SELECT ${COLUMNS} FROM headwater_parked
    WHERE projection = ? ORDER BY token, ordinal LIMIT 1000`,
    [projection],
  );
  return rows.map(([name, token, ordinal, attempts, error, parkedMs]) => ({
    projection: String(name),
    token: parseToken(Number(token)),
    ordinal: Number(ordinal),
    attempts: Number(attempts),
    error: String(error),
    parkedMs: Number(parkedMs),
  }));
}

/** Sets an event aside, or notes another failure. */
export async function park(
  session: Session,
  { projection, token, ordinal, attempts, error, parkedMs }: ParkedEvent,
): Promise<void> {
  await session.run(
    `INSERT INTO headwater_parked (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (projection, token, ordinal) DO UPDATE SET
      attempts = excluded.attempts, error = excluded.error,
      parked_ms = excluded.parked_ms`,
    [projection, token, ordinal, attempts, error, parkedMs],
  );
}

/** Forgets one: it has been taken in. */
export async function unpark(
  session: Session,
  { projection, token, ordinal }: ParkedEvent,
): Promise<void> {
  await session.run(
    `DELETE FROM headwater_parked
    WHERE projection = ? AND token = ? AND ordinal = ?`,
    [projection, token, ordinal],
  );
}

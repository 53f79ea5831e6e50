/**
 * How much of its events a projection has taken in, and how long the rest takes.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";
import { EVENTS_STREAM } from "../log/log_schema.ts";
import { type Token, TOKEN_ZERO } from "../tokens/token.ts";
import { type ProjectionRecord, readProjections } from "./checkpoint.ts";

/** How far tables have got. */
export interface ProjectionFigures {
  /** Events that were taken in, or passed over. */
  readonly done: number;
  /** All events there are. */
  readonly total: number;
  /** Events a second, while there were any to take in; 0 before the first. */
  readonly rowsPerSecond: number;
  /** How long the rest will take at that rate, in seconds; 0 if there is none, or no rate yet. */
  readonly secondsLeft: number;
  /** Events that could not be taken in, which the tables lack. */
  readonly parked: number;
}

/** How far a projection's tables have got, and those that are to take their place. */
export interface MeasuredProjection extends ProjectionFigures {
  /** The tables that are being built, or were asked for; `undefined` if none are. */
  readonly rebuild: ProjectionFigures | undefined;
}

/** A projection, and how much is left. */
export interface ProjectionReport extends MeasuredProjection {
  /** The projection's name. */
  readonly name: string;
  /** The version of the code that made its tables. */
  readonly version: number;
  /** The token up to which its tables contain events; `undefined` if it is inline. */
  readonly position: Token | undefined;
  /** When its runner's lease ends, in ms since 1970. */
  readonly expiresMs: number;
  /** When any of this last changed, in ms since 1970. */
  readonly updatedMs: number;
}

/** Measures a projection, by the events that it has yet to take. */
export async function measure(
  session: Session,
  record: ProjectionRecord,
): Promise<MeasuredProjection> {
  const { position, done, rowsPerSecond, rebuild, parked } = record;
  const { rebuildDone, rebuildRowsPerSecond, rebuildParked } = record;
  let left = 0;
  // One that is inline has none to take.
  if (position !== undefined) {
    const [row] = await session.rows(
      `SELECT coalesce(sum(row_count), 0) FROM headwater_log
      WHERE stream = '${EVENTS_STREAM}' AND token > ?`,
      [position],
    );
    left = Number(row?.[0] ?? 0);
  }
  const total = done + left;
  return {
    ...figure(done, total, rowsPerSecond, parked),
    rebuild: rebuild === undefined
      ? undefined
      : figure(rebuildDone, total, rebuildRowsPerSecond, rebuildParked),
  };
}

/** What a projection has come to that nobody has run yet. */
export const UNKNOWN: ProjectionRecord = {
  name: "",
  version: 0,
  position: TOKEN_ZERO,
  done: 0,
  rowsPerSecond: 0,
  rebuild: undefined,
  rebuildDone: 0,
  rebuildRowsPerSecond: 0,
  parked: 0,
  rebuildParked: 0,
  expiresMs: 0,
  updatedMs: 0,
};

/** Measures every projection that was ever run, by name. */
export async function measureAll(
  session: Session,
): Promise<ProjectionReport[]> {
  const reports: ProjectionReport[] = [];
  for (const record of await readProjections(session)) {
    const { name, version, position, expiresMs, updatedMs } = record;
    const measured = await measure(session, record);
    reports.push({
      name,
      version,
      position,
      ...measured,
      expiresMs,
      updatedMs,
    });
  }
  return reports;
}

function figure(
  done: number,
  total: number,
  rowsPerSecond: number,
  parked: number,
): ProjectionFigures {
  const left = Math.max(0, total - done);
  const secondsLeft = left === 0 || rowsPerSecond === 0
    ? 0
    : left / rowsPerSecond;
  return { done, total, rowsPerSecond, secondsLeft, parked };
}

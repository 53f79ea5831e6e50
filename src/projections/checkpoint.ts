/**
 * How far each projection has got, and who runs it.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";
import { parseToken, type Token } from "../tokens/token.ts";

/** What the database knows of a projection. */
export interface ProjectionRecord {
  /** The projection's name. */
  readonly name: string;
  /** The version of the code that made its tables. */
  readonly version: number;
  /** The token up to which its tables contain events; `undefined` if it is inline. */
  readonly position: Token | undefined;
  /** Events taken in, or passed over. */
  readonly done: number;
  /** `"requested"`, or how far a rebuild has got; `undefined` if there is none. */
  readonly rebuild: Token | "requested" | undefined;
  /** Events that it could not take in. */
  readonly parked: number;
  /** When its runner's lease ends, in ms since 1970. */
  readonly expiresMs: number;
  /** When any of this last changed, in ms since 1970. */
  readonly updatedMs: number;
}

/** The right to run a projection. */
export interface ProjectionLease {
  readonly name: string;
  readonly fence: number;
}

const REQUESTED = -1;

const READ = `SELECT p.name, p.version, p.position, p.done, p.rebuild_position,
    (SELECT count(*) FROM headwater_parked WHERE projection = p.name),
    p.expires_ms, p.updated_ms
  FROM headwater_projections p`;
const INSERT = `INSERT INTO headwater_projections
  (name, version, position, done, rebuild_position, fence, holder, expires_ms, updated_ms)
  VALUES (?, ?, ?, 0, NULL, 0, '', 0, ?)`;
const CLAIM = `UPDATE headwater_projections
  SET fence = fence + 1, holder = ?, expires_ms = ?
  WHERE name = ? AND (holder = '' OR expires_ms <= ? OR holder = ?)`;
const READ_FENCE =
  "SELECT fence FROM headwater_projections WHERE name = ? AND holder = ?";
const MOVE = `UPDATE headwater_projections
  SET position = ?, done = done + ?, expires_ms = ?, updated_ms = ?
  WHERE name = ? AND fence = ?`;
const MOVE_REBUILD = `UPDATE headwater_projections
  SET rebuild_position = ?, expires_ms = ?, updated_ms = ?
  WHERE name = ? AND fence = ?`;
const FINISH_REBUILD = `UPDATE headwater_projections
  SET rebuild_position = NULL, version = ?
  WHERE name = ? AND fence = ?`;
const RELEASE = `UPDATE headwater_projections SET holder = '', expires_ms = 0
  WHERE name = ? AND fence = ?`;

/** Every projection that has ever been run, by name. */
export async function readProjections(
  session: Session,
): Promise<ProjectionRecord[]> {
  const rows = await session.rows(`${READ} ORDER BY p.name`, []);
  return rows.map(toRecord);
}

/** What is known of one; `undefined` if it has never been run. */
export async function readProjection(
  session: Session,
  name: string,
): Promise<ProjectionRecord | undefined> {
  const [row] = await session.rows(`${READ} WHERE p.name = ?`, [name]);
  return row === undefined ? undefined : toRecord(row);
}

/** Notes a projection; `position` is left out for one that is inline. */
export async function insertProjection(
  session: Session,
  name: string,
  version: number,
  position: Token | undefined,
  nowMs: number,
): Promise<void> {
  await session.run(INSERT, [name, version, position ?? null, nowMs]);
}

/** Takes a projection for a runner, if nobody else runs it. */
export async function claimProjection(
  session: Session,
  name: string,
  holder: string,
  nowMs: number,
  leaseMs: number,
): Promise<ProjectionLease | undefined> {
  const parameters = [holder, nowMs + leaseMs, name, nowMs, holder];
  if (await session.run(CLAIM, parameters) === 0) return undefined;
  const [row] = await session.rows(READ_FENCE, [name, holder]);
  return { name, fence: Number(row?.[0]) };
}

/**
 * Moves a checkpoint, in the transaction of the effects.
 *
 * @returns Whether the runner still holds the projection; if not, roll back.
 */
export async function movePosition(
  session: Session,
  { name, fence }: ProjectionLease,
  move: {
    readonly position: Token;
    readonly done: number;
    readonly isRebuild: boolean;
    readonly nowMs: number;
    readonly leaseMs: number;
  },
): Promise<boolean> {
  const { position, done, isRebuild, nowMs, leaseMs } = move;
  const expiresMs = nowMs + leaseMs;
  const changed = isRebuild
    ? await session.run(MOVE_REBUILD, [position, expiresMs, nowMs, name, fence])
    : await session.run(MOVE, [position, done, expiresMs, nowMs, name, fence]);
  return changed === 1;
}

/** Notes that a rebuild is done; its tables have been swapped in the same transaction. */
export async function finishRebuild(
  session: Session,
  { name, fence }: ProjectionLease,
  version: number,
): Promise<boolean> {
  return await session.run(FINISH_REBUILD, [version, name, fence]) === 1;
}

/** Lets another runner have it. */
export async function releaseProjection(
  session: Session,
  { name, fence }: ProjectionLease,
): Promise<void> {
  await session.run(RELEASE, [name, fence]);
}

function toRecord(row: readonly unknown[]): ProjectionRecord {
  const [name, version, position, done, rebuild, parked, expiresMs, updatedMs] =
    row;
  return {
    name: String(name),
    version: Number(version),
    position: position === null ? undefined : parseToken(Number(position)),
    done: Number(done),
    rebuild: rebuild === null
      ? undefined
      : Number(rebuild) === REQUESTED
      ? "requested"
      : parseToken(Number(rebuild)),
    parked: Number(parked),
    expiresMs: Number(expiresMs),
    updatedMs: Number(updatedMs),
  };
}

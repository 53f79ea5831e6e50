/**
 * How far each projection has got, and who runs it.
 *
 * @module
 */

import type { Session, SqlParameter } from "../database/engine.ts";
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
  /** Events a second, while there were any to take in; 0 before the first. */
  readonly rowsPerSecond: number;
  /** `"requested"`, or how far a rebuild has got; `undefined` if there is none. */
  readonly rebuild: Token | "requested" | undefined;
  /** Events that the rebuild has taken in, or passed over. */
  readonly rebuildDone: number;
  /** The rebuild's events a second; 0 before the first. */
  readonly rebuildRowsPerSecond: number;
  /** Events that it could not take in: they are missing in its tables. */
  readonly parked: number;
  /** Events that the rebuild could not take in. */
  readonly rebuildParked: number;
  /** When its runner's lease ends, in ms since 1970. */
  readonly expiresMs: number;
  /** When any of this last changed, in ms since 1970. */
  readonly updatedMs: number;
}

/** What whoever runs a projection must know, besides. */
export interface ProjectionState extends ProjectionRecord {
  /** The number of the lease. */
  readonly fence: number;
  /** How often its tables were swapped for new ones. */
  readonly build: number;
  /** The version of the code that makes the rebuild's tables; 0 before it has begun. */
  readonly rebuildVersion: number;
}

/** The right to run a projection. */
export interface ProjectionLease {
  readonly name: string;
  readonly fence: number;
}

/** How a checkpoint moves. */
export interface Move {
  /** Where it is: if it isn't any more, nothing moves. */
  readonly from: Token;
  /** Where it goes. */
  readonly to: Token;
  /** Events between the two. */
  readonly done: number;
  readonly rowsPerSecond: number;
  readonly nowMs: number;
  readonly leaseMs: number;
}

/**
 * A checkpoint, or the lease, is not what was read before: the transaction is
 * to be rolled back, and both are to be read again.
 */
export class MovedError extends Error {
  override readonly name: string = "MovedError";
}

const REQUESTED = -1;
const NONE = -2;

const PARKED =
  "SELECT count(*) FROM headwater_parked WHERE projection = p.name";
const READ = `SELECT p.name, p.version, p.position, p.done, p.rate,
    p.rebuild_position, p.rebuild_done, p.rebuild_rate,
    (${PARKED} AND is_rebuild = 0), (${PARKED} AND is_rebuild = 1),
    p.expires_ms, p.updated_ms, p.fence, p.build, p.rebuild_version
  FROM headwater_projections p`;
const INSERT = `INSERT INTO headwater_projections
  (name, version, position, done, rebuild_position, fence, holder, expires_ms, updated_ms)
  VALUES (?, ?, ?, 0, NULL, 0, '', 0, ?)`;
// What a newer version has made is not for an older one to go on with.
const CLAIM = `UPDATE headwater_projections
  SET fence = fence + 1, holder = ?, expires_ms = ?
  WHERE name = ? AND version <= ?
    AND (holder = '' OR expires_ms <= ? OR holder = ?)`;
const READ_FENCE =
  "SELECT fence FROM headwater_projections WHERE name = ? AND holder = ?";
const HOLD = `UPDATE headwater_projections SET expires_ms = ?, updated_ms = ?
  WHERE name = ? AND fence = ?`;
const MOVE = `UPDATE headwater_projections
  SET position = ?, done = done + ?, rate = ?, expires_ms = ?, updated_ms = ?
  WHERE name = ? AND fence = ? AND position = ?`;
const MOVE_REBUILD = `UPDATE headwater_projections
  SET rebuild_position = ?, rebuild_done = rebuild_done + ?, rebuild_rate = ?,
    expires_ms = ?, updated_ms = ?
  WHERE name = ? AND fence = ? AND rebuild_position = ?`;
const BEGIN_REBUILD = `UPDATE headwater_projections
  SET rebuild_position = 0, rebuild_version = ?, rebuild_done = 0,
    rebuild_rate = 0, expires_ms = ?, updated_ms = ?
  WHERE name = ? AND fence = ? AND coalesce(rebuild_position, ${NONE}) = ?`;
const NO_REBUILD = `rebuild_position = NULL, rebuild_version = 0,
    rebuild_done = 0, rebuild_rate = 0`;
const WITHDRAW_REBUILD = `UPDATE headwater_projections
  SET ${NO_REBUILD}
  WHERE name = ? AND fence = ? AND rebuild_position = ?`;
// The serving tables may have come further, by a step since the rebuild's last
// one: then they must not be replaced yet.
const FINISH_REBUILD = `UPDATE headwater_projections
  SET position = rebuild_position, version = rebuild_version,
    done = rebuild_done, rate = rebuild_rate, build = build + 1,
    ${NO_REBUILD}, updated_ms = ?
  WHERE name = ? AND fence = ? AND rebuild_position = ?
    AND position <= rebuild_position`;
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
): Promise<ProjectionState | undefined> {
  const [row] = await session.rows(`${READ} WHERE p.name = ?`, [name]);
  if (row === undefined) return undefined;
  const [fence, build, rebuildVersion] = row.slice(-3).map(Number);
  return {
    ...toRecord(row),
    fence: fence as number,
    build: build as number,
    rebuildVersion: rebuildVersion as number,
  };
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

/** Takes a projection for a runner, if nobody else runs it, and no newer version has. */
export async function claimProjection(
  session: Session,
  name: string,
  version: number,
  holder: string,
  nowMs: number,
  leaseMs: number,
): Promise<ProjectionLease | undefined> {
  const parameters = [holder, nowMs + leaseMs, name, version, nowMs, holder];
  if (await session.run(CLAIM, parameters) === 0) return undefined;
  const [row] = await session.rows(READ_FENCE, [name, holder]);
  return { name, fence: Number(row?.[0]) };
}

/**
 * Keeps the lease for the rest of the transaction.
 *
 * @throws {MovedError} If another runner has it.
 */
export async function holdProjection(
  session: Session,
  { name, fence }: ProjectionLease,
  nowMs: number,
  leaseMs: number,
): Promise<void> {
  await change(session, HOLD, [nowMs + leaseMs, nowMs, name, fence]);
}

/**
 * Moves the checkpoint of the serving tables, in the transaction of the effects.
 *
 * @throws {MovedError}
 */
export async function movePosition(
  session: Session,
  lease: ProjectionLease,
  move: Move,
): Promise<void> {
  await change(session, MOVE, toParameters(lease, move));
}

/**
 * Moves the checkpoint of the tables that are being built, likewise.
 *
 * @throws {MovedError}
 */
export async function moveRebuild(
  session: Session,
  lease: ProjectionLease,
  move: Move,
): Promise<void> {
  await change(session, MOVE_REBUILD, toParameters(lease, move));
}

/**
 * Notes that a rebuild begins, or begins anew; its tables are made in the same
 * transaction.
 *
 * @throws {MovedError}
 */
export async function beginRebuild(
  session: Session,
  { name, fence }: ProjectionLease,
  from: ProjectionRecord["rebuild"],
  version: number,
  nowMs: number,
  leaseMs: number,
): Promise<void> {
  const was = from === "requested" ? REQUESTED : from ?? NONE;
  const parameters = [version, nowMs + leaseMs, nowMs, name, fence, was];
  await change(session, BEGIN_REBUILD, parameters);
}

/**
 * Gives a rebuild up.
 *
 * @returns Whether it was still there.
 */
export async function withdrawRebuild(
  session: Session,
  { name, fence }: ProjectionLease,
  from: ProjectionRecord["rebuild"],
): Promise<boolean> {
  const was = from === "requested" ? REQUESTED : from ?? NONE;
  return await session.run(WITHDRAW_REBUILD, [name, fence, was]) === 1;
}

/**
 * Notes that a rebuild is done; its tables are swapped in the same transaction.
 *
 * @throws {MovedError}
 */
export async function finishRebuild(
  session: Session,
  { name, fence }: ProjectionLease,
  position: Token,
  nowMs: number,
): Promise<void> {
  await change(session, FINISH_REBUILD, [nowMs, name, fence, position]);
}

/** Lets another runner have it. */
export async function releaseProjection(
  session: Session,
  { name, fence }: ProjectionLease,
): Promise<void> {
  await session.run(RELEASE, [name, fence]);
}

async function change(
  session: Session,
  sql: string,
  parameters: readonly SqlParameter[],
): Promise<void> {
  if (await session.run(sql, parameters) === 0) throw new MovedError();
}

function toParameters(
  { name, fence }: ProjectionLease,
  { from, to, done, rowsPerSecond, nowMs, leaseMs }: Move,
): SqlParameter[] {
  return [to, done, rowsPerSecond, nowMs + leaseMs, nowMs, name, fence, from];
}

function toRecord(row: readonly unknown[]): ProjectionRecord {
  const [name, ...others] = row;
  const [version, position, done, rate, rebuild, rebuildDone, rebuildRate] =
    others;
  const [parked, rebuildParked, expiresMs, updatedMs] = others.slice(7);
  return {
    name: String(name),
    version: Number(version),
    position: position === null ? undefined : parseToken(Number(position)),
    done: Number(done),
    rowsPerSecond: Number(rate),
    rebuild: rebuild === null
      ? undefined
      : Number(rebuild) === REQUESTED
      ? "requested"
      : parseToken(Number(rebuild)),
    rebuildDone: Number(rebuildDone),
    rebuildRowsPerSecond: Number(rebuildRate),
    parked: Number(parked),
    rebuildParked: Number(rebuildParked),
    expiresMs: Number(expiresMs),
    updatedMs: Number(updatedMs),
  };
}

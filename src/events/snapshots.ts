/**
 * Folded aggregates, kept so that they need not be folded from the beginning.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";

/** Whose snapshot it is. */
export interface SnapshotKey {
  readonly aggregate: string;
  /** The reducer's name. */
  readonly reducer: string;
  /** The reducer's version: a snapshot of another one is of no use. */
  readonly reducerVersion: number;
}

/** A folded aggregate. */
export interface Snapshot {
  /** The aggregate's version that is contained. */
  readonly version: number;
  /** JSON. */
  readonly state: string;
}

/** Reads a snapshot; `undefined` if there is none of that reducer's version. */
export async function readSnapshot(
  session: Session,
  { aggregate, reducer, reducerVersion }: SnapshotKey,
): Promise<Snapshot | undefined> {
  const [row] = await session.rows(
    `SELECT version, state FROM headwater_snapshots
    WHERE aggregate = ? AND reducer = ? AND reducer_version = ?`,
    [aggregate, reducer, reducerVersion],
  );
  if (row === undefined) return undefined;
  return { version: Number(row[0]), state: String(row[1]) };
}

/** Stores a snapshot, unless a newer one is there by now. */
export async function writeSnapshot(
  session: Session,
  { aggregate, reducer, reducerVersion }: SnapshotKey,
  { version, state }: Snapshot,
): Promise<void> {
  await session.run(
    `INSERT INTO headwater_snapshots AS kept
      (aggregate, reducer, reducer_version, version, state)
    VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (aggregate, reducer) DO UPDATE SET
      reducer_version = excluded.reducer_version,
      version = excluded.version, state = excluded.state
    WHERE kept.reducer_version < excluded.reducer_version
      OR (kept.reducer_version = excluded.reducer_version
        AND kept.version < excluded.version)`,
    [aggregate, reducer, reducerVersion, version, state],
  );
}

/**
 * Who holds an instance's name, as the database has it.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import { isProvablyGone, type ProcessIdentity } from "../runtime/processes.ts";

/** A process that has taken a name, perhaps long ago. */
export interface Holder extends ProcessIdentity {
  readonly holder: string;
  readonly fence: number;
  readonly startedMs: number;
  readonly expiresMs: number;
}

const READ_HOLDER =
  `SELECT host, pid, process_mark, holder, fence, started_ms, expires_ms
  FROM headwater_instances WHERE name = ?`;

/**
 * Who has taken an instance's name last.
 *
 * @param lock What follows the query, to lock the row.
 */
export async function readHolder(
  session: Session,
  instance: string,
  lock = "",
): Promise<Holder | undefined> {
  const [row] = await session.rows(READ_HOLDER + lock, [instance]);
  if (row === undefined) return undefined;
  const [host, pid, mark, holder, fence, startedMs, expiresMs] = row;
  return {
    host: String(host),
    pid: Number(pid),
    mark: String(mark),
    holder: String(holder),
    fence: Number(fence),
    startedMs: Number(startedMs),
    expiresMs: Number(expiresMs),
  };
}

/** Whether the name is still its own. */
export function isHeld(holder: Holder, now: number): boolean {
  return holder.expiresMs > now && !isProvablyGone(holder);
}

/** The error of whoever asks for a name that is held. */
export function heldError(
  instance: string,
  holder: Holder,
  now: number,
): HeadwaterError {
  const since = new Date(holder.startedMs).toISOString();
  const seconds = Math.ceil((holder.expiresMs - now) / 1000);
  return new HeadwaterError(
    "INSTANCE_HELD",
    `Cannot open a writer store as instance "${instance}": process ${holder.pid} ` +
      `on ${holder.host} has held the name since ${since}, for ${seconds} s more ` +
      "unless it renews; stop it, or give this one another instance name",
  );
}

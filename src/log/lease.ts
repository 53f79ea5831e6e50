/**
 * One live process for an instance name.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";
import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import {
  isProvablyGone,
  type ProcessIdentity,
  thisProcess,
} from "../runtime/processes.ts";
import { parseToken, type Token } from "../tokens/token.ts";
import { readLastToken } from "./read.ts";

/** The right to write under an instance name. */
export interface Lease {
  /** The instance's name. */
  readonly instance: string;
  /** Grows by one with each holder; every commit checks it. */
  readonly fence: number;
  /** The instance's last committed token, when the lease was taken. */
  readonly lastToken: Token;
  /** A token that none given before is beyond, in this database. */
  readonly lastReserved: Token;
}

interface Holder extends ProcessIdentity {
  readonly fence: number;
  readonly startedMs: number;
  readonly expiresMs: number;
}

/**
 * Takes an instance's name for this process, in the caller's transaction.
 *
 * Promise 8, one holder per instance name: the name is free if nobody holds
 * it, if its holder's lease has run out, or if that process is provably gone.
 * Should this be wrong, the fence makes it harmless: the earlier holder can't
 * commit any more.
 *
 * @param session A session that may write.
 * @param instance The name to take.
 * @param clock Tells the wall-clock time.
 * @param leaseMs How long the lease holds unless renewed, in ms.
 * @throws {HeadwaterError} `INSTANCE_HELD`, naming the holder's host and pid.
 */
export async function takeLease(
  session: Session,
  instance: string,
  clock: Clock,
  leaseMs: number,
): Promise<Lease> {
  const now = Math.round(clock.wallMs());
  const holder = await readHolder(session, instance);
  if (
    holder !== undefined && holder.expiresMs > now && !isProvablyGone(holder)
  ) {
    throw heldError(instance, holder, now);
  }
  const fence = (holder?.fence ?? 0) + 1;
  const lastToken = await readLastToken(session, instance);
  const [row] = await session.rows(
    `SELECT max(coalesce((SELECT max(last_token) FROM headwater_instances), 0),
      coalesce((SELECT max(token) FROM headwater_log), 0))`,
    [],
  );
  const lastReserved = parseToken(Number(row?.[0]));
  const self = thisProcess();
  await session.run(
    `INSERT INTO headwater_instances
      (name, last_token, fence, host, pid, process_mark, started_ms, expires_ms)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET
      fence = excluded.fence, host = excluded.host, pid = excluded.pid,
      process_mark = excluded.process_mark,
      started_ms = excluded.started_ms, expires_ms = excluded.expires_ms`,
    [
      instance,
      lastReserved,
      fence,
      self.host,
      self.pid,
      self.mark,
      now,
      now + leaseMs,
    ],
  );
  return { instance, fence, lastToken, lastReserved };
}

/**
 * Holds on to a lease, in the caller's transaction.
 *
 * @throws {HeadwaterError} `LEASE_LOST` if another process has taken the name.
 */
export async function renewLease(
  session: Session,
  lease: Lease,
  expiresMs: number,
): Promise<void> {
  const changed = await session.run(
    "UPDATE headwater_instances SET expires_ms = ? WHERE name = ? AND fence = ?",
    [Math.round(expiresMs), lease.instance, lease.fence],
  );
  if (changed === 0) throw await leaseLostError(session, lease);
}

/**
 * Gives the name free, in the caller's transaction, and the tokens that were
 * set aside and not taken. Nothing happens if the name is another's by now.
 */
export async function releaseLease(
  session: Session,
  lease: Lease,
  lastTaken: Token,
): Promise<void> {
  await session.run(
    `UPDATE headwater_instances SET expires_ms = 0, last_token = ?
    WHERE name = ? AND fence = ?`,
    [lastTaken, lease.instance, lease.fence],
  );
}

/** Who has taken the name instead. */
export async function leaseLostError(
  session: Session,
  lease: Lease,
): Promise<HeadwaterError> {
  const holder = await readHolder(session, lease.instance);
  const now = holder === undefined
    ? "nobody; its row was deleted"
    : `process ${holder.pid} on ${holder.host}`;
  return new HeadwaterError(
    "LEASE_LOST",
    `Cannot write as instance "${lease.instance}": this process lost its lease; ` +
      `the holder is ${now}; open the writer store again`,
  );
}

async function readHolder(
  session: Session,
  instance: string,
): Promise<Holder | undefined> {
  const [row] = await session.rows(
    `SELECT host, pid, process_mark, fence, started_ms, expires_ms
    FROM headwater_instances WHERE name = ?`,
    [instance],
  );
  if (row === undefined) return undefined;
  const [host, pid, mark, fence, startedMs, expiresMs] = row;
  return {
    host: String(host),
    pid: Number(pid),
    mark: String(mark),
    fence: Number(fence),
    startedMs: Number(startedMs),
    expiresMs: Number(expiresMs),
  };
}

function heldError(
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

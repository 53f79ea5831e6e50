/**
 * Who writes, or has written, into a log.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";
import { parseToken, type Token } from "../tokens/token.ts";

/** An instance, as the database knows it. */
export interface InstanceRecord {
  readonly name: string;
  /** Its position when it last told; it may have got further since. */
  readonly position: Token;
  readonly fence: number;
  readonly host: string;
  readonly pid: number;
  /** When its lease runs out, in ms since 1970; 0 if it was given back. */
  readonly expiresMs: number;
}

/** Every instance that has ever written. */
export async function readInstances(
  session: Session,
): Promise<InstanceRecord[]> {
  const rows = await session.rows(
    `SELECT name, position, fence, host, pid, expires_ms
    FROM headwater_instances ORDER BY name`,
    [],
  );
  return rows.map(([name, position, fence, host, pid, expiresMs]) => ({
    name: String(name),
    position: parseToken(Number(position)),
    fence: Number(fence),
    host: String(host),
    pid: Number(pid),
    expiresMs: Number(expiresMs),
  }));
}

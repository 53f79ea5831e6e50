/**
 * How far each instance has got, and who it is.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";
import { readHorizon } from "../log/horizon.ts";
import { readEnds, readInstances } from "../log/instances.ts";
import { readNow } from "../log/lease.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Token } from "../tokens/token.ts";

/**
 * What became of an instance's lease.
 *
 * - `"held"`: a process writes under the name.
 * - `"expired"`: its process has not renewed it in time; it may be dead, or stuck.
 * - `"released"`: its process has ended as it should.
 */
export type LeaseState = "held" | "expired" | "released";

/** An instance. */
export interface InstancePosition {
  /** The instance's name. */
  readonly name: string;
  /** Its last token in the log. */
  readonly position: Token;
  /** The machine of the process that holds the name, or held it last. */
  readonly host: string;
  /** That process's id. */
  readonly pid: number;
  /** Whether it still holds the name. */
  readonly lease: LeaseState;
  /** When the lease ends, or ended, in ms since 1970; `undefined` if it was released. */
  readonly leaseEndsMs: number | undefined;
  /** How many processes have held the name. */
  readonly fence: number;
}

/** How far a log has got. */
export interface LogPositions {
  /** The token up to which no row can appear any more, whoever writes. */
  readonly horizon: Token;
  /** Every instance that has ever written, by name. */
  readonly instances: readonly InstancePosition[];
}

/** Reads how far a log has got. */
export async function readPositions(
  session: Session,
  clock: Clock,
): Promise<LogPositions> {
  const horizon = await readHorizon(session, { clock });
  const now = await readNow(session, clock);
  const ends = new Map(
    (await readEnds(session)).map(({ name, token }) => [name, token]),
  );
  const instances: InstancePosition[] = [];
  for (const record of await readInstances(session)) {
    const { name, host, pid, fence, expiresMs } = record;
    const lease = expiresMs === 0
      ? "released"
      : expiresMs > now
      ? "held"
      : "expired";
    instances.push({
      name,
      position: ends.get(name) ?? record.position,
      host,
      pid,
      lease,
      leaseEndsMs: lease === "released" ? undefined : expiresMs,
      fence,
    });
  }
  return { horizon, instances };
}

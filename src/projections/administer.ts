/**
 * Asking for something to be done to a projection, by whoever runs it.
 *
 * @module
 */

import type { Engine, Session } from "../database/engine.ts";
import { HeadwaterError, quote } from "../runtime/errors.ts";
import { requireAllEvents } from "./deleted_events.ts";

/**
 * Asks for a projection to be rebuilt from zero; its tables serve meanwhile.
 * One that is being rebuilt begins anew.
 *
 * @throws {HeadwaterError} `PROJECTION_UNKNOWN`; `EVENTS_DELETED` if retention
 *   has deleted some.
 */
export async function requestRebuild<Database>(
  engine: Engine<Database>,
  name: string,
): Promise<void> {
  await engine.transaction("request rebuild", async (session) => {
    const changed = await session.run(
      `UPDATE headwater_projections SET rebuild_position = -1
      WHERE name = ? AND position IS NOT NULL`,
      [name],
    );
    if (changed === 0) throw unknownError("rebuild", name);
    await requireAllEvents(session, name);
  });
}

/**
 * Asks for a projection's parked events to be tried again: those that its
 * serving tables lack.
 *
 * @returns How many there are.
 * @throws {HeadwaterError} `PROJECTION_UNKNOWN`.
 */
export async function requestRetry<Database>(
  engine: Engine<Database>,
  name: string,
): Promise<number> {
  return await engine.transaction("request retry", async (session) => {
    await requireProjection(session, "retry", name);
    return await session.run(
      `UPDATE headwater_parked SET attempts = 0
      WHERE projection = ? AND is_rebuild = 0`,
      [name],
    );
  });
}

/**
 * Makes sure that a projection has ever been run.
 *
 * @throws {HeadwaterError} `PROJECTION_UNKNOWN`.
 */
export async function requireProjection(
  session: Session,
  action: string,
  name: string,
): Promise<void> {
  const [known] = await session.rows(
    "SELECT 1 FROM headwater_projections WHERE name = ?",
    [name],
  );
  if (known === undefined) throw unknownError(action, name);
}

function unknownError(action: string, name: string): HeadwaterError {
  return new HeadwaterError(
    "PROJECTION_UNKNOWN",
    `Cannot ${action} projection ${
      quote(name)
    }: none that catches up by that ` +
      "name has been run on this database; headwater projections lists them",
  );
}

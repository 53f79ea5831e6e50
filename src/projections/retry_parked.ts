/**
 * Trying parked events again.
 *
 * @module
 */

import { retryReason } from "../database/retry.ts";
import type { StoredEvent } from "../events/event.ts";
import { readLogEvents } from "../events/read_events.ts";
import { readFloorOf } from "../log/history.ts";
import { readNow } from "../log/lease.ts";
import { EVENTS_STREAM } from "../log/log_schema.ts";
import { parseToken } from "../tokens/token.ts";
import {
  holdProjection,
  MovedError,
  type ProjectionLease,
  type ProjectionState,
} from "./checkpoint.ts";
import { park, type ParkedEvent, readDue, unpark } from "./parked.ts";
import { tablesOf } from "./projection.ts";
import { HandlerError, type ProjectionStepOptions } from "./projection_step.ts";

const MISSING = "Cannot try the event again: ";

/**
 * Takes those in that somebody asked for, each in a transaction of its own; one
 * that fails again is set aside again, until the next time somebody asks.
 *
 * @throws {MovedError} if another runner has the projection.
 */
export async function retryParked<Database>(
  options: ProjectionStepOptions<Database>,
  lease: ProjectionLease,
  state: ProjectionState,
): Promise<void> {
  if (state.parked === 0) return;
  const { engine, projection } = options;
  for (const parked of await readDue(engine.session, projection.name)) {
    const event = await findEvent(options, parked);
    if (event === undefined) {
      const missing = await describeMissing(options, parked);
      await parkAgain(options, lease, parked, missing);
      continue;
    }
    try {
      await takeIn(options, lease, state, parked, event);
    } catch (error) {
      if (!(error instanceof HandlerError)) throw error;
      // A deadlock, or a lost connection, is not the event's fault.
      if (retryReason(error.cause) !== undefined) throw error;
      await parkAgain(options, lease, parked, error.message);
    }
  }
}

async function takeIn<Database>(
  { engine, projection, clock, leaseMs }: ProjectionStepOptions<Database>,
  lease: ProjectionLease,
  { build: number }: ProjectionState,
  parked: ParkedEvent,
  event: StoredEvent,
): Promise<void> {
  const { name, tables } = projection;
  const table = tablesOf(tables, { number, isNext: false });
  await engine.transaction(`retry ${name}`, async (session) => {
    const nowMs = await readNow(session, clock);
    await holdProjection(session, lease, nowMs, leaseMs);
    if (!await unpark(session, parked)) throw new MovedError();
    try {
      await projection.handle(event, { db: session.db, table });
    } catch (error) {
      throw new HandlerError({ event, ordinal: parked.ordinal }, error);
    }
  });
}

async function parkAgain<Database>(
  { engine, projection, clock, leaseMs, maxTries }: ProjectionStepOptions<
    Database
  >,
  lease: ProjectionLease,
  parked: ParkedEvent,
  error: string,
): Promise<void> {
  await engine.transaction(`park ${projection.name}`, async (session) => {
    const parkedMs = await readNow(session, clock);
    await holdProjection(session, lease, parkedMs, leaseMs);
    await park(session, { ...parked, attempts: maxTries, error, parkedMs });
  });
}

async function findEvent<Database>(
  { engine }: ProjectionStepOptions<Database>,
  { token, ordinal }: ParkedEvent,
): Promise<StoredEvent | undefined> {
  const after = parseToken(token - 1);
  let at = 0;
  for await (const event of readLogEvents(engine.session, token, { after })) {
    if (at++ === ordinal) return event;
  }
  return undefined;
}

async function describeMissing<Database>(
  { engine }: ProjectionStepOptions<Database>,
  { token, error }: ParkedEvent,
): Promise<string> {
  if (error.startsWith(MISSING)) return error;
  const floor = await readFloorOf(engine.session, EVENTS_STREAM);
  const what = token <= floor
    ? `events up to token ${floor} were deleted`
    : `the log has no such event of token ${token}`;
  return `${MISSING}${what}. It had failed with: ${error}`;
}

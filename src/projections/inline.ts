/**
 * Projections that are written in the transaction that appends.
 *
 * @module
 */

import type { Transaction } from "kysely";
import type { Engine } from "../database/engine.ts";
import { readLogEvents } from "../events/read_events.ts";
import { readFloorOf } from "../log/history.ts";
import { readNow } from "../log/lease.ts";
import { EVENTS_STREAM } from "../log/log_schema.ts";
import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import type { Token } from "../tokens/token.ts";
import { insertProjection, readProjection } from "./checkpoint.ts";
import {
  isWanted,
  type ProjectedEvent,
  type Projection,
  servingTable,
} from "./projection.ts";

const END = Number.MAX_SAFE_INTEGER as Token;

/**
 * Makes an inline projection's tables, if they aren't there, of the events that
 * are; from then on the store takes each append's events in.
 *
 * Nobody may append meanwhile: on SQLite the write lock sees to that, on
 * PostgreSQL a lock on the table of appends.
 *
 * @throws {HeadwaterError} `INVALID_ARGUMENT` if the name is one that catches up,
 *   or the stored version is another; `EVENTS_DELETED`.
 */
export async function prepareInline<Database>(
  engine: Engine<Database>,
  projection: Projection<Database>,
  clock: Clock,
): Promise<void> {
  const { name, version = 1 } = projection;
  await engine.transaction(`prepare projection ${name}`, async (session) => {
    if (session.dialect === "postgres") {
      await session.run("LOCK TABLE headwater_appends IN SHARE MODE", []);
    }
    const found = await readProjection(session, name);
    if (found !== undefined) {
      if (found.position === undefined && found.version === version) return;
      throw otherError(name, version, found.version, found.position);
    }
    const floor = await readFloorOf(session, EVENTS_STREAM);
    if (floor > 0) throw deletedError(name, floor);
    const { db } = session;
    await projection.create({ db, table: servingTable });
    for await (const event of readLogEvents(session, END)) {
      await takeIn(projection, db, event);
    }
    const nowMs = await readNow(session, clock);
    await insertProjection(session, name, version, undefined, nowMs);
  });
}

/** Takes an event into an inline projection, if it is one of its. */
export async function takeIn<Database>(
  projection: Projection<Database>,
  db: Transaction<Database>,
  event: ProjectedEvent,
): Promise<void> {
  if (!isWanted(projection, event)) return;
  await projection.handle(event, { db, table: servingTable });
}

function otherError(
  name: string,
  version: number,
  stored: number,
  position: Token | undefined,
): HeadwaterError {
  return new HeadwaterError(
    "INVALID_ARGUMENT",
    position === undefined
      ? `Cannot write projection "${name}" inline: its tables are of version ` +
        `${stored}, and this is ${version}; give it another name`
      : `Cannot write projection "${name}" inline: it catches up, in a runner; ` +
        "give this one another name",
  );
}

function deletedError(name: string, floor: Token): HeadwaterError {
  return new HeadwaterError(
    "EVENTS_DELETED",
    `Cannot write projection "${name}" inline: events up to token ${floor} ` +
      "were deleted, so that it can't be made from the beginning; keep events " +
      "for ever",
  );
}

/**
 * What an append has to know of its aggregate.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";
import { isEventsOf, perDialect } from "../log/log_key.ts";
import { ROW_SEPARATOR } from "../log/log_schema.ts";
import type { JsonValue } from "../runtime/json.ts";
import { parseToken, type Token } from "../tokens/token.ts";

/** Where an aggregate stands. */
export interface AggregateState {
  /** The number of its events. */
  readonly version: number;
  /** Whether it takes no more. */
  readonly isClosed: boolean;
}

/** An event whose id a user gave. */
export interface GivenEvent {
  readonly id: string;
  readonly aggregate: string;
  readonly version: number;
  readonly token: Token;
  /** Who appended it; `undefined` if its record is deleted. */
  readonly instance: string | undefined;
  /** What it is; `undefined` if retention has deleted its record. */
  readonly content:
    | { readonly type: string; readonly data: JsonValue }
    | undefined;
}

const READ_STATE = `SELECT last_version, is_last FROM headwater_appends
  WHERE aggregate = ? ORDER BY first_version DESC LIMIT 1`;
const READ_GIVEN = perDialect((dialect) =>
  `SELECT i.aggregate, i.version, i.token, l.body, l.instance
  FROM headwater_event_ids i
  LEFT JOIN headwater_log l ON ${isEventsOf(dialect, "l", "i.token")}
  WHERE i.event_id = ?`
);

/** Reads where an aggregate stands; version 0 if it has no events. */
export async function readAggregateState(
  session: Session,
  aggregate: string,
): Promise<AggregateState> {
  const [row] = await session.rows(READ_STATE, [aggregate]);
  return {
    version: Number(row?.[0] ?? 0),
    isClosed: Number(row?.[1] ?? 0) === 1,
  };
}

/** Reads the events among these ids that were appended before. */
export async function readGivenEvents(
  session: Session,
  ids: readonly string[],
): Promise<GivenEvent[]> {
  const found: GivenEvent[] = [];
  for (const id of ids) {
    const [row] = await session.rows(READ_GIVEN[session.dialect], [id]);
    if (row === undefined) continue;
    const [aggregate, version, token, body, instance] = row;
    const event = String(body ?? "").split(ROW_SEPARATOR)
      .filter((text) => text !== "")
      .map((text) => JSON.parse(text))
      .find((fields) => fields[3] === id);
    found.push({
      id,
      aggregate: String(aggregate),
      version: Number(version),
      token: parseToken(Number(token)),
      instance: typeof instance === "string" ? instance : undefined,
      content: event && { type: String(event[2]), data: event[4] },
    });
  }
  return found;
}

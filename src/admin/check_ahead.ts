/**
 * Checking that nothing knows of more than the log has.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";
import { readFloor } from "../log/history.ts";
import { quote } from "../runtime/errors.ts";
import { type CheckContext, scan, SCAN_ROWS } from "./check_context.ts";
import { exactly, textOf } from "./exact_text.ts";
import type { Reserved } from "./reserved.ts";

/** How far instances, projections and retention say that they have got. */
export interface ToldTokens {
  readonly positions: readonly Told[];
  readonly checkpoints: readonly Told[];
  readonly floors: readonly Told[];
}

/** The same, and up to which token it is noted when events were committed. */
interface AllToldTokens extends ToldTokens {
  readonly times: number;
}

/** How far one says that it has got. */
export interface Told {
  readonly name: string;
  readonly token: number;
}

const POSITIONS =
  "SELECT name, position FROM headwater_instances ORDER BY name";
const CHECKPOINTS = `SELECT name, position FROM headwater_projections
    WHERE position IS NOT NULL
  UNION ALL SELECT name, rebuild_position FROM headwater_projections
    WHERE rebuild_position IS NOT NULL
  ORDER BY name`;
const FLOORS = `SELECT stream, floor_token FROM headwater_retained
  ORDER BY stream`;

/** Reads what was told: before the log is read, so that it has all of that. */
export async function readTold(session: Session): Promise<ToldTokens> {
  const read = async (sql: string): Promise<Told[]> => {
    const rows = await session.rows(sql, []);
    return rows.map(([name, token]) => ({
      name: String(name),
      token: Number(token),
    }));
  };
  return {
    positions: await read(POSITIONS),
    checkpoints: await read(CHECKPOINTS),
    floors: await read(FLOORS),
  };
}

/**
 * Checks what was told against the log.
 *
 * A position is a token of its instance, a checkpoint any that was complete.
 * Where retention has deleted the end of the log, both may be there.
 *
 * @param context What to check with.
 * @param told What was told.
 * @param lastTokens The last token of each instance in the log.
 * @param reserved Which tokens may have been given.
 */
export async function checkTold(
  { session, problems, lastToken }: CheckContext,
  { positions, checkpoints, floors, times }: AllToldTokens,
  lastTokens: ReadonlyMap<string, number>,
  reserved: Reserved,
): Promise<void> {
  const floor = Math.min(await readFloor(session), reserved.last);
  const add = (token: number, message: string) =>
    problems.add("ahead", token, message);
  for (const { name, token } of positions) {
    const last = lastTokens.get(name) ?? 0;
    if (token <= Math.max(last, floor)) continue;
    add(
      token,
      `instance ${
        quote(name)
      } has told position ${token}, and its last token ` +
        `in the log is ${last}`,
    );
  }
  // PostgreSQL's horizon is the last token taken, committed or not.
  const end = session.dialect === "postgres"
    ? reserved.last
    : Math.max(lastToken, floor);
  for (const { name, token } of checkpoints) {
    if (token <= end) continue;
    add(
      token,
      `projection ${
        quote(name)
      } has come to token ${token}, and the log to ${end}`,
    );
  }
  for (const { name, token } of floors) {
    if (token <= reserved.last) continue;
    add(
      token,
      `rows of stream ${quote(name)} were deleted up to token ${token}, and ` +
        `the last that was reserved is ${reserved.last}`,
    );
  }
  if (times > reserved.last) {
    add(
      times,
      `it is noted up to token ${times} when events were committed, and the ` +
        `last that was reserved is ${reserved.last}`,
    );
  }
}

/** Checks that snapshots are of versions that there are. */
export async function checkSnapshots(context: CheckContext): Promise<void> {
  const { session, problems, progress } = context;
  const { dialect } = session;
  const sql = `SELECT ${exactly(dialect, "s.aggregate")},
      ${exactly(dialect, "s.reducer")}, s.version,
      (SELECT a.last_version FROM headwater_appends a
        WHERE a.aggregate = s.aggregate
        ORDER BY a.first_version DESC LIMIT 1)
    FROM headwater_snapshots s
    WHERE (s.aggregate, s.reducer) > (CAST(? AS TEXT), CAST(? AS TEXT))
    ORDER BY s.aggregate, s.reducer LIMIT ${SCAN_ROWS}`;
  let checked = 0;
  for await (const page of scan(context, sql, ["", ""])) {
    for (const [aggregate, reducer, version, last] of page) {
      if (Number(version) <= Number(last ?? 0)) continue;
      problems.add(
        "ahead",
        undefined,
        `the snapshot of ${quote(textOf(aggregate))} by ` +
          `${quote(textOf(reducer))} has version ${Number(version)}, and the ` +
          `aggregate ${Number(last ?? 0)}`,
      );
    }
    checked += page.length;
    progress("snapshots", checked);
  }
}

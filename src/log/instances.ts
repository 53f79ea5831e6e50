/**
 * Who writes, or has written, into a log.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";
import { parseToken, type Token, TOKEN_ZERO } from "../tokens/token.ts";
import { NEWEST_FIRST, perDialect, tokenIs } from "./log_key.ts";

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

/** Where an instance's log ends. */
export interface InstanceEnd {
  readonly name: string;
  /** Its last committed token; `TOKEN_ZERO` if it has none. */
  readonly token: Token;
  /** That transaction's random mark; `undefined` if its record isn't there. */
  readonly commitId: string | undefined;
}

/**
 * Where the log of every instance ends, however long some have been silent.
 *
 * @param session Where to look.
 * @param upTo Beyond this token, none is looked for.
 */
export async function readEnds(
  session: Session,
  upTo: Token = Number.MAX_SAFE_INTEGER as Token,
): Promise<InstanceEnd[]> {
  const rows = await session.rows(READ_ENDS[session.dialect], [upTo]);
  return rows.map(([name, token, commitId]) => ({
    name: String(name),
    token: parseToken(Number(token)),
    commitId: commitId === null ? undefined : String(commitId),
  }));
}

/**
 * An instance's last committed token; `TOKEN_ZERO` if it has none.
 *
 * @param session Where to look.
 * @param instance Who wrote.
 * @param upTo Beyond this one, none is looked for.
 */
export async function readLastToken(
  session: Session,
  instance: string,
  upTo: Token = Number.MAX_SAFE_INTEGER as Token,
): Promise<Token> {
  const rows = await session.rows(
    `${LAST_TOKENS[session.dialect]} WHERE name = ?`,
    [upTo, instance],
  );
  return parseToken(Number(rows[0]?.[1] ?? TOKEN_ZERO));
}

/**
 * The newest record of each instance, sought from the end. PostgreSQL has an
 * index for it. SQLite would have to write one more page in each transaction;
 * it looks between the position that an instance told last and the token that
 * it has set aside last, which are never far apart.
 */
const LAST_TOKENS = perDialect((dialect) => {
  const bounds = [
    tokenIs(dialect, "<="),
    tokenIs(dialect, ">", "position"),
    ...(dialect === "sqlite" ? [tokenIs(dialect, "<=", "last_token")] : []),
  ];
  return `SELECT name, coalesce((
    SELECT token FROM headwater_log
    WHERE instance = name AND ${bounds.join(" AND ")}
    ORDER BY ${NEWEST_FIRST[dialect]} LIMIT 1
  ), position) AS token FROM headwater_instances`;
});

const READ_ENDS = perDialect((dialect) =>
  `SELECT name, ends.token, (
    SELECT commit_id FROM headwater_log
    WHERE ${tokenIs(dialect, ">=", "ends.token")}
      AND ${tokenIs(dialect, "<=", "ends.token")} AND instance = ends.name
    LIMIT 1
  ) FROM (${LAST_TOKENS[dialect]}) AS ends ORDER BY name`
);

/**
 * One live process for an instance name.
 *
 * @module
 */

import type { Engine, Session } from "../database/engine.ts";
import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import { thisProcess } from "../runtime/processes.ts";
import { postgresCodeOf } from "../database/postgres_errors.ts";
import { SETTLE_TIMEOUT_MS } from "../runtime/limits.ts";
import { pause } from "../runtime/waiting.ts";
import type { Holders } from "../tokens/holders.ts";
import { parseToken, type Token, TOKEN_ZERO } from "../tokens/token.ts";
import { readHolders } from "./history.ts";
import { heldError, isHeld, readHolder } from "./holder.ts";
import { readLastToken } from "./instances.ts";
import { LAST_TOKEN } from "./log_key.ts";
import { raiseSequence } from "./sequence.ts";

/** The right to write under an instance name. */
export interface Lease {
  /** The instance's name. */
  readonly instance: string;
  /** Grows by one with each holder; every commit checks it. */
  readonly fence: number;
  /** The instance's last committed token, when the lease was taken. */
  readonly lastToken: Token;
  /** SQLite: a token that none given before is beyond, in this database. */
  readonly lastReserved: Token;
  /** The random id of this process. */
  readonly holder: string;
  /** Who has held the name, this process last. */
  readonly holders: Holders;
}

/** What {@linkcode takeLease} is asked for. */
export interface LeaseRequest {
  /** The name to take. */
  readonly instance: string;
  /** How long the lease holds unless renewed, in ms. */
  readonly leaseMs: number;
  /** A random id of this process; its connections to a server carry it. */
  readonly holder: string;
  readonly clock: Clock;
}

/** A name that has just been taken, and whoever had it before. */
interface TakenName {
  readonly instance: string;
  readonly fence: number;
  readonly lastReserved: Token;
  /** The id of the holder before; `undefined` if there was none. */
  readonly previous: string | undefined;
}

const DATABASE_NOW =
  "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
const READ_RESERVED = `SELECT max(
  coalesce((SELECT max(last_token) FROM headwater_instances), 0),
  coalesce((SELECT ${LAST_TOKEN.sqlite} FROM headwater_log), 0))`;
const TAKE = `INSERT INTO headwater_instances
    (name, last_token, fence, host, pid, process_mark, started_ms, expires_ms,
      holder, position)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)
  ON CONFLICT (name) DO UPDATE SET
    fence = excluded.fence, host = excluded.host, pid = excluded.pid,
    process_mark = excluded.process_mark, started_ms = excluded.started_ms,
    expires_ms = excluded.expires_ms, holder = excluded.holder`;
const TERMINATE = `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
  WHERE application_name = ? AND pid <> pg_backend_pid()`;

/** Its transactions that may have inserted into the log; where names are hidden, anybody's. */
const COUNT_OPEN = `SELECT count(*) FROM pg_locks l
  LEFT JOIN pg_stat_activity a ON a.pid = l.pid
  WHERE l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' AND l.granted
    AND l.relation = 'headwater_log'::regclass
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND coalesce(nullif(a.application_name, ''), ?) = ?`;
const END_BACKEND = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
  WHERE pid = ? AND application_name = ?`;
const LOOK_INTERVAL_MS = 5;

/** How long, in ms, to wait for the holder's row: a renewal takes some ms. */
const LOCK_TIMEOUT_MS = 1_000;
const BOUND_LOCKS = `SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`;
const LOCK_NOT_AVAILABLE = "55P03";
const NOT_ALLOWED = "42501";

/** When a lease runs out, as the table takes it: a whole number, however long it is. */
function expiryOf(nowMs: number, leaseMs: number): number {
  return Math.min(Math.ceil(nowMs + leaseMs), Number.MAX_SAFE_INTEGER);
}

/** The time of the clock that leases run by: the server's, or the machine's. */
export async function readNow(session: Session, clock: Clock): Promise<number> {
  if (session.dialect === "sqlite") return Math.round(clock.wallMs());
  const [row] = await session.rows(DATABASE_NOW, []);
  return Number(row?.[0]);
}

/**
 * Takes an instance's name for this process, and finds out where it ended.
 *
 * Promise 8, one holder per instance name: the name is free if nobody holds
 * it, if its holder's lease has run out, or if that process is provably gone.
 * Should this be wrong, the fence makes it harmless: the earlier holder can't
 * commit any more.
 *
 * @param engine The database.
 * @param request What to take.
 * @param prepare What to do before, in the same transaction: to make the tables.
 * @throws {HeadwaterError} `INSTANCE_HELD`, naming the holder's host and pid.
 */
export async function takeLease<Database>(
  engine: Engine<Database>,
  request: LeaseRequest,
  prepare?: (session: Session) => Promise<void>,
): Promise<Lease> {
  const taken = await takeFreeName(engine, request, prepare);
  try {
    await settlePrevious(engine.session, taken, request.clock);
    return await engine.transaction(
      "begin to hold",
      (session) => beginHolding(session, taken, request),
    );
  } catch (error) {
    // It is nobody's, rather than ours until it expires.
    await giveBack(engine, taken).catch(() => {});
    throw error;
  }
}

/**
 * Takes the name. A holder that was suspended as it renewed its lease has the
 * row locked for as long as that lasts: its connections are ended.
 */
async function takeFreeName<Database>(
  engine: Engine<Database>,
  request: LeaseRequest,
  prepare?: (session: Session) => Promise<void>,
): Promise<TakenName> {
  const { instance, clock } = request;
  const deadlineMs = clock.monotonicMs() + SETTLE_TIMEOUT_MS;
  while (true) {
    let isPrepared = false;
    try {
      return await engine.transaction("take name", async (session) => {
        await prepare?.(session);
        isPrepared = true;
        return await takeName(session, request);
      });
    } catch (error) {
      const isLocked = isPrepared &&
        postgresCodeOf(Object(error).cause) === LOCK_NOT_AVAILABLE;
      if (!isLocked) throw error;
      const previous = await readHolder(engine.session, instance);
      if (previous === undefined) continue;
      const now = await readNow(engine.session, clock);
      if (isHeld(previous, now)) throw heldError(instance, previous, now);
      if (clock.monotonicMs() >= deadlineMs) throw stuckError(previous.holder);
      await endConnections(engine.session, previous.holder);
    }
  }
}

async function giveBack<Database>(
  engine: Engine<Database>,
  { instance, fence }: TakenName,
): Promise<void> {
  await engine.transaction("give name back", async (session) => {
    await session.run(
      "UPDATE headwater_instances SET expires_ms = 0 WHERE name = ? AND fence = ?",
      [instance, fence],
    );
  });
}

async function takeName(
  session: Session,
  { instance, leaseMs, holder, clock }: LeaseRequest,
): Promise<TakenName> {
  const now = await readNow(session, clock);
  const isPostgres = session.dialect === "postgres";
  if (isPostgres) await session.run(BOUND_LOCKS, []);
  const lock = isPostgres ? " FOR UPDATE" : "";
  const previous = await readHolder(session, instance, lock);
  if (previous !== undefined && isHeld(previous, now)) {
    throw heldError(instance, previous, now);
  }
  const fence = (previous?.fence ?? 0) + 1;
  const lastReserved = isPostgres ? TOKEN_ZERO : await readReserved(session);
  const self = thisProcess();
  await session.run(
    TAKE,
    [
      instance,
      lastReserved,
      fence,
      self.host,
      self.pid,
      self.mark,
      now,
      expiryOf(now, leaseMs),
      holder,
    ],
  );
  // Who has only had the name, and died, has written nothing.
  const [last] = await session.rows(
    `SELECT holder FROM headwater_holders WHERE instance = ?
    ORDER BY fence DESC LIMIT 1`,
    [instance],
  );
  const writer = last === undefined ? previous?.holder : String(last[0]);
  return { instance, fence, lastReserved, previous: writer };
}

/**
 * Sees to it that the holder before has nothing open any more, so that its last
 * token is known. Nothing to do on SQLite, where it would hold the write lock.
 *
 * @param session The database's, outside of the transaction that took the name.
 */
async function settlePrevious(
  session: Session,
  { previous }: TakenName,
  clock: Clock,
): Promise<void> {
  if (session.dialect === "sqlite" || !previous) return;
  // It can't commit any more, but might keep what it has inserted waiting.
  await endConnections(session, previous);
  const deadlineMs = clock.monotonicMs() + SETTLE_TIMEOUT_MS;
  while (true) {
    const [row] = await session.rows(COUNT_OPEN, [previous, previous]);
    if (Number(row?.[0]) === 0) return;
    if (clock.monotonicMs() >= deadlineMs) throw stuckError(previous);
    await pause(clock, LOOK_INTERVAL_MS);
  }
}

async function endConnections(
  session: Session,
  holder: string,
): Promise<void> {
  try {
    await session.rows(TERMINATE, [holder]);
  } catch (error) {
    // Another user's connections are not ours to end: they are waited for.
    if (postgresCodeOf(Object(error).cause) !== NOT_ALLOWED) throw error;
  }
}

/**
 * PostgreSQL: ends one of this process's own connections on the server, and
 * waits until it is gone.
 */
export async function endBackend(
  session: Session,
  { holder }: Lease,
  backend: number,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<void> {
  while (true) {
    signal.throwIfAborted();
    const rows = await session.rows(END_BACKEND, [backend, holder]);
    if (rows.length === 0) return;
    await pause(clock, LOOK_INTERVAL_MS, signal);
  }
}

/**
 * Notes where the log ends as a holder begins, in the caller's transaction.
 *
 * Promise 7: the tokens of an earlier holder beyond that end are not part of
 * the history; the log was restored, or lost them in a failover.
 */
async function beginHolding(
  session: Session,
  { instance, fence, lastReserved }: TakenName,
  request: LeaseRequest,
): Promise<Lease> {
  await raiseSequence(session);
  const lastToken = await readLastToken(session, instance);
  await session.run(
    `INSERT INTO headwater_holders
      (instance, fence, holder, start_token, started_ms) VALUES (?, ?, ?, ?, ?)`,
    [
      instance,
      fence,
      request.holder,
      lastToken,
      await readNow(session, request.clock),
    ],
  );
  const { holder } = request;
  const holders = await readHolders(session, instance);
  return { instance, fence, lastToken, lastReserved, holder, holders };
}

/**
 * Holds on to a lease, in the caller's transaction.
 *
 * @param position How far the instance has got: told to those who only have the database.
 * @throws {HeadwaterError} `LEASE_LOST` if another process has taken the name.
 */
export async function renewLease(
  session: Session,
  lease: Lease,
  leaseMs: number,
  position: Token,
  clock: Clock,
): Promise<void> {
  const expiresMs = expiryOf(await readNow(session, clock), leaseMs);
  const changed = await session.run(
    `UPDATE headwater_instances SET expires_ms = ?, position = ?
    WHERE name = ? AND fence = ?`,
    [Math.round(expiresMs), position, lease.instance, lease.fence],
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
  position: Token,
): Promise<void> {
  await session.run(
    `UPDATE headwater_instances
    SET expires_ms = 0, last_token = ?, position = ?
    WHERE name = ? AND fence = ?`,
    [lastTaken, position, lease.instance, lease.fence],
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

async function readReserved(session: Session): Promise<Token> {
  const [row] = await session.rows(READ_RESERVED, []);
  return parseToken(Number(row?.[0]));
}

function stuckError(holder: string): HeadwaterError {
  return new HeadwaterError(
    "DATABASE_BUSY",
    `Cannot take the name over: a transaction of the holder before, "${holder}", ` +
      "has not ended on the server; end it with pg_terminate_backend, as a " +
      "user that may",
  );
}

/**
 * Taking events into a projection, a transaction at a time.
 *
 * @module
 */

import type { Transaction } from "kysely";
import type { Engine, WriteSession } from "../database/engine.ts";
import { retryReason } from "../database/retry.ts";
import type { StoredEvent } from "../events/event.ts";
import { readLogEvents } from "../events/read_events.ts";
import { readNow } from "../log/lease.ts";
import type { Clock } from "../runtime/clock.ts";
import { messageOf } from "../runtime/errors.ts";
import type { Token } from "../tokens/token.ts";
import {
  movePosition,
  moveRebuild,
  type ProjectionLease,
} from "./checkpoint.ts";
import { requireEvents } from "./deleted_events.ts";
import { park } from "./parked.ts";
import {
  type Build,
  isWanted,
  type Projection,
  tablesOf,
} from "./projection.ts";

/** What steps are taken with. */
export interface ProjectionStepOptions<Database> {
  readonly engine: Engine<Database>;
  readonly projection: Projection<Database>;
  readonly leaseMs: number;
  /** Events of one transaction, about: a token's are never split. */
  readonly maxBatchEvents: number;
  /** Attempts at an event before it is parked. */
  readonly maxTries: number;
  readonly clock: Clock;
}

/** An event, and its place among those of its token. */
interface PlacedEvent {
  readonly event: StoredEvent;
  readonly ordinal: number;
}

/** A handler failed at an event. */
export class HandlerError extends Error {
  /** The event. */
  readonly placed: PlacedEvent;

  /** Made where the handler is called. */
  constructor(placed: PlacedEvent, cause: unknown) {
    super(messageOf(cause), { cause });
    this.placed = placed;
  }
}

/** Where a step begins. */
export interface StepStart {
  /** The token up to which events are taken in. */
  readonly position: Token;
  /** The tables to take them into. */
  readonly build: Build;
}

/**
 * Takes events into the serving tables, or into those that are being built.
 *
 * The checkpoint moves in the transaction of the effects, and only from where
 * the step began: whatever happens, each event's effects are there once. An
 * event whose handler fails again and again is parked, in the transaction of
 * those beside it.
 */
export class ProjectionSteps<Database> {
  readonly #options: ProjectionStepOptions<Database>;
  /** Attempts at the events of the token that failed last, by ordinal. */
  readonly #failures = new Map<number, { attempts: number; error: string }>();
  #failedToken: Token | undefined;
  #done = 0;
  #busyMs = 0;

  /** Constructs one for the serving tables, or for a rebuild's. */
  constructor(options: ProjectionStepOptions<Database>) {
    this.#options = options;
  }

  /** Events a second, while there were any to take in; 0 before the first. */
  get rowsPerSecond(): number {
    return this.#busyMs > 0 ? this.#done / this.#busyMs * 1000 : 0;
  }

  /**
   * Takes in the next events.
   *
   * @param lease The right to run the projection.
   * @param start Where to begin.
   * @param upTo The last token to take: nothing can appear below it any more.
   * @returns The token up to which events are taken in by now.
   * @throws {HandlerError} if the handler failed; the next call tries again.
   * @throws {MovedError} if another runner has the projection, or its
   *   checkpoint has moved.
   * @throws {HeadwaterError} `EVENTS_DELETED`.
   */
  async step(
    lease: ProjectionLease,
    { position, build }: StepStart,
    upTo: Token,
  ): Promise<Token> {
    const { engine, projection, maxBatchEvents, clock } = this.#options;
    const beganMs = clock.monotonicMs();
    // After a failure, token by token, so that the good ones get through.
    const max = this.#failedToken === undefined ? maxBatchEvents : 1;
    const { events, end } = await readBatch(engine, position, upTo, max);
    // Afterwards: whatever the batch lacks has been noted by then.
    await requireEvents(engine.session, projection.name, position);
    try {
      await engine.transaction(
        `projection ${projection.name}`,
        (session) => this.#take(session, lease, build, events, position, end),
      );
    } catch (error) {
      this.#noteFailure(error);
      throw error;
    }
    if (this.#failedToken !== undefined && end >= this.#failedToken) {
      this.#failedToken = undefined;
      this.#failures.clear();
    }
    if (events.length > 0) {
      this.#done += events.length;
      this.#busyMs += clock.monotonicMs() - beganMs;
    }
    return end;
  }

  async #take(
    session: WriteSession<Database>,
    lease: ProjectionLease,
    build: Build,
    events: readonly PlacedEvent[],
    from: Token,
    to: Token,
  ): Promise<void> {
    const { projection, leaseMs, clock } = this.#options;
    const nowMs = await readNow(session, clock);
    const { rowsPerSecond } = this;
    const done = events.length;
    const move = { from, to, done, rowsPerSecond, nowMs, leaseMs };
    // First, so that of two runners one waits here and then finds out.
    if (build.isNext) await moveRebuild(session, lease, move);
    else await movePosition(session, lease, move);
    for (const placed of events) {
      if (!isWanted(projection, placed.event)) continue;
      if (await this.#parkIfDue(session, build, placed, nowMs)) continue;
      await this.#handle(session.db, build, placed);
    }
  }

  async #handle(
    db: Transaction<Database>,
    build: Build,
    placed: PlacedEvent,
  ): Promise<void> {
    const { projection } = this.#options;
    const table = tablesOf(projection.tables, build);
    try {
      await projection.handle(placed.event, { db, table });
    } catch (error) {
      throw new HandlerError(placed, error);
    }
  }

  async #parkIfDue(
    session: WriteSession<Database>,
    { isNext }: Build,
    { event, ordinal }: PlacedEvent,
    nowMs: number,
  ): Promise<boolean> {
    const { projection, maxTries } = this.#options;
    if (event.token !== this.#failedToken) return false;
    const failure = this.#failures.get(ordinal);
    if (failure === undefined || failure.attempts < maxTries) return false;
    await park(session, {
      projection: projection.name,
      isRebuild: isNext,
      token: event.token,
      ordinal,
      attempts: failure.attempts,
      error: failure.error,
      parkedMs: nowMs,
    });
    return true;
  }

  #noteFailure(error: unknown): void {
    // A deadlock, or a lost connection, is not the event's fault.
    if (!(error instanceof HandlerError)) return;
    if (retryReason(error.cause) !== undefined) return;
    const { event, ordinal } = error.placed;
    if (event.token !== this.#failedToken) this.#failures.clear();
    this.#failedToken = event.token;
    const attempts = (this.#failures.get(ordinal)?.attempts ?? 0) + 1;
    this.#failures.set(ordinal, { attempts, error: error.message });
  }
}

/** Reads whole tokens, until there are events enough. */
async function readBatch<Database>(
  { session }: Engine<Database>,
  after: Token,
  upTo: Token,
  maxEvents: number,
): Promise<{ events: PlacedEvent[]; end: Token }> {
  const events: PlacedEvent[] = [];
  let last: Token | undefined;
  let ordinal = 0;
  const read = readLogEvents(session, upTo, { after }, {
    most: maxEvents + 1,
  });
  for await (const event of read) {
    if (event.token !== last) {
      if (events.length >= maxEvents) return { events, end: last as Token };
      last = event.token;
      ordinal = 0;
    }
    events.push({ event, ordinal });
    ordinal += 1;
  }
  return { events, end: upTo };
}

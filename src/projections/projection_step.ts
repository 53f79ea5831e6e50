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
import { HeadwaterError, messageOf } from "../runtime/errors.ts";
import type { Token } from "../tokens/token.ts";
import { movePosition, type ProjectionLease } from "./checkpoint.ts";
import { park } from "./parked.ts";
import {
  isWanted,
  nextTable,
  type Projection,
  servingTable,
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

/** What a step came to. */
export interface StepResult {
  /** The token up to which events are taken in by now. */
  readonly position: Token;
  /** Events that were passed: taken in, not wanted, or parked. */
  readonly done: number;
  /** Events that were parked. */
  readonly parked: number;
}

/**
 * Takes events into the serving tables, or into those that are being built.
 *
 * The checkpoint moves in the transaction of the effects: whatever happens,
 * each event's effects are there once. An event whose handler fails again and
 * again is parked, in the transaction of those beside it.
 */
export class ProjectionSteps<Database> {
  readonly #options: ProjectionStepOptions<Database>;
  readonly #isRebuild: boolean;
  /** Attempts at the events of the token that failed last, by ordinal. */
  readonly #failures = new Map<number, { attempts: number; error: string }>();
  #failedToken: Token | undefined;

  /** Constructs one for the serving tables, or for a rebuild's. */
  constructor(options: ProjectionStepOptions<Database>, isRebuild: boolean) {
    this.#options = options;
    this.#isRebuild = isRebuild;
  }

  /**
   * Takes in the next events.
   *
   * @param lease The right to run the projection.
   * @param position The token up to which they are taken in.
   * @param upTo The last token to take: nothing can appear below it any more.
   * @throws {HandlerError} if the handler failed; the next call tries again.
   * @throws {HeadwaterError} `LEASE_LOST` if another runner has the projection.
   */
  async step(
    lease: ProjectionLease,
    position: Token,
    upTo: Token,
  ): Promise<StepResult> {
    const { engine, maxBatchEvents } = this.#options;
    // After a failure, token by token, so that the good ones get through.
    const max = this.#failedToken === undefined ? maxBatchEvents : 1;
    const { events, end } = await readBatch(engine, position, upTo, max);
    try {
      const parked = await engine.transaction(
        `projection ${this.#options.projection.name}`,
        (session) => this.#take(session, lease, events, end),
      );
      if (this.#failedToken !== undefined && end >= this.#failedToken) {
        this.#failedToken = undefined;
        this.#failures.clear();
      }
      return { position: end, done: events.length, parked };
    } catch (error) {
      this.#noteFailure(error);
      throw error;
    }
  }

  async #take(
    session: WriteSession<Database>,
    lease: ProjectionLease,
    events: readonly PlacedEvent[],
    end: Token,
  ): Promise<number> {
    const { projection, leaseMs, clock } = this.#options;
    const nowMs = await readNow(session, clock);
    // First, so that of two runners one waits here and then finds out.
    const isHeld = await movePosition(session, lease, {
      position: end,
      done: events.length,
      isRebuild: this.#isRebuild,
      nowMs,
      leaseMs,
    });
    if (!isHeld) throw lostError(projection.name);
    let parked = 0;
    for (const placed of events) {
      if (!isWanted(projection, placed.event)) continue;
      if (await this.#parkIfDue(session, placed, nowMs)) parked += 1;
      else await this.#handle(session.db, placed);
    }
    return parked;
  }

  async #handle(
    db: Transaction<Database>,
    placed: PlacedEvent,
  ): Promise<void> {
    const table = this.#isRebuild ? nextTable : servingTable;
    try {
      await this.#options.projection.handle(placed.event, { db, table });
    } catch (error) {
      throw new HandlerError(placed, error);
    }
  }

  async #parkIfDue(
    session: WriteSession<Database>,
    { event, ordinal }: PlacedEvent,
    nowMs: number,
  ): Promise<boolean> {
    const { projection, maxTries } = this.#options;
    if (event.token !== this.#failedToken) return false;
    const failure = this.#failures.get(ordinal);
    if (failure === undefined || failure.attempts < maxTries) return false;
    await park(session, {
      projection: projection.name,
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
  for await (const event of readLogEvents(session, upTo, { after })) {
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

function lostError(name: string): HeadwaterError {
  return new HeadwaterError(
    "LEASE_LOST",
    `Cannot run projection "${name}": another runner has taken it`,
  );
}

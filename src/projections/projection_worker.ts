/**
 * One projection, kept up with the log.
 *
 * @module
 */

import type { Engine } from "../database/engine.ts";
import { readLogEvents } from "../events/read_events.ts";
import { readFloorOf } from "../log/history.ts";
import { readHorizon } from "../log/horizon.ts";
import { readNow } from "../log/lease.ts";
import { EVENTS_STREAM } from "../log/log_schema.ts";
import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError, messageOf } from "../runtime/errors.ts";
import { MAX_BACKOFF_MS, MIN_BACKOFF_MS } from "../runtime/limits.ts";
import type { Logger } from "../runtime/logger.ts";
import { pause } from "../runtime/waiting.ts";
import { parseToken, type Token, TOKEN_ZERO } from "../tokens/token.ts";
import {
  claimProjection,
  finishRebuild,
  insertProjection,
  type ProjectionLease,
  type ProjectionRecord,
  readProjection,
  releaseProjection,
} from "./checkpoint.ts";
import { park, type ParkedEvent, readParked, unpark } from "./parked.ts";
import { nextTable, type Projection, servingTable } from "./projection.ts";
import { ProjectionSteps } from "./projection_step.ts";
import { requestRebuild } from "./administer.ts";

/** What a worker works with. */
export interface ProjectionWorkerOptions<Database> {
  readonly engine: Engine<Database>;
  readonly projection: Projection<Database>;
  /** A random id of the runner. */
  readonly holder: string;
  readonly leaseMs: number;
  readonly pollIntervalMs: number;
  readonly maxBatchEvents: number;
  readonly maxTries: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called when events were taken in, or it stopped. */
  readonly moved: () => void;
}

/** Keeps a projection up with the log until it is closed. */
export class ProjectionWorker<Database> {
  readonly #options: ProjectionWorkerOptions<Database>;
  readonly #closing = new AbortController();
  #poked: AbortController = new AbortController();
  readonly #running: Promise<void>;
  #reached: Token = TOKEN_ZERO;
  #error: string | undefined;
  #isHolding = false;
  #doneHere = 0;
  #busyMs = 0;
  // Kept over failures and leases: they count the attempts.
  readonly #steps: ProjectionSteps<Database>;
  readonly #rebuildSteps: ProjectionSteps<Database>;

  /** Begins to keep it up. */
  constructor(options: ProjectionWorkerOptions<Database>) {
    this.#options = options;
    this.#steps = new ProjectionSteps(options, false);
    this.#rebuildSteps = new ProjectionSteps(options, true);
    this.#running = this.#run();
  }

  /** The projection. */
  get projection(): Projection<Database> {
    return this.#options.projection;
  }

  /** The token up to which events are taken in, as far as this runner knows. */
  get reached(): Token {
    return this.#reached;
  }

  /** What it failed with last; `undefined` while all goes well. */
  get error(): string | undefined {
    return this.#error;
  }

  /** Whether this runner has it, not another. */
  get isHolding(): boolean {
    return this.#isHolding;
  }

  /** Events a second, while there were any to take in; 0 before the first. */
  get rowsPerSecond(): number {
    return this.#busyMs > 0 ? this.#doneHere / this.#busyMs * 1000 : 0;
  }

  /** Has it look for events now. */
  poke(): void {
    this.#poked.abort();
  }

  /** Stops, after the transaction that is under way, and lets others have it. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#poked.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, logger, pollIntervalMs, projection } = this.#options;
    const { signal } = this.#closing;
    let delayMs = MIN_BACKOFF_MS;
    let lease: ProjectionLease | undefined;
    while (!signal.aborted) {
      try {
        lease = await this.#claim();
        this.#isHolding = lease !== undefined;
        if (lease !== undefined) await this.#keepUp(lease);
        await this.#pause(pollIntervalMs);
        delayMs = MIN_BACKOFF_MS;
      } catch (error) {
        if (signal.aborted) break;
        this.#error = messageOf(error);
        logger("error", "projection failed, trying again", {
          projection: projection.name,
          error: this.#error,
        });
        await pause(clock, delayMs, signal);
        delayMs = Math.min(MAX_BACKOFF_MS, delayMs * Math.E);
      }
    }
    await this.#release(lease);
  }

  /** Works until there is nothing to be done, again and again, while it has the lease. */
  async #keepUp(lease: ProjectionLease): Promise<void> {
    const { engine, projection, clock, pollIntervalMs } = this.#options;
    const { signal } = this.#closing;
    let renewedMs = clock.monotonicMs();
    let position: Token | undefined;
    while (!signal.aborted) {
      const record = await this.#read();
      position ??= record.position as Token;
      const horizon = await readHorizon(engine.session, { clock, signal });
      await this.#requireEvents(position, horizon);
      let isIdle = true;
      if (await this.#hasEvents(position, horizon)) {
        isIdle = false;
        const beganMs = clock.monotonicMs();
        const result = await this.#steps.step(lease, position, horizon);
        this.#busyMs += clock.monotonicMs() - beganMs;
        position = result.position;
        this.#doneHere += result.done;
      } else position = horizon;
      this.#reach(position);
      if (record.rebuild !== undefined) {
        isIdle = false;
        const stored = record.position as Token;
        await this.#rebuild(lease, record, stored);
      }
      if (await this.#retryParked(record)) isIdle = false;
      this.#error = undefined;
      if (!isIdle) continue;
      if (clock.monotonicMs() - renewedMs > this.#options.leaseMs / 3) {
        renewedMs = clock.monotonicMs();
        // A lease that was lost shows in the next claim.
        return;
      }
      await this.#pause(pollIntervalMs);
      if (record.version !== (projection.version ?? 1)) continue;
    }
  }

  async #read(): Promise<ProjectionRecord> {
    const { engine, projection } = this.#options;
    const record = await readProjection(engine.session, projection.name);
    if (record !== undefined) return record;
    throw new HeadwaterError(
      "PROJECTION_UNKNOWN",
      `Cannot run projection "${projection.name}": its checkpoint was deleted; ` +
        "drop its tables, and start its runner again",
    );
  }

  /** Makes the tables and the checkpoint if need be, and takes the lease. */
  async #claim(): Promise<ProjectionLease | undefined> {
    const { engine, projection, holder, leaseMs, clock } = this.#options;
    const { name, version = 1 } = projection;
    const found = await readProjection(engine.session, name);
    if (found !== undefined && found.position === undefined) {
      throw inlineError(name);
    }
    const lease = await engine.transaction(
      `claim projection ${name}`,
      async (session) => {
        const nowMs = await readNow(session, clock);
        if (found === undefined) {
          // Of two runners that come at once, one fails here, and comes again.
          await insertProjection(session, name, version, TOKEN_ZERO, nowMs);
          const { db } = session;
          await projection.create({ db, table: servingTable });
        }
        return await claimProjection(session, name, holder, nowMs, leaseMs);
      },
    );
    const isOld = found !== undefined && found.version !== version;
    if (lease !== undefined && isOld && found.rebuild === undefined) {
      await requestRebuild(engine, name);
    }
    return lease;
  }

  async #rebuild(
    lease: ProjectionLease,
    { rebuild }: ProjectionRecord,
    stored: Token,
  ): Promise<void> {
    const { engine, projection } = this.#options;
    const { name, version = 1, tables } = projection;
    if (rebuild === "requested") {
      await this.#requireEvents(TOKEN_ZERO, stored);
      await engine.transaction(`rebuild ${name}`, async (session) => {
        const { db } = session;
        for (const table of tables) {
          await db.schema.dropTable(nextTable(table)).ifExists().execute();
        }
        await projection.create({ db, table: nextTable });
        await session.run(
          `UPDATE headwater_projections SET rebuild_position = 0
          WHERE name = ? AND fence = ?`,
          [name, lease.fence],
        );
      });
      return;
    }
    const position = rebuild as Token;
    if (position < stored) {
      await this.#rebuildSteps.step(lease, position, stored);
      return;
    }
    await engine.transaction(`swap ${name}`, async (session) => {
      const { schema } = session.db;
      for (const table of tables) {
        await schema.dropTable(table).execute();
        await schema.alterTable(nextTable(table)).renameTo(table).execute();
      }
      if (await finishRebuild(session, lease, version)) return;
      throw new HeadwaterError(
        "LEASE_LOST",
        `Cannot rebuild projection "${name}": another runner has taken it`,
      );
    });
  }

  /** Tries parked events that somebody asked for. */
  async #retryParked({ parked }: ProjectionRecord): Promise<boolean> {
    if (parked === 0) return false;
    const { engine, projection } = this.#options;
    const due = (await readParked(engine.session, projection.name))
      .filter(({ attempts }) => attempts === 0);
    for (const each of due) await this.#retry(each);
    return due.length > 0;
  }

  async #retry(parked: ParkedEvent): Promise<void> {
    const { engine, projection, clock, maxTries } = this.#options;
    const { token, ordinal } = parked;
    const after = parseToken(token - 1);
    let at = 0;
    for await (const event of readLogEvents(engine.session, token, { after })) {
      if (at++ !== ordinal) continue;
      try {
        await engine.transaction(
          `retry ${projection.name}`,
          async (session) => {
            await unpark(session, parked);
            const { db } = session;
            await projection.handle(event, { db, table: servingTable });
          },
        );
      } catch (error) {
        await engine.transaction(`park ${projection.name}`, async (session) => {
          await park(session, {
            ...parked,
            attempts: maxTries,
            error: messageOf(error),
            parkedMs: await readNow(session, clock),
          });
        });
      }
      return;
    }
  }

  async #hasEvents(after: Token, upTo: Token): Promise<boolean> {
    if (after >= upTo) return false;
    const { session } = this.#options.engine;
    const [row] = await session.rows(
      `SELECT 1 FROM headwater_log
      WHERE stream = '${EVENTS_STREAM}' AND token > ? AND token <= ? LIMIT 1`,
      [after, upTo],
    );
    return row !== undefined;
  }

  /** Promise 6: what can't be had any more is told of, not stepped over. */
  async #requireEvents(after: Token, upTo: Token): Promise<void> {
    if (after >= upTo) return;
    const { engine, projection } = this.#options;
    const floor = await readFloorOf(engine.session, EVENTS_STREAM);
    if (floor <= after) return;
    throw new HeadwaterError(
      "EVENTS_DELETED",
      `Cannot run projection "${projection.name}": it has come to token ` +
        `${after}, and events up to ${floor} were deleted; keep events for ` +
        "ever, or start it anew under another name",
    );
  }

  #reach(position: Token): void {
    if (position === this.#reached) return;
    this.#reached = position;
    this.#options.moved();
  }

  async #pause(delayMs: number): Promise<void> {
    if (this.#poked.signal.aborted && !this.#closing.signal.aborted) {
      this.#poked = new AbortController();
      return;
    }
    await pause(this.#options.clock, delayMs, this.#poked.signal);
  }

  async #release(lease: ProjectionLease | undefined): Promise<void> {
    if (lease === undefined) return;
    const { engine, projection } = this.#options;
    try {
      await engine.transaction(
        `release projection ${projection.name}`,
        (session) => releaseProjection(session, lease),
      );
    } catch {
      // Its lease runs out.
    }
  }
}

function inlineError(name: string): HeadwaterError {
  return new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot run projection "${name}": it is inline, and written with each ` +
      "append; give this one another name",
  );
}

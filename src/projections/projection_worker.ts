/**
 * One projection, kept up with the log.
 *
 * @module
 */

import { readHorizon } from "../log/horizon.ts";
import { readNow } from "../log/lease.ts";
import { EVENTS_STREAM } from "../log/log_schema.ts";
import { HeadwaterError, messageOf } from "../runtime/errors.ts";
import { MAX_BACKOFF_MS, MIN_BACKOFF_MS } from "../runtime/limits.ts";
import type { Logger } from "../runtime/logger.ts";
import { pause } from "../runtime/waiting.ts";
import { type Token, TOKEN_ZERO } from "../tokens/token.ts";
import { Attempts } from "./attempts.ts";
import {
  claimProjection,
  insertProjection,
  type ProjectionLease,
  type ProjectionState,
  readProjection,
  releaseProjection,
} from "./checkpoint.ts";
import { requireEvents } from "./deleted_events.ts";
import { type Projection, servingTable } from "./projection.ts";
import { ProjectionRebuild } from "./projection_rebuild.ts";
import {
  type ProjectionStepOptions,
  ProjectionSteps,
} from "./projection_step.ts";
import { retryParked } from "./retry_parked.ts";

/** What a worker works with. */
export interface ProjectionWorkerOptions<Database>
  extends ProjectionStepOptions<Database> {
  /** A random id of the runner. */
  readonly holder: string;
  readonly pollIntervalMs: number;
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
  // Kept over failures and leases: they count the attempts.
  readonly #steps: ProjectionSteps<Database>;
  readonly #rebuild: ProjectionRebuild<Database>;
  // One that fails holds up none of the others.
  readonly #serving: Attempts;
  readonly #rebuilding: Attempts;
  readonly #retrying: Attempts;

  /** Begins to keep it up. */
  constructor(options: ProjectionWorkerOptions<Database>) {
    this.#options = options;
    this.#steps = new ProjectionSteps(options);
    this.#rebuild = new ProjectionRebuild(options);
    const { clock } = options;
    const failed = (error: string) => this.#tell(error);
    this.#serving = new Attempts({ clock, failed });
    this.#rebuilding = new Attempts({ clock, failed });
    this.#retrying = new Attempts({ clock, failed });
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
    return this.#error ?? this.#serving.error ?? this.#rebuilding.error ??
      this.#retrying.error;
  }

  /** Whether this runner has it, not another. */
  get isHolding(): boolean {
    return this.#isHolding;
  }

  /** Events a second, while there were any to take in; 0 before the first. */
  get rowsPerSecond(): number {
    return this.#steps.rowsPerSecond;
  }

  /** Likewise, of a rebuild. */
  get rebuildRowsPerSecond(): number {
    return this.#rebuild.rowsPerSecond;
  }

  /** Whether new tables are being built, or are to be. */
  isRebuilding(state: ProjectionState): boolean {
    return state.rebuild !== undefined || this.#rebuild.isNeeded(state);
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
    const { clock, pollIntervalMs } = this.#options;
    const { signal } = this.#closing;
    let delayMs = MIN_BACKOFF_MS;
    let lease: ProjectionLease | undefined;
    while (!signal.aborted) {
      try {
        lease = await this.#claim();
        this.#isHolding = lease !== undefined;
        if (lease !== undefined) await this.#keepUp(lease);
        else {
          await this.#lookOn();
          await this.#pause(pollIntervalMs);
        }
        this.#error = undefined;
        delayMs = MIN_BACKOFF_MS;
      } catch (error) {
        if (signal.aborted) break;
        this.#error = messageOf(error);
        this.#tell(this.#error);
        await pause(clock, delayMs, signal);
        delayMs = Math.min(MAX_BACKOFF_MS, delayMs * Math.E);
      }
    }
    await this.#release(lease);
  }

  /** Makes the tables and the checkpoint if need be, and takes the lease. */
  async #claim(): Promise<ProjectionLease | undefined> {
    const { engine, projection, holder, leaseMs, clock } = this.#options;
    const { name, version = 1 } = projection;
    const found = await readProjection(engine.session, name);
    if (found !== undefined && found.position === undefined) {
      throw inlineError(name);
    }
    return await engine.transaction(
      `claim projection ${name}`,
      async (session) => {
        const nowMs = await readNow(session, clock);
        if (found === undefined) {
          // Of two runners that come at once, one fails here, and comes again.
          await insertProjection(session, name, version, TOKEN_ZERO, nowMs);
          const { db } = session;
          await projection.create({ db, table: servingTable });
        }
        return await claimProjection(
          session,
          name,
          version,
          holder,
          nowMs,
          leaseMs,
        );
      },
    );
  }

  /** Works while there is something to be done and the lease is fresh. */
  async #keepUp(lease: ProjectionLease): Promise<void> {
    const { clock, leaseMs, pollIntervalMs } = this.#options;
    const { signal } = this.#closing;
    const renewAtMs = clock.monotonicMs() + leaseMs / 3;
    while (!signal.aborted) {
      const isBusy = await this.#work(lease);
      this.#error = undefined;
      if (!isBusy) {
        const pauses = [this.#serving, this.#rebuilding, this.#retrying]
          .map(({ pauseMs }) => pauseMs).filter((ms) => ms > 0);
        await this.#pause(Math.min(pollIntervalMs, ...pauses));
      }
      // A lease that was lost shows in the next claim.
      if (clock.monotonicMs() >= renewAtMs) return;
    }
  }

  /**
   * Does some of all there is to be done.
   *
   * @returns Whether there is more to be done at once.
   */
  async #work(lease: ProjectionLease): Promise<boolean> {
    const { engine, clock } = this.#options;
    const { signal } = this.#closing;
    const state = await this.#read();
    if (state.fence !== lease.fence) throw lostError(lease.name);
    const { position = TOKEN_ZERO } = state;
    const found = await readHorizon(engine.session, { clock, signal });
    // Retention may have deleted the log's end, which SQLite's is read from.
    const horizon = found > position ? found : position;
    // Tables of an older version are not for this code to go on with.
    const isOurs = state.version === (this.projection.version ?? 1);
    let isBusy = false;
    if (isOurs) {
      isBusy = await this.#serving.make(() =>
        this.#serve(lease, state, horizon)
      );
      await this.#retrying.make(async () => {
        await retryParked(this.#options, lease, state);
        return false;
      });
    } else this.#reach(await this.#positionOf(state, horizon));
    if (!this.#rebuild.isNeeded(state)) return isBusy;
    const isBuilding = await this.#rebuilding.make(async () => {
      await this.#rebuild.step(lease, state, horizon);
      return true;
    });
    return isBusy || isBuilding;
  }

  async #serve(
    lease: ProjectionLease,
    state: ProjectionState,
    horizon: Token,
  ): Promise<boolean> {
    const { build: number } = state;
    let position = await this.#positionOf(state, horizon);
    if (position < horizon) {
      const build = { number, isNext: false };
      const start = { position, build };
      position = await this.#steps.step(lease, start, horizon);
    }
    this.#reach(position);
    return position < horizon;
  }

  /** Sees how far another runner has got. */
  async #lookOn(): Promise<void> {
    const { engine, clock } = this.#options;
    const { signal } = this.#closing;
    const state = await this.#read();
    const horizon = await readHorizon(engine.session, { clock, signal });
    this.#reach(await this.#positionOf(state, horizon));
    const { name, version = 1 } = this.projection;
    if (state.version > version) throw olderError(name, version, state.version);
  }

  /** The stored position, or the horizon if there is nothing in between. */
  async #positionOf(
    { position = TOKEN_ZERO }: ProjectionState,
    horizon: Token,
  ): Promise<Token> {
    if (position >= horizon) return position;
    const { session } = this.#options.engine;
    const [row] = await session.rows(
      `SELECT 1 FROM headwater_log
      WHERE stream = '${EVENTS_STREAM}' AND token > ? AND token <= ? LIMIT 1`,
      [position, horizon],
    );
    if (row !== undefined) return position;
    // Those that were deleted had not been taken in.
    await requireEvents(session, this.projection.name, position);
    return horizon;
  }

  async #read(): Promise<ProjectionState> {
    const { engine, projection } = this.#options;
    const state = await readProjection(engine.session, projection.name);
    if (state !== undefined) return state;
    throw new HeadwaterError(
      "PROJECTION_UNKNOWN",
      `Cannot run projection "${projection.name}": its checkpoint was deleted; ` +
        "drop its tables, and start its runner again",
    );
  }

  #tell(error: string): void {
    const { logger, projection: { name } } = this.#options;
    if (this.#closing.signal.aborted) return;
    const fields = { projection: name, error };
    logger("error", "projection failed, trying again", fields);
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

function olderError(
  name: string,
  version: number,
  stored: number,
): HeadwaterError {
  return new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot run version ${version} of projection "${name}": its tables are of ` +
      `version ${stored}, which newer code has made; run that, or raise the ` +
      "version above it",
  );
}

function lostError(name: string): HeadwaterError {
  return new HeadwaterError(
    "LEASE_LOST",
    `Cannot run projection "${name}": another runner has taken it`,
  );
}

/**
 * Projections that catch up, in a process of their own or beside others.
 *
 * @module
 */

import type { Engine } from "../database/engine.ts";
import {
  DATABASE_OPTIONS,
  type DatabaseOptions,
  openDatabase,
} from "../database/open_database.ts";
import { migrate } from "../database/migrator.ts";
import { LOG_MIGRATIONS } from "../log/log_schema.ts";
import {
  requireAboveZero,
  requireBounds,
  requireTimeout,
} from "../runtime/bounds.ts";
import { systemClock } from "../runtime/clock.ts";
import { HeadwaterError, quote } from "../runtime/errors.ts";
import {
  LEASE_MS,
  MAX_BATCH_EVENTS,
  MAX_TRIES,
  PROJECTION_POLL_MS,
  WAIT_TIMEOUT_MS,
} from "../runtime/limits.ts";
import {
  type Logger,
  silentLogger,
  withSafeLogger,
} from "../runtime/logger.ts";
import { type OptionNames, requireNames } from "../runtime/option_names.ts";
import { systemRandom } from "../runtime/random.ts";
import { WAIT_OPTIONS, type WaitOptions } from "../runtime/waiting.ts";
import { parseToken, type Token, TOKEN_ZERO } from "../tokens/token.ts";
import { requestRebuild, requestRetry } from "./administer.ts";
import { readProjection } from "./checkpoint.ts";
import { type ParkedEvent, readParked } from "./parked.ts";
import { measure, type MeasuredProjection, UNKNOWN } from "./progress.ts";
import type { Projection } from "./projection.ts";
import { ProjectionWorker } from "./projection_worker.ts";

/** Options of `ProjectionRunner.open`. */
export interface ProjectionRunnerOptions<Database> extends DatabaseOptions {
  /** The database of the log, which the tables are made in, too. */
  readonly database: string;
  /** What to run. */
  readonly projections: readonly Projection<Database>[];
  /**
   * How often to look for events, in ms, where nobody pokes.
   *
   * @default {100}
   */
  readonly pollIntervalMs?: number | undefined;
  /**
   * How long a projection stays this runner's without a sign of life, in ms.
   *
   * @default {15000}
   */
  readonly leaseMs?: number | undefined;
  /**
   * Events taken in by one transaction, about.
   *
   * @default {500}
   */
  readonly maxBatchEvents?: number | undefined;
  /**
   * Attempts at an event before it is parked.
   *
   * @default {5}
   */
  readonly maxTries?: number | undefined;
  /**
   * Where it says what fails and is tried again.
   *
   * @default {nothing is said}
   */
  readonly logger?: Logger | undefined;
}

/** The names of {@linkcode ProjectionRunnerOptions}. */
export const RUNNER_OPTIONS: OptionNames<ProjectionRunnerOptions<unknown>> = {
  ...DATABASE_OPTIONS,
  database: true,
  projections: true,
  pollIntervalMs: true,
  leaseMs: true,
  maxBatchEvents: true,
  maxTries: true,
  logger: true,
};

/** How far a projection has got. */
export interface ProjectionProgress extends MeasuredProjection {
  /** The projection. */
  readonly name: string;
  /** The token up to which its tables contain events. */
  readonly position: Token;
  /** Whether new tables are being built, or are to be. */
  readonly isRebuilding: boolean;
  /** Whether it is this runner that has it. */
  readonly isHolding: boolean;
  /** What it failed with last; `undefined` while all goes well. */
  readonly error: string | undefined;
}

interface Waiter {
  readonly isDone: () => boolean;
  readonly resolve: () => void;
}

/**
 * Runs projections: exactly once in effect, one runner at a time for each.
 *
 * @example Usage
 * ```ts
 * import { ProjectionRunner } from "headwater/projections";
 * import { counts } from "./projections.ts";
 *
 * await using runner = await ProjectionRunner.open<Database>({
 *   database: "sqlite:app.db",
 *   projections: [counts],
 * });
 * await runner.whenCaughtUp(commit);
 * ```
 */
export class ProjectionRunner<Database> {
  readonly #engine: Engine<Database>;
  readonly #workers: readonly ProjectionWorker<Database>[];
  readonly #waiters = new Set<Waiter>();
  #closing: Promise<void> | undefined;

  private constructor(
    engine: Engine<Database>,
    options: ProjectionRunnerOptions<Database>,
  ) {
    this.#engine = engine;
    const holder = systemRandom.id();
    this.#workers = options.projections.map((projection) =>
      new ProjectionWorker<Database>({
        engine,
        projection,
        holder,
        leaseMs: options.leaseMs ?? LEASE_MS,
        pollIntervalMs: options.pollIntervalMs ?? PROJECTION_POLL_MS,
        maxBatchEvents: options.maxBatchEvents ?? MAX_BATCH_EVENTS,
        maxTries: options.maxTries ?? MAX_TRIES,
        clock: systemClock,
        logger: options.logger ?? silentLogger,
        moved: () => this.#wake(),
      })
    );
  }

  /**
   * Opens the database, and begins to run.
   *
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for options that can't be, for
   *   `sqlite::memory:`, or two projections of one name; else as
   *   `WriterStore.open`.
   */
  static async open<Database>(
    options: ProjectionRunnerOptions<Database>,
  ): Promise<ProjectionRunner<Database>> {
    requireNames("run projections", RUNNER_OPTIONS, options);
    options = withSafeLogger(options);
    requireBounds("run projections", options);
    const { queueTimeoutMs } = options;
    requireAboveZero("run projections", { queueTimeoutMs });
    if (options.database === "sqlite::memory:") throw memoryError();
    const names = options.projections.map(({ name }) => name);
    const twice = names.find((name, index) => names.indexOf(name) !== index);
    if (twice !== undefined) {
      throw new HeadwaterError(
        "INVALID_ARGUMENT",
        `Cannot run projection "${twice}" twice; give each a name of its own`,
      );
    }
    const engine = openDatabase<Database>(
      options.database,
      systemClock,
      options,
    );
    try {
      await engine.transaction("open", (session) => {
        const now = Math.round(systemClock.wallMs());
        return migrate(session, LOG_MIGRATIONS, now, options.schema);
      });
    } catch (error) {
      await engine.close();
      throw error;
    }
    return new ProjectionRunner(engine, options);
  }

  /** How far a projection has got. */
  async progress(name: string): Promise<ProjectionProgress> {
    const worker = this.#worker(name);
    const record = await readProjection(this.#engine.session, name);
    const position = record?.position ?? TOKEN_ZERO;
    const stored = record ?? UNKNOWN;
    // What this runner has done since is not in the database yet.
    const measured = await measure(this.#engine.session, {
      ...stored,
      rowsPerSecond: worker.rowsPerSecond || stored.rowsPerSecond,
      rebuildRowsPerSecond: worker.rebuildRowsPerSecond ||
        stored.rebuildRowsPerSecond,
    });
    return {
      name,
      position: worker.reached > position ? worker.reached : position,
      ...measured,
      isRebuilding: record !== undefined && worker.isRebuilding(record),
      isHolding: worker.isHolding,
      error: worker.error,
    };
  }

  /**
   * Waits until every projection has taken in a token.
   *
   * @param target A commit, or a token; tokens come from one sequence.
   * @param options How long; 10,000 ms by default.
   * @throws {HeadwaterError} `WAIT_TIMEOUT`, `CLOSED`; `INVALID_ARGUMENT` for what
   *   is no token, or no length of time.
   * @throws The signal's reason, once it is aborted.
   */
  async whenCaughtUp(
    target: number | { readonly token: number },
    options: WaitOptions = {},
  ): Promise<void> {
    requireNames("wait", WAIT_OPTIONS, options);
    const { signal, timeoutMs = WAIT_TIMEOUT_MS } = options;
    requireTimeout("wait", timeoutMs);
    const token = parseToken(
      typeof target === "number" ? target : target?.token,
    );
    const isDone = () => this.#workers.every(({ reached }) => reached >= token);
    if (isDone()) return;
    signal?.throwIfAborted();
    if (this.#closing !== undefined) throw closedError();
    this.poke();
    let waiter: Waiter | undefined;
    let cancel = () => {};
    let abort = () => {};
    try {
      await new Promise<void>((resolve, reject) => {
        waiter = { isDone, resolve };
        this.#waiters.add(waiter);
        abort = () => reject(signal?.reason);
        signal?.addEventListener("abort", abort);
        cancel = systemClock.schedule(
          () => reject(this.#timeoutError(token, timeoutMs)),
          timeoutMs,
        );
      });
    } finally {
      cancel();
      signal?.removeEventListener("abort", abort);
      if (waiter !== undefined) this.#waiters.delete(waiter);
    }
    if (!isDone()) throw closedError();
  }

  /** Has every projection look for events now: after a commit in this process. */
  poke(): void {
    for (const worker of this.#workers) worker.poke();
  }

  /**
   * Has a projection rebuilt from zero; its tables serve until the new ones take
   * their place. What they lack then is what the rebuild has parked.
   *
   * @throws {HeadwaterError} `PROJECTION_UNKNOWN`; `EVENTS_DELETED` if retention
   *   has deleted some.
   */
  async rebuild(name: string): Promise<void> {
    const worker = this.#worker(name);
    await requestRebuild(this.#engine, name);
    worker.poke();
  }

  /**
   * The events that a projection could not take in, the oldest 1,000: those that
   * its tables lack, then those that a rebuild under way does.
   */
  async parked(name: string): Promise<ParkedEvent[]> {
    this.#worker(name);
    return await readParked(this.#engine.session, name);
  }

  /**
   * Has a projection try the events again that its tables lack.
   *
   * @returns How many there are.
   */
  async retryParked(name: string): Promise<number> {
    const worker = this.#worker(name);
    const count = await requestRetry(this.#engine, name);
    worker.poke();
    return count;
  }

  /** Stops after what is under way, and closes the database. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Closes it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.close()));
    for (const { resolve } of this.#waiters) resolve();
    await this.#engine.close();
  }

  #wake(): void {
    for (const { isDone, resolve } of this.#waiters) if (isDone()) resolve();
  }

  #worker(name: string): ProjectionWorker<Database> {
    const worker = this.#workers.find(({ projection }) =>
      projection.name === name
    );
    if (worker !== undefined) return worker;
    throw new HeadwaterError(
      "PROJECTION_UNKNOWN",
      `Cannot use projection ${quote(String(name))}: this runner has ${
        this.#workers.map(({ projection }) => projection.name).join(", ")
      }`,
    );
  }

  #timeoutError(token: Token, timeoutMs: number): HeadwaterError {
    const behind = this.#workers.filter(({ reached }) => reached < token)
      .map(({ projection, reached, error }) =>
        `"${projection.name}" has come to ${reached}${
          error === undefined ? "" : ` and fails: ${error}`
        }`
      );
    return new HeadwaterError(
      "WAIT_TIMEOUT",
      `Cannot wait any longer for token ${token}: after ${timeoutMs} ms ` +
        behind.join(", "),
    );
  }
}

function closedError(): HeadwaterError {
  return new HeadwaterError(
    "CLOSED",
    "Cannot wait: the projection runner is closed; open another",
  );
}

function memoryError(): HeadwaterError {
  return new HeadwaterError(
    "INVALID_ARGUMENT",
    'Cannot run projections of "sqlite::memory:": no writer can reach the same ' +
      "one; give sqlite:FILE or postgres://USER@HOST/DATABASE, or have the " +
      "writer project inline",
  );
}

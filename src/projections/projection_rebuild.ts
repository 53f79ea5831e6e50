/**
 * Making a projection's tables anew, while the old ones serve.
 *
 * @module
 */

import { readNow } from "../log/lease.ts";
import type { Token } from "../tokens/token.ts";
import {
  beginRebuild,
  finishRebuild,
  type ProjectionLease,
  type ProjectionState,
  withdrawRebuild,
} from "./checkpoint.ts";
import { isDeleted, requireAllEvents } from "./deleted_events.ts";
import { forgetRebuildParked, swapParked } from "./parked.ts";
import { type Build, nextTable, tablesOf } from "./projection.ts";
import {
  type ProjectionStepOptions,
  ProjectionSteps,
} from "./projection_step.ts";

/**
 * Builds new tables, as often as it is asked to.
 *
 * They take the serving ones' place once they contain all events there are, and
 * no fewer than those. The checkpoint changes in the same transaction, and is
 * compared in it: nothing can be taken in between that the new ones lack.
 */
export class ProjectionRebuild<Database> {
  readonly #options: ProjectionStepOptions<Database>;
  #steps: ProjectionSteps<Database>;

  /** Constructs one. */
  constructor(options: ProjectionStepOptions<Database>) {
    this.#options = options;
    this.#steps = new ProjectionSteps(options);
  }

  /** Events a second of the rebuild; 0 before the first. */
  get rowsPerSecond(): number {
    return this.#steps.rowsPerSecond;
  }

  /** Whether there is something to be done. */
  isNeeded({ version, rebuild, rebuildVersion }: ProjectionState): boolean {
    const { version: ours = 1 } = this.#options.projection;
    if (rebuild === undefined) return version < ours;
    // What newer code has begun is for it to go on with.
    return rebuild === "requested" || rebuildVersion <= ours;
  }

  /**
   * Begins, takes the next events in, or swaps.
   *
   * @param lease The right to run the projection.
   * @param state What was read of it.
   * @param horizon The last token to take: nothing can appear below it any more.
   * @throws {MovedError} if another runner has the projection, or somebody has
   *   asked for another rebuild.
   * @throws {HeadwaterError} `EVENTS_DELETED`: the rebuild is given up.
   */
  async step(
    lease: ProjectionLease,
    state: ProjectionState,
    horizon: Token,
  ): Promise<void> {
    const { version = 1 } = this.#options.projection;
    const { rebuild, rebuildVersion } = state;
    try {
      if (typeof rebuild !== "number" || rebuildVersion !== version) {
        return await this.#begin(lease, state);
      }
      const position = rebuild < horizon
        ? await this.#steps.step(
          lease,
          { position: rebuild, build: nextBuild(state) },
          horizon,
        )
        : rebuild;
      if (position >= horizon) await this.#swap(lease, position);
    } catch (error) {
      if (isDeleted(error)) await this.#withdraw(lease, rebuild);
      throw error;
    }
  }

  async #begin(lease: ProjectionLease, state: ProjectionState): Promise<void> {
    const { engine, projection, clock, leaseMs } = this.#options;
    const { name, version = 1, tables } = projection;
    await engine.transaction(`rebuild ${name}`, async (session) => {
      const nowMs = await readNow(session, clock);
      await beginRebuild(
        session,
        lease,
        state.rebuild,
        version,
        nowMs,
        leaseMs,
      );
      await requireAllEvents(session, name);
      await forgetRebuildParked(session, name);
      const { db } = session;
      for (const table of tables) {
        await db.schema.dropTable(nextTable(table)).ifExists().execute();
      }
      const table = tablesOf(tables, nextBuild(state));
      await projection.create({ db, table });
    });
    this.#steps = new ProjectionSteps(this.#options);
  }

  async #swap(lease: ProjectionLease, position: Token): Promise<void> {
    const { engine, projection, clock } = this.#options;
    const { name, tables } = projection;
    await engine.transaction(`swap ${name}`, async (session) => {
      const nowMs = await readNow(session, clock);
      await finishRebuild(session, lease, position, nowMs);
      const { schema } = session.db;
      for (const table of tables) {
        // A new version may have tables that the old one hadn't.
        await schema.dropTable(table).ifExists().execute();
        await schema.alterTable(nextTable(table)).renameTo(table).execute();
      }
      await swapParked(session, name);
    });
  }

  /** Else it would fail for ever, and hold retention up. */
  async #withdraw(
    lease: ProjectionLease,
    rebuild: ProjectionState["rebuild"],
  ): Promise<void> {
    const { engine, projection: { name } } = this.#options;
    await engine.transaction(`give up rebuild ${name}`, async (session) => {
      if (!await withdrawRebuild(session, lease, rebuild)) return;
      await forgetRebuildParked(session, name);
    });
  }
}

function nextBuild({ build }: ProjectionState): Build {
  return { number: build + 1, isNext: true };
}

// A read replica: it has every commit, in their order, some time later.

import type { Session } from "../../src/database/engine.ts";
import type { VirtualClock } from "../../src/testing/mod.ts";
import { type SimulatedDatabase, toLsn } from "./simulated_database.ts";
import type { SimulatedProcess } from "./simulated_process.ts";
import { type Commit, type Data, dataOf, type Truth, write } from "./truth.ts";

/** How long it takes to have a commit, in ms, when it isn't held up. */
const LAG_MS = [0, 150] as const;

export class Replica {
  /** What reads of it see. */
  data: Data = new Map();
  #commits: Commit[] = [];
  #dueMs = 0;
  #isStalled = false;
  #waiting: Commit[] = [];
  #floor = 0;
  readonly #clock: VirtualClock;
  readonly #database: SimulatedDatabase;

  constructor(clock: VirtualClock, database: SimulatedDatabase) {
    this.#clock = clock;
    this.#database = database;
  }

  /** Takes a commit in, after some time. */
  committed(commit: Commit, fraction: number): void {
    const nowMs = this.#clock.monotonicMs();
    const lagMs = LAG_MS[0] + fraction * (LAG_MS[1] - LAG_MS[0]);
    this.#dueMs = Math.max(this.#dueMs, nowMs + lagMs);
    this.#clock.schedule(() => {
      if (commit.lostIn !== Infinity) return;
      if (this.#isStalled) this.#waiting.push(commit);
      else this.#apply(commit);
    }, this.#dueMs - nowMs);
  }

  stall(): void {
    this.#isStalled = true;
  }

  resume(): void {
    this.#isStalled = false;
    for (const commit of this.#waiting.splice(0)) {
      if (commit.lostIn === Infinity) this.#apply(commit);
    }
  }

  /** It is made anew from the primary. */
  restored(truth: Truth): void {
    this.#waiting = [];
    this.#floor = 0;
    this.#commits = [...truth.history];
    this.data = dataOf(this.#commits);
  }

  /** Answers what a reader asks of it: how far it has come, and which tokens it has. */
  session(process: SimulatedProcess): Session {
    return {
      dialect: "postgres",
      run: () => 0,
      rows: async (sql, [least, instance]) => {
        if (sql.includes("headwater_retained")) return [[this.#readFloor()]];
        if (sql.includes("pg_postmaster_start_time")) {
          return [[String(this.#database.truth.timeline)]];
        }
        if (sql.includes("pg_last_wal_replay_lsn")) {
          return [[toLsn(this.#commits.length)]];
        }
        if (sql.includes("headwater_holders")) {
          return this.#database.query(sql, [least ?? ""]);
        }
        const seen = this.#commits
          .filter((each) =>
            each.instance === instance && each.token >= Number(least)
          )
          .map(({ token }) => [token])
          .sort(([a = 0], [b = 0]) => a - b);
        if (process.random.chance(0.5)) {
          await process.wait(process.random.within([0, 5]));
        }
        return seen;
      },
    };
  }

  /** As of the last time that it was asked and had everything. */
  #readFloor(): number {
    if (this.#commits.length < this.#database.truth.history.length) {
      return this.#floor;
    }
    const [row] = this.#database.direct.rows(
      "SELECT coalesce(max(floor_token), 0) FROM headwater_retained",
      [],
    );
    return this.#floor = Number(row?.[0]);
  }

  #apply(commit: Commit): void {
    this.#commits.push(commit);
    write(this.data, commit);
  }
}

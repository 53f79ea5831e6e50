/**
 * Checking when events were committed against what is noted of it.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";
import type { RawRecord } from "./log_pages.ts";
import type { ProblemList } from "./problems.ts";

const READ = `SELECT after_token, upto_token, oldest_ms, newest_ms
  FROM headwater_time_ranges ORDER BY upto_token`;

/** What is noted of the events after a token, up to another. */
interface TimeRange {
  readonly after: number;
  readonly upTo: number;
  readonly oldestMs: number;
  readonly newestMs: number;
}

/** Checks records of events in the order of the log. */
export class TimeChecks {
  readonly #problems: ProblemList;
  /** In the order of their ends; two writers may have added some that overlap. */
  readonly #ranges: readonly TimeRange[];
  readonly #wrong = new Set<TimeRange>();
  /** How many end before the records that are to come. */
  #passed = 0;

  /** Reads what is noted: some hundred bytes for every 4,096 records. */
  static async read(
    session: Session,
    problems: ProblemList,
  ): Promise<TimeChecks> {
    const rows = await session.rows(READ, []);
    return new TimeChecks(
      problems,
      rows.map(([after, upTo, oldestMs, newestMs]) => ({
        after: Number(after),
        upTo: Number(upTo),
        oldestMs: Number(oldestMs),
        newestMs: Number(newestMs),
      })),
    );
  }

  private constructor(problems: ProblemList, ranges: readonly TimeRange[]) {
    this.#problems = problems;
    this.#ranges = ranges;
  }

  /** Up to which token it is noted. */
  get end(): number {
    return this.#ranges.at(-1)?.upTo ?? 0;
  }

  /** Checks the next record; tells of the first of each range that is wrong. */
  check({ token, committedMs }: RawRecord): void {
    while ((this.#ranges[this.#passed]?.upTo ?? Infinity) < token) {
      this.#passed += 1;
    }
    for (let index = this.#passed; index < this.#ranges.length; index += 1) {
      const range = this.#ranges[index] as TimeRange;
      if (range.after >= token) return;
      const { after, upTo, oldestMs, newestMs } = range;
      const isWithin = oldestMs <= committedMs && committedMs <= newestMs;
      if (isWithin || this.#wrong.has(range)) continue;
      this.#wrong.add(range);
      this.#problems.add(
        "times",
        token,
        `token ${token}: it was committed at ${committedMs}, and for tokens ` +
          `after ${after} up to ${upTo} ${oldestMs} to ${newestMs} is noted: ` +
          "reading by time passes it over",
      );
    }
  }
}

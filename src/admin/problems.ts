/**
 * What is wrong with a log, as far as it is worth telling.
 *
 * @module
 */

/**
 * What a log is checked for.
 *
 * - `"tokens"`: they are positive and increase, and none is beyond what was
 *   reserved (SQLite) or taken from the sequence (PostgreSQL), or of an
 *   instance that never held its name.
 * - `"transactions"`: all records of a token have one instance, one commit id
 *   and one time.
 * - `"torn"`: a transaction stands under one token, whole.
 * - `"rows"`: a record has as many rows as it says, each JSON on a line of ASCII.
 * - `"appends"`: every event in the log is known as an append to its aggregate.
 * - `"events"`: every append's events stand under its token, in order.
 * - `"versions"`: an aggregate's versions have no gap, and none follows its last.
 * - `"event ids"`: every id that was given is that of an event that exists.
 * - `"times"`: what is noted of when events were committed, which reading by time
 *   goes by, is so.
 * - `"ahead"`: no position, checkpoint, snapshot, floor or noted time is ahead of
 *   the log.
 */
export type LogCheck =
  | "tokens"
  | "transactions"
  | "torn"
  | "rows"
  | "appends"
  | "events"
  | "versions"
  | "event ids"
  | "times"
  | "ahead";

/** Something that is wrong. */
export interface LogProblem {
  /** What was looked at when it was found. */
  readonly check: LogCheck;
  /** The token where it is; `undefined` if it is nowhere in the log. */
  readonly token: number | undefined;
  /** What is wrong, for people. */
  readonly message: string;
}

/** Problems that are kept; others are counted. */
export const MAX_PROBLEMS: number = 100;

/** Collects problems: keeps those with the lowest tokens, and counts all. */
export class ProblemList {
  readonly #kept: LogProblem[] = [];
  #count = 0;

  /** How many there are. */
  get count(): number {
    return this.#count;
  }

  /** Those that were kept, the lowest token first. */
  get kept(): readonly LogProblem[] {
    return this.#kept;
  }

  /** Takes one more. */
  add(check: LogCheck, token: number | undefined, message: string): void {
    this.#count += 1;
    const kept = this.#kept;
    // Behind its equals, so that they stay as they were found.
    let place = kept.length;
    while (place > 0 && orderOf(kept[place - 1]) > (token ?? Infinity)) {
      place -= 1;
    }
    kept.splice(place, 0, { check, token, message });
    if (kept.length > MAX_PROBLEMS) kept.pop();
  }
}

function orderOf(problem: LogProblem | undefined): number {
  return problem?.token ?? Infinity;
}

/**
 * Names in the `caches` stream that nothing in this process has.
 *
 * @module
 */

import { MAX_UNKNOWN_NAMES } from "../runtime/limits.ts";

/**
 * Knows of a name that isn't known here whether it is a cache of another
 * process, which is of no account, or a group, which may stand for anything:
 * once somebody who can look it up has.
 */
export class UnknownNames {
  #groups: ReadonlySet<string> = new Set();
  readonly #judged = new Set<string>();
  readonly #pending = new Set<string>();

  /** Whether there are names that somebody has to look up. */
  get isPending(): boolean {
    return this.#pending.size > 0;
  }

  /** Says whether a name is known to be a group's; if nobody knows, it is pending. */
  isGroup(name: string): boolean {
    if (this.#judged.has(name)) return false;
    if (this.#groups.has(name)) return true;
    // Who sends more than these sends nonsense.
    if (this.#pending.size < MAX_UNKNOWN_NAMES && !this.#pending.has(name)) {
      // A slice would keep alive what it was cut from: a line, or a page of rows.
      this.#pending.add(JSON.parse(JSON.stringify(name)));
    }
    return false;
  }

  /**
   * Takes in which names are groups'.
   *
   * @returns Those that were pending and are.
   */
  judge(groups: ReadonlySet<string>): readonly string[] {
    this.#groups = groups;
    const found: string[] = [];
    for (const name of this.#pending) {
      if (groups.has(name)) found.push(name);
      else if (this.#judged.size < MAX_UNKNOWN_NAMES) this.#judged.add(name);
    }
    this.#pending.clear();
    return found;
  }

  /** What was a cache may be a group by now: a new writer may have declared it. */
  forget(): void {
    this.#judged.clear();
  }
}

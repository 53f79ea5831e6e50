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
  readonly #own: { has(name: string): boolean };
  readonly #judged = new Set<string>();
  readonly #pending = new Set<string>();
  /** Whether there were more of those than are remembered. */
  #hasMore = false;

  /**
   * Constructs one that knows of no names.
   *
   * @param own The names of groups that are known here.
   */
  constructor(own: { has(name: string): boolean }) {
    this.#own = own;
  }

  /** Whether there are names that somebody has to look up. */
  get isPending(): boolean {
    return this.#pending.size > 0;
  }

  /** Says whether a name is known to be a group's; if nobody knows, it is pending. */
  isGroup(name: string): boolean {
    if (this.#judged.has(name)) return false;
    if (this.#groups.has(name)) return true;
    if (this.#pending.has(name)) return false;
    if (this.#pending.size >= MAX_UNKNOWN_NAMES) this.#hasMore = true;
    // A slice would keep alive what it was cut from: a line, or a page of rows.
    else this.#pending.add(JSON.parse(JSON.stringify(name)));
    return false;
  }

  /**
   * Takes in which names are groups'.
   *
   * @returns Those that were pending and are, or may have been: where there were
   *   more names than are remembered, each that is new and not known here.
   */
  judge(groups: ReadonlySet<string>): readonly string[] {
    const may = (name: string) =>
      this.#hasMore && !this.#groups.has(name) && !this.#own.has(name);
    const found = [...groups].filter((name) =>
      this.#pending.has(name) || may(name)
    );
    for (const name of this.#pending) {
      if (groups.has(name)) continue;
      if (this.#judged.size < MAX_UNKNOWN_NAMES) this.#judged.add(name);
    }
    this.#groups = groups;
    this.#pending.clear();
    this.#hasMore = false;
    return found;
  }

  /** What was a cache may be a group by now: a new writer may have declared it. */
  forget(): void {
    this.#judged.clear();
  }
}

// What was committed, and in which order. A restore of an old copy begins a new
// timeline: what was committed after the copy never was.

import type { Plan } from "./plan.ts";
import { ANY_KEY } from "./plan.ts";

/** A transaction that was committed. */
export interface Commit {
  readonly instance: string;
  readonly token: number;
  /** Who held the instance's name, as text. */
  readonly holder: string;
  readonly plan: Plan;
  /** The timeline it was made in. */
  readonly timeline: number;
  /** Its place among all, in the order of commits. */
  readonly order: number;
  /** The timeline that does not contain it any more; Infinity while all do. */
  lostIn: number;
}

/** The state of the table at some moment: who wrote each key last. */
export type Data = Map<string, Commit>;

/** Everything that was committed. */
export class Truth {
  /** By timeline, what was committed in it, in the order of commits. */
  readonly timelines: Commit[][] = [[]];
  /** Every token that was ever committed: `instance/token`. */
  readonly #known = new Set<string>();
  data: Data = new Map();
  #order = 0;

  get timeline(): number {
    return this.timelines.length - 1;
  }

  /** What the log's history contains now. */
  get history(): readonly Commit[] {
    return this.timelines[this.timeline] as Commit[];
  }

  /** Takes a commit in, in the moment that others can see it. */
  add(
    instance: string,
    token: number,
    holder: string,
    plan: Plan,
  ): Commit {
    const commit = {
      instance,
      token,
      holder,
      plan,
      timeline: this.timeline,
      order: this.#order++,
      lostIn: Infinity,
    };
    (this.timelines[this.timeline] as Commit[]).push(commit);
    this.#known.add(`${instance}/${token}`);
    write(this.data, commit);
    return commit;
  }

  /** Whether a token of an instance was ever committed. */
  wasCommitted(instance: string, token: number): boolean {
    return token === 0 || this.#known.has(`${instance}/${token}`);
  }

  /** The newest timeline that contains a token. */
  timelineOf(instance: string, token: number): number {
    // One that was abandoned is nothing in all of them.
    if (token === 0 || !this.wasCommitted(instance, token)) {
      return this.timeline;
    }
    return this.timelines.findLastIndex((commits) =>
      commits.some((each) => each.instance === instance && each.token === token)
    );
  }

  /** Whether an instance has ever committed anything. */
  hasWritten(instance: string): boolean {
    return this.timelines.flat().some((commit) => commit.instance === instance);
  }

  /** The last token of an instance that the history contains; 0 if none. */
  lastToken(instance: string): number {
    let last = 0;
    for (const commit of this.history) {
      if (commit.instance === instance && commit.token > last) {
        last = commit.token;
      }
    }
    return last;
  }

  /** Goes back to when the history had `length` commits. */
  restore(length: number): void {
    const kept = this.history.slice(0, length);
    const lost = this.history.slice(length);
    this.timelines.push(kept);
    for (const commit of lost) commit.lostIn = this.timeline;
    this.data = dataOf(kept);
  }
}

/** What a table holds after some commits. */
export function dataOf(commits: readonly Commit[]): Data {
  const data: Data = new Map();
  for (const commit of commits) write(data, commit);
  return data;
}

/** Writes what a commit wrote. */
export function write(data: Data, commit: Commit): void {
  for (const key of commit.plan.keys) data.set(key, commit);
  if (commit.plan.keys.length > 0) data.set(ANY_KEY, commit);
}

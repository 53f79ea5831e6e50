// What a reader may show, judged by what was committed: the promises once more,
// in code that is short enough to be believed.

import type { KeyedCache } from "../../src/caches/keyed_cache.ts";
import { ANY_KEY, type Entry, STREAMS } from "./plan.ts";
import type { Commit, Truth } from "./truth.ts";
import { Violation } from "./violation.ts";

/** A read of the table for a cache, and what it saw. */
export interface CacheLoad {
  readonly entry: Entry;
  readonly promise: Promise<unknown>;
  /** Whether it has looked into the table. */
  hasRead: boolean;
  /** What it saw; `undefined` for an empty table. */
  seen: Commit | undefined;
}

/** How far somebody has got. */
export type Position = ReadonlyMap<string, number>;

/** Judges one reader. */
export class Oracle {
  readonly #truth: Truth;
  readonly #name: string;
  readonly #caches: ReadonlyMap<string, KeyedCache>;
  readonly #position: () => Position;
  /** By instance, the newest timeline that it has compared its position with. */
  readonly #noticed = new Map<string, number>();
  /** By instance and stream, the last token whose rows its handlers got. */
  readonly #heard = new Map<string, number>();
  /** The newest load of each entry. */
  readonly #loads = new Map<string, CacheLoad>();
  /** The instance whose handlers are at work, and the token. */
  #handling: { instance: string; token: number; count: number } | undefined;

  constructor(
    truth: Truth,
    name: string,
    caches: ReadonlyMap<string, KeyedCache>,
    position: () => Position,
  ) {
    this.#truth = truth;
    this.#name = name;
    this.#caches = caches;
    this.#position = position;
  }

  /** Promise 7: the reader has compared its position with the log as it is. */
  checked(instance: string, timeline = this.#truth.timeline): void {
    this.#noticed.set(instance, timeline);
  }

  isCurrent(instance: string): boolean {
    return this.#noticed.get(instance) === this.#truth.timeline;
  }

  /** Whether all that it has applied of an instance is part of the history. */
  agrees(instance: string): boolean {
    const noticed = this.#noticed.get(instance) ?? 0;
    const reached = this.#position().get(instance) ?? 0;
    return !(this.#truth.timelines[noticed] ?? []).some((commit) =>
      commit.instance === instance && commit.token <= reached &&
      commit.lostIn !== Infinity
    );
  }

  loading(load: CacheLoad): void {
    const { name, args } = load.entry;
    this.#loads.set(`${name} ${args}`, load);
  }

  /** Before a position moves on. */
  advancing(instance: string, token: number): void {
    if (!this.#truth.wasCommitted(instance, token)) {
      this.#fail(2, `reaches ${instance}/${token}, which was never committed`);
    }
    const handling = this.#handling;
    if (handling?.instance === instance && handling.token <= token) {
      this.#fail(
        3,
        `reaches ${instance}/${token} while a handler works on ${handling.token}`,
      );
    }
    for (const stream of STREAMS) this.#requireHeard(instance, stream, token);
    this.requireFresh(this.#with(instance, token));
  }

  /** Before a reader starts over. */
  resetting(instance: string, token: number): void {
    // What a writer has told that died since is believed until the next connection.
    this.checked(instance, this.#truth.timelineOf(instance, token));
    for (const stream of STREAMS) {
      this.#heard.set(`${instance} ${stream}`, token);
    }
    this.requireFresh(this.#with(instance, token), 6);
  }

  /** A position that begins without a reset: what is cached contains what was before. */
  begins(instance: string, token: number): void {
    for (const stream of STREAMS) {
      const key = `${instance} ${stream}`;
      if (!this.#heard.has(key)) this.#heard.set(key, token);
    }
  }

  /** A handler is given rows. */
  handling(
    stream: string,
    instance: string,
    token: number,
    rows: readonly unknown[],
  ): void {
    const key = `${instance} ${stream}`;
    let next = this.#next(instance, stream);
    if (next?.token !== token) next = this.#fallBack(instance, stream, token);
    const what = `handler of ${stream} gets ${instance}/${token}`;
    if (next?.token !== token) {
      this.#fail(3, `${what}, and ${next?.token ?? "nothing"} is next`);
    }
    const expected = next.plan.rows.get(stream) ?? [];
    if (expected.join() !== rows.join()) {
      this.#fail(3, `${what} as [${rows}] and not as [${expected}]`);
    }
    this.#heard.set(key, token);
    this.requireFresh(this.#with(instance, token), 3);
    const count = (this.#handling?.count ?? 0) + 1;
    this.#handling = { instance, token, count };
  }

  /** It is done with them. */
  handled(): void {
    const left = (this.#handling?.count ?? 1) - 1;
    if (left === 0) this.#handling = undefined;
    else if (this.#handling !== undefined) this.#handling.count = left;
  }

  /** No entry that is cached, or is to be, is older than a position. */
  requireFresh(position: Position, promise = 4): void {
    for (const load of this.#loads.values()) {
      const { name, args } = load.entry;
      if (!load.hasRead) continue;
      if (this.#caches.get(name)?.get(args) !== load.promise) continue;
      this.requireSeen(load, position, promise);
    }
  }

  /** What was seen is not older than a position. */
  requireSeen(
    { entry, seen }: Pick<CacheLoad, "entry" | "seen">,
    position: Position,
    promise: number,
  ): void {
    if (seen !== undefined && seen.lostIn <= this.#truth.timeline) {
      if ((this.#noticed.get(seen.instance) ?? -1) < seen.lostIn) return;
      this.#fail(
        7,
        `keeps ${shown(entry)} as ${seen.instance}/${seen.token} wrote it, ` +
          "which a restore has undone",
      );
    }
    const required = this.required(entry.key, position);
    this.requireAtLeast({ entry, seen }, required, promise);
  }

  /** Promise 5: what was waited for is contained, as this reader knows the log. */
  requireReached({ instance, token, lostIn }: Commit): void {
    const reached = this.#position().get(instance) ?? -1;
    const what = `a wait for ${instance}/${token} ended at ${reached}`;
    if (reached < token && lostIn === Infinity) this.#fail(5, what);
    if ((this.#noticed.get(instance) ?? -1) >= lostIn) {
      this.#fail(5, `${what}, though a restore has undone it`);
    }
  }

  /** What was seen is not older than a commit, unless that was undone. */
  requireAtLeast(
    { entry, seen }: Pick<CacheLoad, "entry" | "seen">,
    required: Commit | undefined,
    promise: number,
  ): void {
    if (required !== undefined && required.lostIn !== Infinity) return;
    if ((seen?.order ?? -1) >= (required?.order ?? -1)) return;
    this.#fail(
      promise,
      `${shown(entry)} is as of ${seen?.instance}/${seen?.token}, though ` +
        `${required?.instance}/${required?.token} is reached`,
    );
  }

  /** The last commit that wrote a key and is contained in a position. */
  required(key: string, position: Position): Commit | undefined {
    return this.#truth.history.findLast((commit) => {
      const { instance, token, timeline, plan } = commit;
      return token <= (position.get(instance) ?? -1) &&
        timeline <= (this.#noticed.get(instance) ?? -1) &&
        (key === ANY_KEY ? plan.keys.length > 0 : plan.keys.includes(key));
    });
  }

  /** Promise 2: somebody commits below what is reached. */
  requireNotPassed({ instance, token }: Commit): void {
    const reached = this.#position().get(instance);
    if (reached === undefined || token > reached) return;
    if (!this.isCurrent(instance)) return;
    this.#fail(
      2,
      `has reached ${instance}/${reached}, and ${token} commits now`,
    );
  }

  #requireHeard(instance: string, stream: string, token: number): void {
    const next = this.#next(instance, stream);
    if (next === undefined || next.token > token) return;
    // What was fetched after a restore may be applied before it is noticed.
    const noticed = this.#noticed.get(instance) ?? 0;
    for (let later = noticed + 1; later <= this.#truth.timeline; later += 1) {
      const other = this.#next(instance, stream, later);
      if (other === undefined || other.token > token) return;
    }
    this.#fail(
      3,
      `reaches ${instance}/${token}, and the handler of ${stream} was not ` +
        `given ${next.token}`,
    );
  }

  /** What had arrived before a restore may be handled after it. */
  #fallBack(
    instance: string,
    stream: string,
    token: number,
  ): Commit | undefined {
    const noticed = this.#noticed.get(instance) ?? 0;
    for (let timeline = noticed - 1; timeline >= 0; timeline -= 1) {
      const next = this.#next(instance, stream, timeline);
      if (next?.token !== token) continue;
      this.#noticed.set(instance, timeline);
      return next;
    }
    return this.#next(instance, stream);
  }

  /** The next transaction with rows of a stream, after the last that was heard. */
  #next(
    instance: string,
    stream: string,
    timeline = this.#noticed.get(instance) ?? this.#truth.timeline,
  ): Commit | undefined {
    const heard = this.#heard.get(`${instance} ${stream}`) ?? 0;
    let next: Commit | undefined;
    for (const commit of this.#truth.timelines[timeline] ?? []) {
      if (commit.instance !== instance || commit.token <= heard) continue;
      if (!commit.plan.rows.has(stream)) continue;
      if (next === undefined || commit.token < next.token) next = commit;
    }
    return next;
  }

  #with(instance: string, token: number): Position {
    return new Map(this.#position()).set(instance, token);
  }

  #fail(promise: number, message: string): never {
    throw new Violation(promise, `${this.#name}: ${message}`);
  }
}

function shown({ name, args }: Entry): string {
  return `${name}(${args})`;
}

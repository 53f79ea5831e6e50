// A reader process of the random faults: a slaved store for each wire. It waits
// for the newest commit that it is told of, over and over, compares what it
// reads then, and says in the end what was wrong.

import process from "node:process";
import { createInterface } from "node:readline";
import { SlavedStore } from "../../mod.ts";
import type { TestDatabase } from "../support/stores.ts";
import {
  BEATS,
  type Commit,
  KEYS,
  notes,
  type ReaderHears,
  type ReaderTask,
  SHELVES,
  userGroup,
  type Verdict,
  Versions,
} from "./random_faults.ts";

const WAIT_MS = 30_000;
const MAX_PROBLEMS = 5;

const task = JSON.parse(String(process.argv[2])) as ReaderTask;
const commits: Commit[] = [];
let last: Commit | undefined;
let told = Promise.withResolvers<void>();

/** One store, and all that was wrong with it. */
class Watcher {
  readonly #wire: string;
  readonly #slaved: SlavedStore<TestDatabase>;
  readonly #versions: Versions;
  readonly #problems: string[] = [];
  /** What must never be read again: less than this. */
  readonly #floors = new Map<string, number>();
  /** Positions, and the last note that had been handed on by then. */
  readonly #samples: [token: number, note: number][] = [];
  #lastToken = 0;
  #note = 0;
  #batches = 0;
  #waits = 0;

  constructor(wire: string, slaved: SlavedStore<TestDatabase>) {
    this.#wire = wire;
    this.#slaved = slaved;
    this.#versions = slaved.attach(Versions);
    slaved.subscribe(notes, ({ token, rows }) => {
      this.#batches += 1;
      this.#sample();
      if (token <= this.#lastToken) {
        this.#wrong(`batch ${token} after ${this.#lastToken}`);
      }
      if (this.#position >= token) {
        this.#wrong(`position ${this.#position} before batch ${token}`);
      }
      this.#lastToken = token;
      for (const row of rows) {
        if (row !== this.#note + 1) {
          this.#wrong(`note ${row} after ${this.#note}, at ${token}`);
        }
        this.#note = row;
      }
      // Loads that are under way as their entries are invalidated.
      void this.#readAll();
    });
  }

  /** Watches until the last commit, and judges. */
  async run(): Promise<Verdict> {
    let checked: Commit | undefined;
    while (last === undefined) {
      const newest = commits.at(-1);
      if (newest === undefined || newest === checked) await told.promise;
      else await this.#check(newest);
      checked = newest;
    }
    await this.#check(last);
    await this.#compare(last);
    const { connections, catchUps, flushes } = this.#slaved.stats;
    await this.#slaved.close();
    return {
      wire: this.#wire,
      problems: this.#problems.slice(0, MAX_PROBLEMS),
      waits: this.#waits,
      batches: this.#batches,
      connections,
      catchUps,
      flushes,
    };
  }

  get #position(): number {
    return Number(this.#slaved.position.get("master"));
  }

  /** Position and notes as they are together, in one turn. */
  #sample(): void {
    this.#samples.push([this.#position, this.#note]);
  }

  async #check(commit: Commit): Promise<void> {
    try {
      await this.#slaved.waitFor(commit, { timeoutMs: WAIT_MS });
    } catch (error) {
      this.#wrong(`${error}`);
      return;
    }
    this.#sample();
    this.#waits += 1;
    const { id, version, shelf, sum, count, note } = commit;
    if (this.#note < note) this.#wrong(`note ${this.#note}, not ${note}`);
    this.#raise(id, version);
    this.#raise(shelf, sum);
    this.#raise("count", count);
    await this.#readAll();
  }

  #raise(what: string, floor: number): void {
    this.#floors.set(what, Math.max(floor, this.#floors.get(what) ?? 0));
  }

  async #readAll(): Promise<void> {
    const read = async (what: string, value: () => Promise<number>) => {
      // As it is when the read begins.
      const floor = this.#floors.get(what) ?? 0;
      const got = await value();
      if (got < floor) this.#wrong(`${what} is ${got}, after ${floor}`);
    };
    await this.#each(read, (name, arg) => this.#cached(name, arg));
  }

  #cached(name: Read, arg: string): Promise<number> {
    const versions = this.#versions;
    if (name === "version") return versions.getVersion(arg);
    return name === "sum" ? versions.sumVersions(arg) : versions.countUsers();
  }

  #truth(name: Read, arg: string): Promise<number> {
    const versions = this.#versions;
    if (name === "version") return versions.readVersion(arg);
    return name === "sum" ? versions.readSum(arg) : versions.readCount();
  }

  async #each(
    read: (what: string, value: () => Promise<number>) => Promise<void>,
    get: (name: Read, arg: string) => Promise<number>,
  ): Promise<void> {
    const reads: Promise<void>[] = [];
    for (let key = 0; key < KEYS; key += 1) {
      const id = `user${key}`;
      reads.push(read(id, () => get("version", id)));
    }
    for (let key = 0; key < SHELVES; key += 1) {
      const shelf = `shelf${key}`;
      reads.push(read(shelf, () => get("sum", shelf)));
    }
    reads.push(read("count", () => get("count", "")));
    await Promise.all(reads);
  }

  /** Nothing is written any more: all must be as the database has it. */
  async #compare(final: Commit): Promise<void> {
    const truths = new Map<string, number>();
    await this.#each(async (what, value) => {
      truths.set(what, await value());
    }, (name, arg) => this.#truth(name, arg));
    await this.#each(async (what, value) => {
      const got = await value();
      const truth = truths.get(what);
      if (got !== truth) this.#wrong(`${what} is ${got}, not ${truth}`);
    }, (name, arg) => this.#cached(name, arg));
    if (this.#note !== final.note) {
      this.#wrong(`${this.#note} notes of ${final.note}`);
    }
    if (this.#position !== final.token) {
      this.#wrong(`position ${this.#position}, not ${final.token}`);
    }
    this.#judgeSamples(final);
  }

  /** No position may have gone over a note that was not handed on. */
  #judgeSamples(final: Commit): void {
    const known = [...commits, final].sort((a, b) => a.token - b.token);
    let at = 0;
    let needed = 0;
    let before = 0;
    for (const [token, note] of this.#samples) {
      if (token < before) this.#wrong(`position ${token} after ${before}`);
      before = Math.max(before, token);
      for (; (known[at]?.token ?? Infinity) <= token; at += 1) {
        needed = known[at]?.note ?? needed;
      }
      if (note < needed) {
        this.#wrong(`position ${token} at note ${note}, not ${needed}`);
      }
    }
  }

  #wrong(problem: string): void {
    this.#problems.push(problem);
  }
}

type Read = "version" | "sum" | "count";

const watchers = await Promise.all(
  Object.entries(task.wires).map(async ([wire, replicate]) => {
    const slaved = await SlavedStore.connect<TestDatabase>({
      ...BEATS,
      database: task.database,
      replicate,
      tls: task.tls,
      streams: [notes],
      groups: [userGroup],
      minBackoffMs: 2,
      maxBackoffMs: 50,
      // What it knows it knows from this wire.
      pollIntervalMs: 0,
    });
    return new Watcher(wire, slaved);
  }),
);
console.log(JSON.stringify({ isReady: true }));
createInterface({ input: process.stdin }).on("line", (line) => {
  const heard = JSON.parse(line) as ReaderHears;
  if (heard.commit !== undefined) commits.push(heard.commit);
  last ??= heard.last;
  told.resolve();
  told = Promise.withResolvers();
});
const verdicts = await Promise.all(watchers.map((watcher) => watcher.run()));
console.log(JSON.stringify({ verdicts }));
process.exit(0);

// Everything of one history: made by its seed, changed by its actions.

import {
  type SeededRandom,
  seededRandom,
  SimulatedNetwork,
  VirtualClock,
} from "../../src/testing/mod.ts";
import { ENTRIES, KEYS, marks, notes, type Plan } from "./plan.ts";
import { Replica } from "./replica.ts";
import {
  type Copy,
  type Dialect,
  SimulatedDatabase,
} from "./simulated_database.ts";
import type { CommitFaults } from "./simulated_engine.ts";
import { SimulatedProcess } from "./simulated_process.ts";
import { SimulatedReader } from "./simulated_reader.ts";
import { BUS } from "./simulated_writer.ts";
import { SimulatedWriter } from "./simulated_writer.ts";
import { type Commit, Truth } from "./truth.ts";
import { Violation } from "./violation.ts";

const INSTANCES = ["master", "second"] as const;

/** Longer than the time between two looks in the database. */
const LOOKS_MS = 1_500;

/** How long readers may take to get to the end once nothing fails any more. */
const CONVERGENCE_MS = 60_000;

/** What a seed decides before anything happens. */
interface Settings {
  readonly dialect: Dialect;
  readonly instances: readonly string[];
  readonly readers: number;
  readonly hasReplica: boolean;
  /** Whether readers connect to every instance, or follow one through the database. */
  readonly connected: readonly string[];
  /** Whether all share one channel, which loses messages. */
  readonly isShared: boolean;
  readonly maxOutboxBytes: number;
  readonly isNetworkBad: boolean;
  readonly commits: CommitFaults;
}

function settle(random: SeededRandom): Settings {
  const dialect = random.chance(0.5) ? "sqlite" : "postgres";
  const instances = random.chance(0.5) ? INSTANCES.slice(0, 1) : INSTANCES;
  const isCommitBad = random.chance(0.6);
  const hasReplica = dialect === "postgres" && random.chance(0.3);
  return {
    dialect,
    instances,
    readers: 1 + random.below(2),
    hasReplica,
    connected: random.chance(0.75) ? instances : [INSTANCES[0]],
    isShared: random.chance(0.2),
    maxOutboxBytes: random.chance(0.3) ? 1_500 : 1_000_000,
    isNetworkBad: random.chance(0.6),
    commits: {
      slow: isCommitBad ? 0.4 : 0.1,
      fail: isCommitBad ? 0.08 : 0,
      unanswered: isCommitBad && dialect === "postgres" ? 0.05 : 0,
    },
  };
}

export class World {
  readonly seed: number;
  readonly settings: Settings;
  readonly clock = new VirtualClock();
  readonly random: SeededRandom;
  readonly network: SimulatedNetwork;
  readonly truth = new Truth();
  readonly database: SimulatedDatabase;
  readonly writers: SimulatedWriter[] = [];
  readonly readers: SimulatedReader[] = [];
  readonly replica: Replica | undefined;
  copy: Copy | undefined;
  /** What happens, if somebody wants to know. */
  trace: string[] = [];
  isTraced = false;
  #broken: unknown;
  #processes = 0;
  #rows = 0;

  constructor(seed: number) {
    this.seed = seed;
    this.random = seededRandom(seed);
    this.settings = settle(this.random);
    this.network = new SimulatedNetwork({
      clock: this.clock,
      random: this.random.fork(),
      faults: this.settings.isNetworkBad
        ? {
          cut: 0.01,
          halfOpen: 0.004,
          stall: 0.01,
          stallMs: [20, 1_500],
          delay: 0.1,
          delayMs: [5, 60],
          split: 0.3,
          refuse: 0.1,
          drop: 0.05,
          duplicate: 0.02,
        }
        : {},
    });
    const { dialect, hasReplica } = this.settings;
    const server = this.#process("database");
    this.database = new SimulatedDatabase(dialect, this.truth, server);
    this.replica = hasReplica
      ? new Replica(this.clock, this.database)
      : undefined;
    this.database.committed = (commit) => this.#committed(commit);
  }

  /** The first promise that was broken, if one was. */
  get broken(): unknown {
    return this.#broken;
  }

  /** Notes what happens. */
  readonly note = (what: () => string): void => {
    if (!this.isTraced) return;
    this.trace.push(`${Math.round(this.clock.monotonicMs())} ms ${what()}`);
  };

  /** Starts everybody. */
  async open(): Promise<void> {
    const { instances, readers } = this.settings;
    for (const instance of instances) this.addWriter(instance);
    await this.clock.advance(60);
    for (let count = 0; count < readers; count += 1) this.addReader();
    await this.clock.advance(60);
  }

  addWriter(instance: string): SimulatedWriter {
    const { maxOutboxBytes, commits } = this.settings;
    const writer = new SimulatedWriter({
      process: this.#process(`writer ${instance}`),
      network: this.network,
      database: this.database,
      instance,
      isShared: this.settings.isShared,
      maxOutboxBytes,
      faults: commits,
      broken: this.#break,
      note: this.note,
    });
    this.writers.push(writer);
    writer.open().catch(this.#break);
    return writer;
  }

  addReader(): SimulatedReader {
    const reader = new SimulatedReader({
      process: this.#process("reader"),
      network: this.network,
      database: this.database,
      truth: this.truth,
      replica: this.replica,
      connected: this.settings.isShared ? [BUS] : this.settings.connected,
      isShared: this.settings.isShared,
      broken: this.#break,
      note: this.note,
    });
    this.readers.push(reader);
    return reader;
  }

  /** Kills a writer and starts another in its place. */
  restart(writer: SimulatedWriter, isSameMachine: boolean): void {
    this.#kill(writer);
    if (isSameMachine) this.database.forgetHolder(writer.instance);
    this.addWriter(writer.instance);
  }

  replaceReader(reader: SimulatedReader): void {
    reader.process.kill();
    this.readers.splice(this.readers.indexOf(reader), 1);
    this.addReader();
  }

  /** Whether it has a channel that loses nothing, as Redis's while it is up. */
  get isKeptWhole(): boolean {
    return this.settings.isShared && !this.settings.isNetworkBad;
  }

  /** Copies the database as it is, whatever is open. */
  takeCopy(isAnew: boolean): void {
    if (this.copy === undefined || isAnew) this.copy = this.database.copy();
  }

  /** Brings an old copy back: nobody writes meanwhile. */
  restore(copy: Copy): void {
    // Rows of what is lost may be under way to readers: see README.md.
    if (!this.#isConverged()) return;
    // What the next writer says of itself might be lost: see README.md.
    if (this.settings.isShared && !this.isKeptWhole) return;
    const instances = new Set(this.writers.map(({ instance }) => instance));
    for (const writer of [...this.writers]) this.#kill(writer);
    this.database.down();
    this.database.restore(copy);
    this.replica?.restored(this.truth);
    this.database.up();
    for (const instance of instances) {
      this.database.forgetHolder(instance);
      this.addWriter(instance);
    }
  }

  /** A transaction's work, as three numbers say. */
  plan(a: number, b: number, c: number): Plan {
    if (c % 23 === 0) {
      return { keys: [], how: "keys", rows: new Map(), isEmpty: true };
    }
    const count = a % 7 === 0 ? 0 : 1 + a % 3;
    const keys = new Set<string>();
    // Who holds a row's lock is not waited for here.
    for (let index = 0; index < count; index += 1) {
      const key = KEYS[(b + index * 2) % KEYS.length] as string;
      if (!this.database.isRowLocked(key)) keys.add(key);
    }
    const rows = new Map<string, string[]>();
    for (const [index, { name }] of [notes, marks].entries()) {
      const length = (c >> (index * 3)) % 4;
      if (length === 0) continue;
      rows.set(
        name,
        Array.from({ length }, () => `${"x".repeat(b % 60)}${this.#rows++}`),
      );
    }
    const how = b % 11 === 0 ? "all" : b % 3 === 0 ? "group" : "keys";
    return { keys: [...keys], how, rows, isEmpty: false };
  }

  /** Lets time pass, and looks at everything. */
  async pass(ms: number): Promise<void> {
    try {
      await this.clock.advance(ms);
      this.check();
    } catch (error) {
      this.#break(error);
    }
  }

  check(): void {
    for (const { oracle, position } of this.readers) {
      oracle.requireFresh(position);
    }
    for (const reader of this.readers) reader.requireLinear();
    for (const writer of this.writers) writer.requireBounded();
  }

  /** Ends every fault, and sees whether all get to where the truth is. */
  async converge(): Promise<void> {
    this.network.faults = {};
    this.network.heal();
    this.network.resumeAll();
    this.replica?.resume();
    this.database.up();
    for (const { process } of [...this.writers, ...this.readers]) {
      process.resume();
    }
    const isDone = () => this.#broken !== undefined || this.#isConverged();
    try {
      await this.clock.advance(50);
      this.#startMissing();
      await this.clock.runUntil(isDone, CONVERGENCE_MS).catch(() => {
        throw new Violation(1, `not all have reached ${this.#state()}`);
      });
      // A restore that no connection shows is noticed at the next look.
      if (this.truth.timeline > 0) await this.clock.advance(LOOKS_MS);
      for (const reader of this.readers) {
        for (const entry of ENTRIES) reader.read(entry);
      }
      await this.clock.advance(200);
      for (const reader of this.readers) reader.requireConverged();
      this.check();
    } catch (error) {
      this.#break(error);
    }
  }

  /** Ends everything that is still at work. */
  close(): void {
    for (const { process } of [...this.writers, ...this.readers]) {
      process.kill();
    }
  }

  /** A writer an instance that may yet have the name. */
  #startMissing(): void {
    for (const instance of this.settings.instances) {
      if (this.#writersOf(instance).some(({ isLost }) => !isLost)) continue;
      this.database.forgetHolder(instance);
      this.addWriter(instance);
    }
  }

  #writersOf(instance: string): SimulatedWriter[] {
    return this.writers.filter((each) => each.instance === instance);
  }

  #isConverged(): boolean {
    return this.writers.every(({ pending }) => pending === 0) &&
      this.settings.instances.every((instance) =>
        this.#writersOf(instance).some(({ isOpen }) => isOpen)
      ) &&
      this.readers.every((each) => each.hasReached(this.settings.instances));
  }

  #state(): string {
    const ends = this.settings.instances.map((instance) =>
      `${instance}/${this.truth.lastToken(instance)}`
    );
    const reached = this.readers.map(({ process, position }) =>
      `${process.name} at ${[...position].map((each) => each.join("/"))}`
    );
    const pending = this.writers.map(({ isOpen, pending }) =>
      isOpen ? pending : "closed"
    );
    return `${ends} (${pending} pending, timeline ${this.truth.timeline}): ${
      reached.join("; ")
    }`;
  }

  #committed(commit: Commit): void {
    const { instance, token, plan } = commit;
    const rows = [...plan.rows].map(([stream, { length }]) =>
      `${length} ${stream}`
    );
    this.note(() =>
      `  committed ${instance}/${token}: ${plan.keys} by ${plan.how}, ${rows}`
    );
    this.replica?.committed(commit, this.random.fraction());
    for (const { oracle } of this.readers) {
      try {
        oracle.requireNotPassed(commit);
      } catch (error) {
        this.#break(error);
      }
    }
  }

  #kill(writer: SimulatedWriter): void {
    writer.process.kill();
    this.database.forget(writer.process);
    this.writers.splice(this.writers.indexOf(writer), 1);
  }

  #process(kind: string): SimulatedProcess {
    const name = `${kind} ${this.#processes++}`;
    return new SimulatedProcess(
      name,
      this.clock,
      this.network,
      this.random.fork(),
    );
  }

  readonly #break = (error: unknown): void => {
    if (this.#broken === undefined) this.note(() => `  ${error}`);
    this.#broken ??= error;
  };
}

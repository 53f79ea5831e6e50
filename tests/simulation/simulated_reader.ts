// A reading process: the parts of a slaved store, put together as there.

import type { HeadwaterError } from "../../src/runtime/errors.ts";
import type { Logger } from "../../src/runtime/logger.ts";
import { deferred } from "../../src/runtime/waiting.ts";
import { ReplicationClient } from "../../src/replication/client.ts";
import { ChangeFiller } from "../../src/replication/change_filler.ts";
import { DatabaseLife } from "../../src/replication/database_life.ts";
import { DatabaseWatcher } from "../../src/replication/database_watcher.ts";
import { Follower } from "../../src/replication/follower.ts";
import { ReplicaGate } from "../../src/replication/replica_gate.ts";
import type { StreamHandler } from "../../src/replication/stream_subscription.ts";
import { TransactionApplier } from "../../src/replication/transaction_applier.ts";
import type { SimulatedNetwork } from "../../src/testing/mod.ts";
import { readHolders } from "../../src/log/history.ts";
import { toWanted } from "../../src/tokens/position.ts";
import type { Token } from "../../src/tokens/token.ts";
import { type CacheLoad, Oracle } from "./oracle.ts";
import { type Entry, Reads, STREAMS } from "./plan.ts";
import { RetriedHandler } from "./retried_handler.ts";
import type { Replica } from "./replica.ts";
import type { SimulatedDatabase } from "./simulated_database.ts";
import type { SimulatedProcess } from "./simulated_process.ts";
import type { Commit, Truth } from "./truth.ts";
import { WatchedBackoff } from "./watched_backoff.ts";
import { Violation } from "./violation.ts";
import { WatchedChanges } from "./watched_changes.ts";
import {
  WatchedCaches,
  WatchedMarks,
  WatchedPosition,
} from "./watched_parts.ts";

/** What a reader reads from, and whom it hears. */
export interface ReaderOptions {
  readonly process: SimulatedProcess;
  readonly network: SimulatedNetwork;
  readonly database: SimulatedDatabase;
  readonly truth: Truth;
  readonly replica: Replica | undefined;
  /** The instances that it connects to. */
  readonly connected: readonly string[];
  /** Whether that is a channel which all share. */
  readonly isShared: boolean;
  /** Takes what was broken. */
  readonly broken: (error: unknown) => void;
  /** Takes what happens, if somebody wants to know. */
  readonly note: (what: () => string) => void;
}

/** How often handlers wait for something. */
const SLOW_HANDLER = 0.2;
/** How often they fail. */
const FAILING_HANDLER = 0.05;

export class SimulatedReader {
  readonly process: SimulatedProcess;
  readonly oracle: Oracle;
  readonly #options: ReaderOptions;
  readonly #caches = new WatchedCaches();
  readonly #reads: Reads;
  readonly #retried: RetriedHandler;
  readonly #loads = new WeakMap<Promise<unknown>, CacheLoad>();
  readonly #changes: WatchedChanges;
  readonly #position: WatchedPosition;
  readonly #history: WatchedMarks;
  readonly #followers: readonly Follower[];
  readonly #watcher: DatabaseWatcher;
  /** The timeline whose file it has open. */
  #timeline: number;
  /** The timeline that the watcher has last seen all of. */
  #lookedAt = 0;
  /** The timeline before which nothing was loaded that is kept. */
  #refreshed: number;

  constructor(options: ReaderOptions) {
    const { process, network, database, truth, replica } = options;
    const clock = process;
    const logger: Logger = (_level, message, fields) =>
      options.note(() =>
        `  ${process.name}: ${message} ${JSON.stringify(fields ?? {})}`
      );
    const session = database.reader(process);
    this.#options = options;
    this.#timeline = truth.timeline;
    this.#refreshed = truth.timeline;
    this.process = process;
    this.#retried = new RetriedHandler(process, options.broken);
    this.#reads = new Reads(this.#caches, (entry) => this.#load(entry));
    const changes = this.#changes = new WatchedChanges(truth);
    const readNow = (instance: string) => readHolders(session, instance);
    this.#position = new WatchedPosition(clock, readNow, {
      advancing: (...reached) => {
        options.note(() => `  ${process.name} reaches ${reached.join("/")}`);
        this.#judge(() => {
          if (this.#position.get(reached[0]) === undefined) {
            this.oracle.begins(...reached);
          }
          this.oracle.advancing(...reached);
          this.#requireChanges(...reached);
        });
      },
      resetting: (...reached) => {
        options.note(() => `  ${process.name} resets to ${reached.join("/")}`);
        this.#judge(() => {
          this.oracle.resetting(...reached);
          this.#requireChanges(...reached);
        });
      },
    });
    this.oracle = new Oracle(
      truth,
      process.name,
      this.#caches.byName,
      () => this.#position.current,
    );
    this.#history = new WatchedMarks(
      { session, position: this.#position, clock },
      () => this.#refreshed,
      (...what) => this.oracle.checked(...what),
    );
    const gate = replica &&
      new ReplicaGate({
        primary: session,
        replica: replica.session(process),
        clock,
        logger,
      });
    const life = new DatabaseLife(
      replica === undefined ? [session] : [session, replica.session(process)],
    );
    let replacements = 0;
    const refresh = async () => {
      const { timeline } = truth;
      const isReplaced = this.#isReplaced();
      const isAnother = await life.isAnother();
      if (isReplaced || isAnother) {
        this.#caches.flush();
        changes.forget(this.#position.current);
        replacements += 1;
      }
      this.#refreshed = Math.max(this.#refreshed, timeline);
      return replacements;
    };
    const applier = new TransactionApplier(
      this.#caches,
      this.#position,
      logger,
      gate && ((...what) => gate.visible(...what)),
      clock,
      undefined,
      changes,
    );
    for (const stream of STREAMS) {
      applier.addHandler(stream, (batch) => this.#handle(batch));
      // After the one above, which tells what is due.
      applier.addHandler(stream, (batch) => this.#retried.take(batch), {
        retry: { attempts: 4, maxBackoffMs: 400 },
        onFailure: (failure) => this.#retried.failed(failure),
      });
    }
    const following = {
      session,
      refresh: async () => void await refresh(),
      applier,
      caches: this.#caches,
      position: this.#position,
      history: this.#history,
      changes: new ChangeFiller(session, changes),
      clock,
      logger,
      live: () => {},
    };
    const watched = new Follower(following);
    this.#followers = options.connected.map((address) => {
      const backoff = new WatchedBackoff(clock, options.broken);
      const live = () => backoff.live();
      const isShared = () => options.isShared;
      const follower = new Follower({ ...following, isShared, live });
      new ReplicationClient({
        transport: backoff.watch(
          network,
          { host: process.name, address },
          options.isShared,
        ),
        receiver: follower,
        name: process.name,
        pingIntervalMs: 1_000,
        silenceTimeoutMs: 3_000,
        clock,
        random: process.random,
        logger,
      }).open();
      return follower;
    });
    this.#watcher = new DatabaseWatcher({
      session,
      refresh: async () => {
        const { timeline } = truth;
        const times = await refresh();
        this.#lookedAt = timeline;
        return times;
      },
      isConnected: (instance) =>
        this.#followers.some((follower) =>
          follower.isConnected(instance, options.isShared ? 3_000 : Infinity)
        ),
      taken: async () => {
        const taken = await this.#history.taken();
        for (const instance of taken) {
          for (const follower of this.#followers) follower.disown(instance);
        }
        return taken;
      },
      isReached: (end) => this.#history.isReached(end),
      isApplied: (instance, token) => this.#position.contains(instance, token),
      follow: (instance, base, upTo) => watched.follow(instance, base, upTo),
      intervalMs: 1_000,
      clock,
      logger,
    });
    void this.#watcher.look();
  }

  get position(): ReadonlyMap<string, number> {
    return this.#position.current;
  }

  /** Whether it has got to where the truth is. */
  hasReached(instances: readonly string[]): boolean {
    return this.#retried.isIdle && instances.every((instance) => {
      const { truth } = this.#options;
      const last = truth.lastToken(instance);
      return !truth.hasWritten(instance) ||
        this.oracle.agrees(instance) && this.position.get(instance) === last;
    });
  }

  /** Calls a cached method, as a request would, and judges what it gets. */
  read(
    entry: Entry,
    required: ReadonlyMap<string, number> = this.position,
  ): void {
    const promise = this.#reads.read(entry);
    const load = this.#loads.get(promise);
    if (load === undefined) throw new Error("a cached promise is no load's");
    const must = this.oracle.required(entry.key, required);
    promise.then(
      () => this.#judge(() => this.oracle.requireAtLeast(load, must, 6)),
      () => {},
    );
  }

  /** Waits for a commit, and reads what it wrote. */
  waitFor(commit: Commit, entry: Entry, timeoutMs: number): void {
    const { instance, token } = commit;
    const { position, marks } = toWanted(commit);
    this.#position.waitFor(position, { timeoutMs }, marks).then(
      () =>
        this.#judge(() => {
          this.oracle.requireReached(commit);
          this.read(entry);
        }),
      (error) =>
        this.#judge(() => {
          const reached = this.position.get(instance) ?? -1;
          const { code } = error as HeadwaterError;
          if (code === "LOG_REWOUND" && commit.lostIn !== Infinity) return;
          // That another has the name is noticed at the next look.
          const holders = this.#position.holdersOf(instance);
          const isBehind = reached < token ||
            !holders?.contains(commit.holder, commit.token as Token);
          if (code === "WAIT_TIMEOUT" && isBehind) return;
          throw new Violation(
            5,
            `a wait for ${instance}/${token} failed at ${reached}: ${error}`,
          );
        }),
    );
  }

  /** All that it keeps is as the truth has it. */
  requireConverged(): void {
    for (const [instance, token] of this.position) {
      this.oracle.checked(instance);
      this.oracle.advancing(instance, token);
    }
    this.oracle.requireFresh(this.position);
    const { history } = this.#options.truth;
    const everything = new Map(
      history.map(({ instance }) => [instance, Infinity]),
    );
    this.oracle.requireFresh(everything, 1);
  }

  /** Unless the log was rewound, and it has not noticed yet. */
  #requireChanges(instance: string, token: number): void {
    if (!this.oracle.isCurrent(instance) || !this.oracle.agrees(instance)) {
      return;
    }
    this.#changes.require(instance, token);
  }

  requireLinear(): void {
    const { history, timeline } = this.#options.truth;
    const { linear } = this.#watcher;
    // A restore is noticed by each connection by itself, before the next look.
    if (timeline !== this.#lookedAt) return;
    for (const { instance, token } of history) {
      if (!this.oracle.isCurrent(instance)) return;
      if (token > linear || token <= (this.position.get(instance) ?? -1)) {
        continue;
      }
      throw new Violation(
        2,
        `${this.process.name}: the linear position is ${linear}, and ` +
          `${instance}/${token} is not applied`,
      );
    }
  }

  /** As SQLite's file is another once it was restored. */
  #isReplaced(): boolean {
    const { database, truth } = this.#options;
    const wasReplaced = database.dialect === "sqlite" &&
      truth.timeline !== this.#timeline;
    this.#timeline = truth.timeline;
    return wasReplaced;
  }

  #load(entry: Entry): Promise<unknown> {
    const { process, truth, replica } = this.#options;
    const { random } = process;
    const { promise, resolve, reject } = deferred<unknown>();
    const load: CacheLoad = { entry, promise, hasRead: false, seen: undefined };
    this.#loads.set(promise, load);
    this.oracle.loading(load);
    const look = () => {
      load.hasRead = true;
      load.seen = (replica?.data ?? truth.data).get(entry.key);
      this.#options.note(() =>
        `  ${process.name} loads ${entry.name}(${entry.args}) as of ` +
        `${load.seen?.instance}/${load.seen?.token}`
      );
      const isFailing = random.chance(0.05);
      const done = () => isFailing ? reject("failed") : resolve(load.seen);
      if (random.chance(0.4)) done();
      else process.schedule(done, random.within([0, 60]));
    };
    if (random.chance(0.6)) look();
    else process.schedule(look, random.within([0, 30]));
    return promise;
  }

  #handle(
    { stream, instance, token, rows }: Parameters<StreamHandler>[0],
  ): void | Promise<void> {
    const { random } = this.process;
    this.#options.note(() =>
      `  ${this.process.name} handles ${stream} of ${instance}/${token}`
    );
    this.#judge(() => this.oracle.handling(stream, instance, token, rows));
    this.#retried.due(stream, instance, token, rows);
    const isFailing = random.chance(FAILING_HANDLER);
    const done = () => {
      this.oracle.handled();
      // It is not called again: its next batch is the next one.
      if (isFailing) throw new Error("the handler fails");
    };
    if (!random.chance(SLOW_HANDLER)) return done();
    return this.process.wait(random.within([0, 30])).then(done);
  }

  /** What is broken is told to the test: the code under test must not swallow it. */
  #judge(judge: () => void): void {
    if (!this.process.isAlive) return;
    try {
      judge();
    } catch (error) {
      this.#options.broken(error);
    }
  }
}

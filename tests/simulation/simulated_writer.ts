// A writing process: the parts of a writer store, put together as there.

import { appendConflicts } from "../../src/log/append_conflict.ts";
import { CacheRegistry } from "../../src/caches/cache_registry.ts";
import { type Lease, takeLease } from "../../src/log/lease.ts";
import { retainStream } from "../../src/log/retention.ts";
import { Streamer } from "../../src/replication/streamer.ts";
import { HeadwaterError } from "../../src/runtime/errors.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import type { Listener } from "../../src/transport/transport.ts";
import type { SimulatedNetwork } from "../../src/testing/mod.ts";
import { declare } from "../../src/store/declarations.ts";
import { formatHolder } from "../../src/tokens/holders.ts";
import { AggregateMemory } from "../../src/writer/aggregate_memory.ts";
import { LeaseKeeper } from "../../src/writer/lease_keeper.ts";
import { createRecorder, type Recorder } from "../../src/writer/recorder.ts";
import { TransactionRunner } from "../../src/writer/transaction_runner.ts";
import { WriterTransaction } from "../../src/writer/writer_transaction.ts";
import { marks, notes, type Plan, rowGroup } from "./plan.ts";
import type { SimulatedDatabase } from "./simulated_database.ts";
import { type CommitFaults, SimulatedEngine } from "./simulated_engine.ts";
import type { SimulatedProcess } from "./simulated_process.ts";
import { MeteredConnection } from "./metered_connection.ts";
import { Violation } from "./violation.ts";

/** How long a name is held without being renewed, in ms. */
const LEASE_MS = 2_400;
/** The channel that all share. */
export const BUS = "bus";
/** How long a process waits before it tries once more to open. */
const REOPEN_MS = 400;
/** How long it waits before it joins a channel again. */
const RELISTEN_MS = 150;

export interface WriterOptions {
  readonly process: SimulatedProcess;
  readonly network: SimulatedNetwork;
  readonly database: SimulatedDatabase;
  readonly instance: string;
  /** Whether it speaks on a channel that all share. */
  readonly isShared: boolean;
  readonly maxOutboxBytes: number;
  readonly faults: CommitFaults;
  /** Takes what was broken. */
  readonly broken: (error: unknown) => void;
  /** Takes what happens, if somebody wants to know. */
  readonly note: (what: () => string) => void;
}

const limits = { maxRows: 1_000, maxBytes: 100_000, maxLineBytes: 10_000 };

export class SimulatedWriter {
  readonly process: SimulatedProcess;
  readonly instance: string;
  readonly engine: SimulatedEngine;
  readonly #options: WriterOptions;
  readonly #connections = new Set<MeteredConnection>();
  #recorder: Recorder | undefined;
  #runner: TransactionRunner<unknown> | undefined;
  #listener: Listener | undefined;
  #isLost = false;
  #pending = 0;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.process = options.process;
    this.instance = options.instance;
    this.engine = new SimulatedEngine(
      options.database,
      options.process,
      options.faults,
      options.broken,
    );
  }

  /** Whether it may write, as far as it knows. */
  get isOpen(): boolean {
    return this.process.isAlive && this.#runner !== undefined && !this.#isLost;
  }

  /** Whether it knows that its name is another's. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /** Transactions that have not come to an end. */
  get pending(): number {
    return this.#pending;
  }

  /** Opens, and tries again for as long as it is alive. */
  async open(): Promise<void> {
    const { process } = this;
    while (process.isAlive) {
      try {
        const holder = `headwater ${process.random.id()}`;
        const { instance } = this;
        const lease = await takeLease(this.engine, {
          instance,
          leaseMs: LEASE_MS,
          holder,
          clock: process,
        });
        return await this.#begin(lease);
      } catch (error) {
        if (!(error instanceof HeadwaterError)) throw error;
      }
      await process.wait(REOPEN_MS);
    }
  }

  /** Runs a transaction; what becomes of it, the database knows. */
  write(plan: Plan): void {
    const { database, broken } = this.#options;
    if (this.#runner === undefined) return;
    this.#pending += 1;
    database.lockRows(this.process, plan);
    const work = (txn: WriterTransaction<unknown>) =>
      Promise.resolve(put(txn, plan));
    this.#runner.run("write", work, {}).catch((error) => {
      if (error?.code === "LEASE_LOST") this.#isLost = true;
      if (!(error instanceof HeadwaterError)) broken(error);
    }).finally(() => {
      this.#pending -= 1;
      database.unlockRows(plan);
    });
  }

  /** Deletes what a stream need not keep. */
  retain(stream: string, maxRows: number): void {
    const policy = { maxRows, maxAgeMs: 0 };
    retainStream(this.engine, stream, policy, { clock: this.process })
      .catch((error) => {
        if (!(error instanceof HeadwaterError)) this.#options.broken(error);
      });
  }

  /** Promise 9. */
  requireBounded(): void {
    const { maxOutboxBytes } = this.#options;
    for (const { queuedBytes, slackBytes, remote } of this.#connections) {
      if (queuedBytes <= maxOutboxBytes + slackBytes) continue;
      throw new Violation(9, `${queuedBytes} bytes wait for ${remote}`);
    }
  }

  async #begin(lease: Lease): Promise<void> {
    const { process, engine } = this;
    const { maxOutboxBytes, database } = this.#options;
    const { instance } = lease;
    engine.fence = lease.fence;
    this.#options.note(() =>
      `  ${process.name} holds ${lease.fence}, last ${lease.lastToken}`
    );
    const logger = silentLogger;
    const clock = process;
    const parts = declare({ streams: [notes, marks], groups: [rowGroup] });
    const streamer = new Streamer({
      instance,
      serverName: "simulated",
      streams: parts.streams.names,
      wireNames: parts.wireNames,
      holder: formatHolder(lease),
      lastToken: lease.lastToken,
      maxOutboxBytes,
      maxConnections: 100,
      pingIntervalMs: 1_000,
      silenceTimeoutMs: 3_000,
      clock,
      logger,
    });
    const recorder = this.#recorder = createRecorder({
      lease,
      session: engine.session,
      clock,
      publish: (transaction) => {
        const { token } = transaction;
        this.#options.note(() => `  ${process.name} publishes ${token}`);
        if (!database.truth.wasCommitted(instance, token)) {
          this.#options.broken(
            new Violation(
              1,
              `${instance}/${token} is told before it is committed`,
            ),
          );
        }
        streamer.publish(transaction);
      },
      lost: () => streamer.disconnect("connect again"),
      leaseLost: () => leaseKeeper.lose(),
    });
    this.#runner = new TransactionRunner<unknown>({
      engine,
      instance,
      holder: formatHolder(lease),
      recorder,
      begin: (session, attempt, mayRunAgain) => {
        const transaction = new WriterTransaction<unknown>({
          memory,
          lookup: engine.session,
          inline: [],
          instance,
          streams: parts.streams,
          caches: new CacheRegistry([rowGroup], logger),
          clock,
          random: process.random,
          limits,
        }, { session, attempt, mayRunAgain });
        sessions.set(transaction, (plan) => engine.intend(session, plan));
        return transaction;
      },
      committed: () => {},
      undurable: () => {},
      isAppendConflict: appendConflicts({}),
      maxAttempts: 3,
      clock,
      random: process.random,
      logger,
    });
    const leaseKeeper: LeaseKeeper = new LeaseKeeper({
      transact: (name, work) => engine.transaction(name, work),
      lease,
      leaseMs: LEASE_MS,
      lastTaken: () => recorder.lastTaken,
      position: () => recorder.position,
      lost: () => {
        this.#isLost = true;
        streamer.close("lease lost");
        void this.#listener?.close();
      },
      clock,
      logger,
    });
    await this.#listen(streamer);
  }

  /** A channel that is lost is joined again, as by Redis's listener. */
  async #listen(streamer: Streamer): Promise<void> {
    const { process, instance } = this;
    const { network, isShared } = this.#options;
    const { name: host } = process;
    const transport = isShared
      ? network.channel({ host, address: BUS })
      : network.transport({ host, address: instance });
    this.#listener = await transport.listen((connection) => {
      const metered = new MeteredConnection(connection);
      this.#connections.add(metered);
      const handler = streamer.accept(metered);
      if (!isShared) return handler;
      return {
        received: (lines) => handler.received(lines),
        failed: (error) => handler.failed(error),
        closed: () => {
          handler.closed();
          this.#connections.delete(metered);
          if (this.#isLost) return;
          process.schedule(() => void this.#listen(streamer), RELISTEN_MS);
        },
      };
    });
  }
}

/** Nobody appends events here; making one takes longer than the rest. */
const memory = new AggregateMemory();

/** How a transaction tells its engine what it does to the table. */
const sessions = new WeakMap<object, (plan: Plan) => void>();

function put(txn: WriterTransaction<unknown>, plan: Plan): void {
  sessions.get(txn)?.(plan);
  if (plan.isEmpty) return;
  for (const [stream, rows] of plan.rows) {
    for (const row of rows) txn.write(stream, row);
  }
  if (plan.how === "all") {
    txn.invalidateAll("getRow");
    txn.invalidateAll("getPart");
  }
  for (const key of plan.keys) {
    if (plan.how === "group") txn.invalidateGroup(rowGroup, [key]);
    if (plan.how !== "keys") continue;
    txn.invalidate("getRow", [key]);
    for (const part of [0, 1]) txn.invalidate("getPart", [key, part]);
  }
  if (plan.keys.length > 0) txn.invalidate("getLast", []);
}

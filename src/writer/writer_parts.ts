/**
 * What a writer store is made of.
 *
 * @module
 */

import type { CacheRegistry } from "../caches/cache_registry.ts";
import type { ChangeRegistry } from "../caches/change_registry.ts";
import type { Engine } from "../database/engine.ts";
import type { UndurableError } from "../database/sqlite_durability.ts";
import { appendConflicts } from "../log/append_conflict.ts";
import type { EventReadsOptions } from "../events/event_reads.ts";
import type { Lease } from "../log/lease.ts";
import { prepareInline } from "../projections/inline.ts";
import type { Projection } from "../projections/projection.ts";
import { ChangeFiller, markChanges } from "../replication/change_filler.ts";
import { Tracer } from "../replication/key_trace.ts";
import { LogIdentity } from "../replication/log_identity.ts";
import type { NotifyPoker } from "../replication/notify_poker.ts";
import { environmentOf } from "../runtime/environment.ts";
import { messageOf } from "../runtime/errors.ts";
import {
  LEASE_MS,
  MAX_ATTEMPTS,
  MAX_ROWS_PER_TRANSACTION,
  MAX_RUNNING_CALLS,
  MAX_TRANSACTION_BYTES,
  QUEUE_TIMEOUT_MS,
} from "../runtime/limits.ts";
import { silentLogger } from "../runtime/logger.ts";
import type { Declarations } from "../store/declarations.ts";
import { formatHolder } from "../tokens/holders.ts";
import type { Unobserve } from "../telemetry/instruments.ts";
import { findTracer, SpanMaker } from "../telemetry/spans.ts";
import { observeWriter } from "../telemetry/writer_metrics.ts";
import { AggregateMemory } from "./aggregate_memory.ts";
import { WriterEndpoint } from "./endpoint.ts";
import { ExposedCalls } from "./exposed_calls.ts";
import { LeaseKeeper } from "./lease_keeper.ts";
import { Listeners } from "./listeners.ts";
import { notifyReaders } from "./notify_readers.ts";
import { ObservedTransactions } from "./observed_transactions.ts";
import { Publisher } from "./publisher.ts";
import { createRecorder, type Recorder } from "./recorder.ts";
import { keepRetained, type RetentionKeeper } from "./retention_keeper.ts";
import { TimeRangeKeeper } from "./time_range_keeper.ts";
import { snapshotWriter } from "./snapshot_writer.ts";
import { TransactionRunner } from "./transaction_runner.ts";
import { createVoice, type WriterVoice } from "./writer_commands.ts";
import { lineLimit, type WriterStoreOptions } from "./writer_options.ts";
import { WriterTransaction } from "./writer_transaction.ts";

/** What is put together. */
export interface WriterAssembly<Database> {
  readonly options: WriterStoreOptions;
  readonly engine: Engine<Database>;
  readonly lease: Lease;
  readonly declared: Declarations;
}

/** The parts, each of which knows those that it works with. */
export interface WriterParts<Database> {
  readonly voice: WriterVoice;
  /** Knows what has become of the caches' entries. */
  readonly tracer: Tracer;
  readonly listeners: Listeners;
  readonly poker: NotifyPoker | undefined;
  readonly recorder: Recorder;
  readonly identity: LogIdentity;
  readonly runner: TransactionRunner<Database>;
  readonly writeSnapshot: EventReadsOptions["writeSnapshot"];
  readonly transactions: ObservedTransactions<Database>;
  readonly leaseKeeper: LeaseKeeper;
  readonly retentionKeeper: RetentionKeeper<Database> | undefined;
  readonly timeRangeKeeper: TimeRangeKeeper<Database>;
  readonly publisher: Publisher;
  readonly calls: ExposedCalls<Database>;
  readonly endpoint: WriterEndpoint;
  readonly changes: ChangeRegistry | undefined;
  /** Fills the change caches with what this instance wrote before; once, at the start. */
  readonly readChanges: () => Promise<void>;
  /** Adds to the projections that are written in each transaction. */
  readonly project: (projection: Projection<Database>) => Promise<void>;
  readonly unobserve: Unobserve;
}

/** Puts a writer store's parts together, on a database whose name is taken. */
export function assembleWriter<Database>(
  assembly: WriterAssembly<Database>,
): WriterParts<Database> {
  const { options, engine, lease, declared } = assembly;
  /** The projections that are written in each transaction. */
  const inline: Projection<Database>[] = [];
  const { instance } = lease;
  const { changes } = declared;
  const { logger = silentLogger } = options;
  const { clock, random } = environmentOf(options);
  const voice = createVoice(options, lease, declared, () => identity.id);
  const { streamer } = voice;
  const listeners = new Listeners(options, {
    accept: (connection) => streamer.accept(connection),
    clock,
    logger,
  });
  const poker = notifyReaders(options, instance);
  const recorder = createRecorder({
    lease,
    session: engine.session,
    clock,
    queueTimeoutMs: options.queueTimeoutMs,
    durable: changes && ((transaction) => markChanges(changes, transaction)),
    publish: (transaction) => {
      tracer.journal.applied(transaction);
      streamer.publish(transaction);
      poker?.poke(transaction.token);
    },
    lost: (upTo) => {
      declared.caches.flush({ reason: "a commit can't be told of", instance });
      changes?.allChanged(instance, upTo);
      streamer.disconnect("a commit can't be told of; connect again");
    },
    leaseLost: () => leaseKeeper.lose(),
  });
  const tracer = new Tracer(
    declared.caches,
    () => new Map([[instance, recorder.position]]),
    { ...options, clock },
  );
  /** From here on nobody must go on believing that this process tells all. */
  const leave = (reason: string) => {
    streamer.close(reason);
    listeners.close().catch((error) =>
      logger("warn", "listener not closed", { error: messageOf(error) })
    );
  };
  let undurable: UndurableError | undefined;
  const runner = createRunner(assembly, recorder, inline, (error) => {
    if (undurable !== undefined) return;
    undurable = error;
    logger("error", "disk refused a commit: readers are disconnected", {
      instance,
      error: messageOf(error),
    });
    // What can be read contains it, and nobody will be told of it from here.
    declared.caches.flush({ reason: "a commit can't be told of", instance });
    changes?.allChanged(instance, recorder.lastTaken);
    leave("the disk refused a commit");
  });
  const identity = new LogIdentity(engine.session);
  const spans = findTracer();
  const transactions = new ObservedTransactions(
    runner,
    instance,
    spans && new SpanMaker({ tracer: spans, logId: () => identity.id }),
  );
  const leaseKeeper: LeaseKeeper = new LeaseKeeper({
    transact: (name, work) =>
      engine.transaction(name, work, { mayBeLost: true }),
    lease,
    leaseMs: options.leaseMs ?? LEASE_MS,
    lastTaken: () => recorder.lastTaken,
    position: () => recorder.position,
    lost: () => {
      // What the other writes is not heard of here: nothing may be kept.
      declared.caches.close();
      leave("the instance's name is another process's by now");
      endpoint.close().catch((error) =>
        logger("warn", "endpoint not closed", { error: messageOf(error) })
      );
    },
    clock,
    logger,
  });
  const known = {
    instance,
    streams: declared.streams,
    wireNames: declared.wireNames,
    session: engine.session,
    position: () => recorder.position,
    clock,
  };
  const publisher = new Publisher({
    ...known,
    bounds: options,
    publish: (...rows) => streamer.publishEphemeral(...rows),
  });
  const calls = new ExposedCalls<Database>({
    ...known,
    holder: formatHolder(lease),
    transaction: (...call) => transactions.run(...call),
    maxRunningCalls: options.maxRunningCalls ?? MAX_RUNNING_CALLS,
    random,
  });
  const endpoint = new WriterEndpoint({
    source: { ...known, run: random.id(), held: publisher.logs },
    // One that is repeated would be answered by what the disk may not have.
    call: (...call) =>
      undurable === undefined ? calls.call(...call) : Promise.reject(undurable),
    endpoint: options,
    clock,
    logger,
  });
  const retentionKeeper = keepRetained(engine, options);
  const timeRangeKeeper = new TimeRangeKeeper({
    engine,
    lastTaken: () => recorder.lastTaken,
    clock,
    logger,
  });
  return {
    voice,
    tracer,
    listeners,
    poker,
    recorder,
    identity,
    runner,
    writeSnapshot: snapshotWriter(engine, runner.running, logger),
    transactions,
    leaseKeeper,
    retentionKeeper,
    timeRangeKeeper,
    publisher,
    calls,
    endpoint,
    changes,
    readChanges: async () => {
      if (changes === undefined) return;
      const filler = new ChangeFiller(engine.session, changes);
      const begin = await filler.read(instance, recorder.position);
      begin();
    },
    // One that runs meanwhile would be seen by neither: its events come after
    // those that the tables are made of, and were not kept for the projection.
    project: async (projection) => {
      const { name } = projection;
      const { queueTimeoutMs = QUEUE_TIMEOUT_MS } = options;
      await runner.running.alone(
        `project "${name}"`,
        queueTimeoutMs,
        async () => {
          await prepareInline(engine, projection, clock);
          // Asked for again, it is not to be written twice.
          if (inline.some((known) => known.name === name)) return;
          inline.push(projection);
        },
      );
    },
    unobserve: observeWriter({
      instance,
      counts: () => ({ ...streamer.stats, ...runner.stats }),
      position: () => recorder.position,
      present: () => voice.presence.size,
      caches: () => declared.caches.cacheStats(),
    }),
  };
}

/** Ends them all: says good-bye to readers, and gives the name free. */
export async function closeWriter<Database>(
  parts: WriterParts<Database>,
  caches: CacheRegistry,
): Promise<void> {
  parts.voice.life.end();
  parts.unobserve();
  await parts.listeners.close();
  await parts.endpoint.close();
  await parts.retentionKeeper?.close();
  await parts.timeRangeKeeper.close();
  await parts.runner.drain();
  await parts.leaseKeeper.release();
  parts.voice.streamer.close("server closing");
  await parts.poker?.close();
  caches.close();
}

function createRunner<Database>(
  { options, engine, lease, declared }: WriterAssembly<Database>,
  recorder: Recorder,
  inline: readonly Projection<Database>[],
  undurable: (error: UndurableError) => void,
): TransactionRunner<Database> {
  const { streams, caches } = declared;
  const memory = new AggregateMemory();
  const environment = environmentOf(options);
  const parts = {
    memory,
    lookup: engine.session,
    inline,
    instance: lease.instance,
    streams,
    caches,
    ...environment,
    limits: {
      maxRows: options.maxRowsPerTransaction ?? MAX_ROWS_PER_TRANSACTION,
      maxBytes: MAX_TRANSACTION_BYTES,
      maxLineBytes: lineLimit(options),
    },
  };
  return new TransactionRunner<Database>({
    engine,
    instance: lease.instance,
    holder: formatHolder(lease),
    recorder,
    begin: (session, attempt, mayRunAgain) =>
      new WriterTransaction<Database>(parts, { session, attempt, mayRunAgain }),
    committed: ({ invalidations, appends }) => {
      memory.committed(engine.dialect, appends);
      for (const { name, keys } of invalidations) caches.applyAll(name, keys);
      // Whoever wrote reads what was written.
      caches.dropStale();
    },
    undurable,
    isAppendConflict: appendConflicts(options),
    maxAttempts: options.maxAttempts ?? MAX_ATTEMPTS,
    ...environment,
    logger: options.logger ?? silentLogger,
  });
}

/**
 * What a slaved store is made of.
 *
 * @module
 */

import type { CacheRegistry } from "../caches/cache_registry.ts";
import type { ChangeRegistry } from "../caches/change_registry.ts";
import type { ReadEngine } from "../database/engine.ts";
import { ChangeFiller } from "../replication/change_filler.ts";
import { DatabaseLife } from "../replication/database_life.ts";
import { DatabaseWatcher } from "../replication/database_watcher.ts";
import { EphemeralStreams } from "../replication/ephemeral_streams.ts";
import { Follower } from "../replication/follower.ts";
import { HistoryMarks } from "../replication/history_marks.ts";
import { Tracer } from "../replication/key_trace.ts";
import { LagMeter } from "../replication/lag_meter.ts";
import { LogIdentity } from "../replication/log_identity.ts";
import type { NotifyListener } from "../replication/notify_listener.ts";
import { ReaderPosition } from "../replication/reader_position.ts";
import type { TransactionApplier } from "../replication/transaction_applier.ts";
import { environmentOf } from "../runtime/environment.ts";
import { POLL_INTERVAL_MS, SILENCE_TIMEOUT_MS } from "../runtime/limits.ts";
import { silentLogger } from "../runtime/logger.ts";
import { deferred } from "../runtime/waiting.ts";
import type { Declarations } from "../store/declarations.ts";
import { createLinks, type Link, openSources, sourcesOf } from "./links.ts";
import { listenForPokes } from "./listen_for_pokes.ts";
import { untilLive } from "./open_when_there.ts";
import { createApplier } from "./observed_applier.ts";
import { readGroups } from "../log/group_names.ts";
import { readHolders } from "../log/history.ts";
import { closedError } from "./closed_error.ts";
import { openReplica, type Replica } from "./replica.ts";
import { SlavedVoice } from "./slaved_commands.ts";
import type { SlavedStoreOptions } from "./slaved_options.ts";
import { WriterCalls } from "./writer_calls.ts";

/** The parts, each of which knows those that it works with. */
export interface SlavedParts<Database> {
  readonly caches: CacheRegistry;
  /** Knows what has become of the caches' entries. */
  readonly tracer: Tracer;
  readonly changes: ChangeRegistry | undefined;
  readonly position: ReaderPosition;
  readonly lag: LagMeter;
  readonly identity: LogIdentity;
  readonly history: HistoryMarks;
  readonly applier: TransactionApplier;
  readonly calls: WriterCalls;
  readonly ephemeral: EphemeralStreams;
  readonly links: readonly Link[];
  readonly voice: SlavedVoice;
  /** Follows those that nobody is connected to. */
  readonly watched: Follower;
  /** Clears the caches if the database has been replaced; says how often it was. */
  readonly refresh: () => Promise<number>;
  readonly replica: Replica<Database> | undefined;
}

/** Puts a slaved store's parts together; none is connected yet. */
export function assembleSlaved<Database>(
  options: SlavedStoreOptions,
  engine: ReadEngine<Database>,
  { caches, changes, streams, wireNames }: Declarations,
): SlavedParts<Database> {
  const { logger = silentLogger } = options;
  const { clock, random } = environmentOf(options);
  // First what refuses options: nothing has begun that would have to be ended.
  const sources = openSources(options);
  const calls = new WriterCalls({ ...options, wireNames, clock, random });
  const replica = openReplica<Database>(options, engine.session, logger);
  const { session } = engine;
  const position = new ReaderPosition(clock, async (instance) => {
    // A file that was replaced must not be asked.
    await refresh();
    return await readHolders(session, instance);
  });
  const lag = new LagMeter(position, clock);
  const identity = new LogIdentity(session);
  const history = new HistoryMarks({ session, position, clock });
  const tracer = new Tracer(caches, () => position.shared, {
    ...options,
    clock,
  });
  const applier = createApplier(
    {
      caches,
      changes,
      position,
      logger,
      visible: replica && replica.visible,
      judge: async () => caches.judge(await readGroups(session)),
      journal: tracer.journal,
      clock,
    },
    options,
    identity,
  );
  const life = new DatabaseLife(
    replica === undefined ? [session] : [session, replica.engine.session],
  );
  let replacements = 0;
  const refresh = async () => {
    const isReplaced = engine.reopenIfReplaced();
    const isAnother = await life.isAnother();
    if (isReplaced || isAnother) {
      caches.flush({ reason: "the database was replaced" });
      changes?.forget(position.current);
      replacements += 1;
    }
    return replacements;
  };
  const following = {
    session,
    refresh: async () => {
      await refresh();
      caches.forgetJudged();
      await identity.read();
    },
    applier,
    caches,
    position,
    history,
    lag,
    changes: changes && new ChangeFiller(session, changes),
    maxCatchUpKeys: options.maxCatchUpKeys,
    onProgress: options.onProgress,
    clock,
    logger,
  };
  const voice = new SlavedVoice(options);
  const ephemeral = new EphemeralStreams({
    streams: streams.ephemeral,
    caches,
    clock,
    logger,
  });
  return {
    caches,
    tracer,
    changes,
    position,
    lag,
    identity,
    history,
    applier,
    calls,
    ephemeral,
    links: createLinks(options, sources, {
      following,
      ephemeral,
      calls,
      voice,
      wireNames,
      identity,
    }),
    voice,
    watched: new Follower({ ...following, live: () => {} }),
    refresh,
    replica,
  };
}

/** Looks in the database for what nobody tells of, until it is closed. */
export interface Watch {
  readonly watcher: DatabaseWatcher;
  /** Has it look when somebody pokes. */
  readonly listener: NotifyListener | undefined;
}

/**
 * Begins to look in the database; `undefined` if it shall not.
 *
 * @param deadlineMs Until when to wait for pokes to be heard, in monotonic ms.
 */
export async function watchDatabase<Database>(
  options: SlavedStoreOptions,
  { session }: ReadEngine<Database>,
  { links, history, position, watched, refresh }: SlavedParts<Database>,
  deadlineMs: number,
): Promise<Watch | undefined> {
  const {
    pollIntervalMs = POLL_INTERVAL_MS,
    silenceTimeoutMs: silenceMs = SILENCE_TIMEOUT_MS,
    logger = silentLogger,
  } = options;
  const isPoked = sourcesOf(options, true).length > 0;
  if (pollIntervalMs === 0 && !isPoked) return undefined;
  const watcher = new DatabaseWatcher({
    session,
    refresh,
    isConnected: (instance) =>
      links.some(({ client, follower }) =>
        follower.isConnected(instance, client.isShared ? silenceMs : Infinity)
      ),
    taken: async () => {
      const taken = await history.taken();
      for (const instance of taken) {
        for (const { follower } of links) follower.disown(instance);
      }
      return taken;
    },
    isReached: (end) => history.isReached(end),
    isApplied: (instance, token) => position.contains(instance, token),
    follow: (instance, base, upTo) => watched.follow(instance, base, upTo),
    intervalMs: pollIntervalMs,
    clock: environmentOf(options).clock,
    logger,
  });
  if (!isPoked) return { watcher, listener: undefined };
  const live = deferred<void>();
  const listener = listenForPokes(options, watcher, position, live.resolve);
  try {
    await untilLive({ name: "notify:", live }, options, deadlineMs);
    return { watcher, listener };
  } catch (error) {
    await listener.close();
    await watcher.close();
    throw error;
  }
}

/** Ends them all, and everything that waits for one of them. */
export async function closeSlaved<Database>(
  parts: SlavedParts<Database>,
  watch: Watch | undefined,
): Promise<void> {
  const { links, replica } = parts;
  parts.applier.close();
  parts.ephemeral.close();
  parts.position.close(closedError("wait"));
  parts.calls.close(closedError("call the writer"));
  parts.history.close();
  replica?.gate.close(closedError("wait"));
  for (const { follower } of links) follower.close();
  parts.watched.close();
  parts.voice.presence.close();
  await watch?.listener?.close();
  await watch?.watcher.close();
  await Promise.all(links.map(({ client }) => client.close()));
  await replica?.engine.close();
}

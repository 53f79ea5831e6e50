/**
 * The reading side: a worker's store.
 *
 * @module
 */

import type { CacheRegistry } from "../caches/cache_registry.ts";
import type { CacheStats } from "../caches/keyed_cache.ts";
import type { ReadEngine } from "../database/engine.ts";
import { readHorizon } from "../log/horizon.ts";
import { ReplicationClient } from "../replication/client.ts";
import { Follower } from "../replication/follower.ts";
import { DatabaseWatcher } from "../replication/database_watcher.ts";
import { HistoryMarks } from "../replication/history_marks.ts";
import {
  ReaderPosition,
  type WaitOutcome,
  type WaitReached,
} from "../replication/reader_position.ts";
import { LagMeter } from "../replication/lag_meter.ts";
import { LogIdentity } from "../replication/log_identity.ts";
import type {
  StreamHandler,
  SubscribeOptions,
} from "../replication/stream_subscription.ts";
import { TransactionApplier } from "../replication/transaction_applier.ts";
import {
  type WaitForOptions,
  waitForPosition,
} from "../replication/wait_for.ts";
import { systemClock } from "../runtime/clock.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import {
  CONNECT_TIMEOUT_MS,
  FIRST_LOOK_TIMEOUT_MS,
  MAX_LINE_BYTES,
  POLL_INTERVAL_MS,
} from "../runtime/limits.ts";
import { silentLogger } from "../runtime/logger.ts";
import { requireBounds } from "../runtime/bounds.ts";
import { systemRandom } from "../runtime/random.ts";
import { deferred, soon } from "../runtime/waiting.ts";
import type { StreamRegistry } from "../streams/stream_registry.ts";
import type { Stream } from "../streams/stream.ts";
import { type Declarations, declare } from "../store/declarations.ts";
import type { Store, StoreClass } from "../store/store.ts";
import type { Position, WaitTarget } from "../tokens/position.ts";
import { type Token, TOKEN_ZERO } from "../tokens/token.ts";
import { nameOfAddress, openTransport } from "../transport/open_transport.ts";
import { rememberFailure } from "./last_failure.ts";
import {
  type AwaitedLink,
  openWhenThere,
  untilLive,
} from "./open_when_there.ts";
import { openReplica, type Replica, requireReplica } from "./replica.ts";
import { SlavedCommands, SlavedVoice } from "./slaved_commands.ts";
import type { SlavedStoreOptions } from "./slaved_options.ts";
import type { SlavedStats } from "./slaved_stats.ts";

/** One writer's connection. */
interface Link extends AwaitedLink {
  readonly follower: Follower;
  readonly client: ReplicationClient;
}

/** Ends a subscription. */
export type Unsubscribe = () => void;

/**
 * Reads, through caches that follow the writer's log.
 *
 * Once it has reached token T, nothing that it returns is older than T. When
 * its writer can't be reached it goes on answering from what it has reached,
 * and connects again by itself.
 *
 * @example A worker
 * ```ts
 * import { SlavedStore } from "headwater";
 * import { Users } from "./stores.ts";
 *
 * const slaved = await SlavedStore.connect<Database>({
 *   database: "sqlite:app.db",
 *   replicate: "tcp://127.0.0.1:8823",
 * });
 * const users = slaved.attach(Users);
 * await slaved.waitFor(commit);
 * await users.getUserById("@bob:example.com");
 * ```
 */
export class SlavedStore<Database> extends SlavedCommands {
  readonly #engine: ReadEngine<Database>;
  readonly #streams: StreamRegistry;
  readonly #caches: CacheRegistry;
  readonly #position: ReaderPosition;
  readonly #lag: LagMeter;
  readonly #identity: LogIdentity;
  readonly #history: HistoryMarks;
  readonly #applier: TransactionApplier;
  readonly #links: readonly Link[];
  readonly #voice: SlavedVoice;
  readonly #watched: Follower;
  readonly #replica: Replica<Database> | undefined;
  #watcher: DatabaseWatcher | undefined;
  #closing: Promise<void> | undefined;

  private constructor(
    options: SlavedStoreOptions,
    engine: ReadEngine<Database>,
    parts: Declarations,
  ) {
    const voice = new SlavedVoice(options);
    super({
      session: engine.session,
      horizon: () => readHorizon(engine.session, { clock: systemClock }),
    }, voice);
    this.#voice = voice;
    const { maxLineBytes = MAX_LINE_BYTES, tls, logger = silentLogger } =
      options;
    const transportOptions = { maxLineBytes, tls, logger };
    const clock = systemClock;
    this.#engine = engine;
    this.#streams = parts.streams;
    this.#caches = parts.caches;
    this.#position = new ReaderPosition(clock);
    this.#lag = new LagMeter(this.#position, clock);
    this.#identity = new LogIdentity(engine.session);
    this.#history = new HistoryMarks({
      session: engine.session,
      position: this.#position,
      clock,
    });
    this.#replica = openReplica<Database>(options, logger);
    this.#applier = new TransactionApplier(
      this.#caches,
      this.#position,
      logger,
      this.#replica && this.#replica.visible,
    );
    const following = {
      session: engine.session,
      refresh: () => {
        engine.reopenIfReplaced();
        return this.#identity.read();
      },
      applier: this.#applier,
      caches: this.#caches,
      position: this.#position,
      history: this.#history,
      lag: this.#lag,
      maxCatchUpKeys: options.maxCatchUpKeys,
      onProgress: options.onProgress,
      clock,
      logger,
    };
    this.#watched = new Follower({ ...following, live: () => {} });
    this.#links = [options.replicate].flat().map((address) => {
      const live = deferred<void>();
      const follower = new Follower({ ...following, live: live.resolve });
      const transport = rememberFailure(
        openTransport(address, clock, transportOptions),
      );
      const client = new ReplicationClient({
        ...voice.clientOptions,
        transport,
        receiver: follower,
        name: options.name ?? "slaved",
        wireNames: parts.wireNames,
        serverName: options.serverName,
        minBackoffMs: options.minBackoffMs,
        maxBackoffMs: options.maxBackoffMs,
        pingIntervalMs: options.pingIntervalMs,
        silenceTimeoutMs: options.silenceTimeoutMs,
        clock,
        random: systemRandom,
        logger,
      });
      const name = nameOfAddress(address);
      return { name, transport, live, follower, client: voice.add(client) };
    });
  }

  /**
   * Opens the writer's database for reading, connects to the writer, and
   * resolves once it hears of every write. Neither needs to be there already:
   * it tries until `connectTimeoutMs`.
   *
   * @param options Which database and which writer.
   * @throws {HeadwaterError} `CONNECT_TIMEOUT`, saying what was missing;
   *   `INVALID_ARGUMENT` for an option that can't be; `SCHEMA_TOO_NEW` or
   *   `DATABASE_INVALID` for a database that can't be used.
   */
  static async connect<Database>(
    options: SlavedStoreOptions,
  ): Promise<SlavedStore<Database>> {
    const { connectTimeoutMs = CONNECT_TIMEOUT_MS, signal } = options;
    requireBounds("connect a slaved store", options);
    requireReplica(options);
    signal?.throwIfAborted();
    const parts = declare(options);
    const deadlineMs = systemClock.monotonicMs() + connectTimeoutMs;
    const engine = await openWhenThere<Database>(options, deadlineMs);
    let store: SlavedStore<Database>;
    try {
      store = new SlavedStore<Database>(options, engine, parts);
    } catch (error) {
      await engine.close();
      throw error;
    }
    try {
      await store.#open(options, deadlineMs);
      return store;
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  /** How far it has got: everything up to there is contained in what it returns. */
  get position(): Position {
    return this.#position.current;
  }

  /**
   * The token up to which everything of every instance is contained, as far as
   * is known. It never moves back, but for a log that was rewound.
   */
  get linearPosition(): Token {
    return this.#watcher?.linear ?? TOKEN_ZERO;
  }

  /** What it has done so far. */
  get stats(): SlavedStats {
    const { applied, unknown, flushes } = this.#caches.stats;
    const isLive = this.#links.every(({ follower }) => follower.isLive);
    const following = isLive ? "live" : "connecting";
    const sum = (count: (link: Link) => number) =>
      this.#links.reduce((total, link) => total + count(link), 0);
    const followers = [this.#watched, ...this.#links.map((l) => l.follower)];
    return {
      ...this.#applier.stats,
      state: this.#closing === undefined ? following : "closed",
      invalidations: applied,
      unknownInvalidations: unknown,
      flushes,
      connections: sum(({ client }) => client.connections),
      catchUps: followers.reduce((all, { stats }) => all + stats.catchUps, 0),
      catchingUp: followers.flatMap(({ stats }) => stats.catchingUp),
      lag: this.#lag.lags,
      waiters: this.#position.waiters,
    };
  }

  /** What the caches of the attached stores have done so far. */
  caches(): CacheStats[] {
    return this.#caches.cacheStats();
  }

  /**
   * Makes a store of reads on this database.
   *
   * @param storeClass A subclass of `Store`.
   */
  attach<S extends Store<Database>>(storeClass: StoreClass<Database, S>): S {
    const { db } = this.#replica?.engine ?? this.#engine;
    return new storeClass({ db, caches: this.#caches });
  }

  /**
   * How far it has got, as text that fits in a header, a cookie or a URL:
   * letters, digits, `-` and `_`. `waitFor` takes it in any process.
   *
   * @throws {HeadwaterError} `DATABASE_INVALID` if an older release made the log.
   */
  currentToken(): string {
    return this.#identity.format(this.#position.current);
  }

  /** Waits, and says which it was: reached, or not in time. */
  waitFor(
    target: WaitTarget,
    options: WaitForOptions & { readonly onTimeout: "return" },
  ): Promise<WaitOutcome>;
  /**
   * Waits until this process has applied a write: from then on nothing that it
   * returns is older.
   *
   * @param target A commit, a position, or the text that `currentToken()` gave.
   * @param options How long, 10,000 ms by default, and for which handlers. The
   *   signal ends this wait only; what is waited for goes on.
   * @throws {WaitTimeoutError} `WAIT_TIMEOUT` at the deadline. It never says
   *   that it was reached by running out of time.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` if it is none of them;
   *   `POSITION_INVALID` for a text that is none; `POSITION_FOREIGN` for one of
   *   another log; `STREAM_UNKNOWN`; `CLOSED` if the store is, or is being closed.
   * @throws The signal's reason, once it is aborted.
   */
  waitFor(target: WaitTarget, options?: WaitForOptions): Promise<WaitReached>;
  async waitFor(
    target: WaitTarget,
    options: WaitForOptions = {},
  ): Promise<WaitOutcome> {
    const parts = {
      position: this.#position,
      applier: this.#applier,
      streams: this.#streams,
      clock: systemClock,
    };
    return await waitForPosition(parts, this.#identity.parse(target), options);
  }

  /**
   * Calls a handler with every later batch of a stream: in token order, once a
   * token, after this process's caches are right. A handler that fails is
   * reported to the logger and counted; the next batch comes all the same.
   *
   * With `retry`, it gets the batch again after a pause. Meanwhile neither
   * invalidations nor the position wait for it: later batches line up behind it,
   * in order, 100,000 rows at most, and `waitFor(…, { streams })` waits for them.
   *
   * @param stream The stream, or its name.
   * @param handler Is given each batch. The position waits for its first call: keep it short.
   * @param options What to do when it fails.
   * @returns Ends the subscription.
   * @throws {HeadwaterError} `STREAM_UNKNOWN`.
   */
  subscribe<Row>(
    stream: Stream<Row> | string,
    handler: StreamHandler<Row>,
    options: SubscribeOptions<Row> = {},
  ): Unsubscribe {
    const name = typeof stream === "string" ? stream : stream.name;
    this.#streams.get(name);
    requireBounds(`subscribe to ${name}`, options.retry ?? {});
    return this.#applier.addHandler(
      name,
      handler as StreamHandler,
      options as SubscribeOptions,
    );
  }

  /** Disconnects, ends every wait with an error, and closes the database. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Closes it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #open(
    options: SlavedStoreOptions,
    deadlineMs: number,
  ): Promise<void> {
    const { pollIntervalMs = POLL_INTERVAL_MS, logger } = options;
    const { session } = this.#engine;
    const clock = systemClock;
    for (const { client } of this.#links) client.open();
    for (const link of this.#links) {
      await untilLive(link, options, deadlineMs);
    }
    if (pollIntervalMs === 0) return;
    this.#watcher = new DatabaseWatcher({
      session,
      isConnected: (instance) =>
        this.#links.some(({ follower }) => follower.isConnected(instance)),
      isReached: (end) => this.#history.isReached(end),
      isApplied: (instance, token) => this.#position.contains(instance, token),
      follow: (instance, base, upTo) =>
        this.#watched.follow(instance, base, upTo),
      intervalMs: pollIntervalMs,
      clock,
      logger: logger ?? silentLogger,
    });
    // From its first look on, it hears of instances that it isn't connected to.
    // A commit that hangs on the server must not hold it up for long.
    await soon(this.#watcher.look(), clock, FIRST_LOOK_TIMEOUT_MS);
  }

  async #close(): Promise<void> {
    this.#position.close(
      new HeadwaterError(
        "CLOSED",
        "Cannot wait: the slaved store is closed; connect another",
      ),
    );
    this.#applier.close();
    this.#history.close();
    this.#replica?.gate.close();
    for (const { follower } of this.#links) follower.close();
    this.#watched.close();
    this.#voice.presence.close();
    await this.#watcher?.close();
    await Promise.all(this.#links.map(({ client }) => client.close()));
    await this.#replica?.engine.close();
    await this.#engine.close();
  }
}

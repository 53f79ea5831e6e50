/**
 * The reading side: a worker's store.
 *
 * @module
 */

import type { ResizeCachesOptions } from "../caches/cache_sizes.ts";
import type { DefinedChangeCache } from "../caches/change_definition.ts";
import type { Changes } from "../caches/changes.ts";
import type { ReadEngine } from "../database/engine.ts";
import { readHorizon } from "../log/horizon.ts";
import type {
  WaitOutcome,
  WaitReached,
} from "../replication/reader_position.ts";
import {
  RETRY_OPTIONS,
  type StreamHandler,
} from "../replication/stream_subscription.ts";
import {
  type WaitForOptions,
  waitForPosition,
} from "../replication/wait_for.ts";
import { requireKeepAlive } from "../replication/keep_alive.ts";
import { requireBounds } from "../runtime/bounds.ts";
import type { Clock } from "../runtime/clock.ts";
import { environmentOf } from "../runtime/environment.ts";
import type { JsonValue } from "../runtime/json.ts";
import {
  CALL_TIMEOUT_MS,
  CONNECT_TIMEOUT_MS,
  FIRST_LOOK_TIMEOUT_MS,
} from "../runtime/limits.ts";
import { withSafeLogger } from "../runtime/logger.ts";
import { requireNames } from "../runtime/option_names.ts";
import { soon } from "../runtime/waiting.ts";
import {
  changesOf,
  type Declarations,
  declare,
} from "../store/declarations.ts";
import type { StreamRegistry } from "../streams/stream_registry.ts";
import type { Stream } from "../streams/stream.ts";
import type { Unobserve } from "../telemetry/instruments.ts";
import { observeReader } from "../telemetry/reader_metrics.ts";
import type { Position, WaitTarget } from "../tokens/position.ts";
import { type Token, TOKEN_ZERO } from "../tokens/token.ts";
import { openWhenThere, untilLive } from "./open_when_there.ts";
import { requireSources } from "./links.ts";
import { requireReplica } from "./replica.ts";
import { SlavedCaches } from "./slaved_caches.ts";
import { SLAVED_OPTIONS, type SlavedStoreOptions } from "./slaved_options.ts";
import {
  assembleSlaved,
  closeSlaved,
  type SlavedParts,
  type Watch,
  watchDatabase,
} from "./slaved_parts.ts";
import { readStats, type SlavedStats } from "./slaved_stats.ts";
import {
  type SlavedSubscribeOptions,
  SUBSCRIBE_OPTIONS,
  type Unsubscribe,
} from "./subscribing.ts";
import type { CallOptions, CallResult } from "./writer_calls.ts";

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
export class SlavedStore<Database> extends SlavedCaches<Database> {
  readonly #clock: Clock;
  readonly #engine: ReadEngine<Database>;
  readonly #streams: StreamRegistry;
  readonly #parts: SlavedParts<Database>;
  readonly #unobserve: Unobserve;
  #watch: Watch | undefined;
  #closing: Promise<void> | undefined;

  private constructor(
    options: SlavedStoreOptions,
    engine: ReadEngine<Database>,
    declared: Declarations,
  ) {
    const parts = assembleSlaved(options, engine, declared);
    const { clock } = environmentOf(options);
    super({
      session: engine.session,
      horizon: () => readHorizon(engine.session, { clock }),
    }, { options, engine, parts });
    this.#clock = clock;
    this.#engine = engine;
    this.#streams = declared.streams;
    this.#parts = parts;
    this.#unobserve = observeReader({
      name: options.name ?? "slaved",
      counts: () => this.stats,
      position: () => parts.position.current,
      caches: () => this.caches(),
      audit: () => this.auditStats,
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
    requireNames("connect a slaved store", SLAVED_OPTIONS, options);
    options = withSafeLogger(options);
    const { connectTimeoutMs = CONNECT_TIMEOUT_MS, signal } = options;
    requireBounds("connect a slaved store", options);
    requireKeepAlive("connect a slaved store", options);
    requireReplica(options);
    requireSources(options);
    signal?.throwIfAborted();
    const parts = declare(options);
    const { clock } = environmentOf(options);
    const deadlineMs = clock.monotonicMs() + connectTimeoutMs;
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
    return this.#parts.position.current;
  }

  /**
   * The token up to which everything of every instance is contained, as far as
   * is known. It never moves back, but for a log that was rewound.
   */
  get linearPosition(): Token {
    return this.#watch?.watcher.linear ?? TOKEN_ZERO;
  }

  /** What it has done so far. */
  get stats(): SlavedStats {
    const isHearing = this.#watch?.listener?.isListening ?? true;
    return readStats(this.#parts, isHearing, this.#closing !== undefined);
  }

  /**
   * Changes how much its caches may hold, at once: what there is no room for goes.
   *
   * @param changes What changes.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for what can't be; then nothing
   *   has changed.
   */
  resizeCaches(changes: ResizeCachesOptions): void {
    this.#parts.caches.resize(changes);
  }

  /**
   * What has changed in a stream since a position: what this process has applied.
   *
   * @param definition What `defineChangeCache` gave, and the option `changeCaches`
   *   has.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` if it isn't among these.
   */
  changes<Row, Entity extends string | number>(
    definition: DefinedChangeCache<Row, Entity>,
  ): Changes<Entity> {
    const { changes, identity } = this.#parts;
    return changesOf(
      changes,
      definition,
      (since) => identity.parse(since).position,
    );
  }

  /**
   * How far it has got, as text that fits in a header, a cookie or a URL:
   * letters, digits, `-` and `_`. `waitFor` takes it in any process.
   *
   * @throws {HeadwaterError} `DATABASE_INVALID` if an older release made the log.
   */
  currentToken(): string {
    const { identity, position } = this.#parts;
    return identity.format(position.current, position.marks);
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
   *   another log; `LOG_REWOUND` for a commit or a text whose token the log has
   *   lost: the database was restored, or failed over, and what has that number
   *   now is something else; `STREAM_UNKNOWN`; `CLOSED` if the store is, or is being closed.
   * @throws The signal's reason, once it is aborted.
   */
  waitFor(target: WaitTarget, options?: WaitForOptions): Promise<WaitReached>;
  async waitFor(
    target: WaitTarget,
    options: WaitForOptions = {},
  ): Promise<WaitOutcome> {
    const parts = {
      position: this.#parts.position,
      applier: this.#parts.applier,
      streams: this.#streams,
      clock: this.#clock,
    };
    const wanted = this.#parts.identity.parse(target);
    const outcome = await waitForPosition(parts, wanted, options);
    this.#parts.caches.dropStale();
    return outcome;
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
   * @param options What to do when it fails; for streams with `durable: false`,
   *   what to do when rows are missing, for the writer started over or holds
   *   them no more. Then earlier rows of that writer are not tried again.
   * @returns Ends the subscription.
   * @throws {HeadwaterError} `STREAM_UNKNOWN`; `INVALID_ARGUMENT` for an option
   *   that can't be; `CLOSED`.
   */
  subscribe<Row>(
    stream: Stream<Row> | string,
    handler: StreamHandler<Row>,
    options: SlavedSubscribeOptions<Row> = {},
  ): Unsubscribe {
    const name = typeof stream === "string" ? stream : stream.name;
    this.#parts.voice.life.require(`subscribe to ${name}`);
    this.#streams.get(name);
    requireNames(`subscribe to ${name}`, SUBSCRIBE_OPTIONS, options);
    const { retry = {} } = options;
    requireNames(`retry handlers of ${name}`, RETRY_OPTIONS, retry);
    requireBounds(`subscribe to ${name}`, retry);
    const { ephemeral, applier } = this.#parts;
    return (ephemeral.has(name) ? ephemeral : applier).addHandler(
      name,
      handler as StreamHandler,
      options as SlavedSubscribeOptions,
    );
  }

  /**
   * Has a writer run what it exposes under a name, in a transaction. The request
   * is sent again when the connection or the writer is lost, and executed once.
   * Then this process has applied what it changed, unless told not to wait.
   *
   * @param name The name that the writer exposes.
   * @param args What its schema describes; JSON.
   * @param options How long; whom; whether to wait.
   * @returns The result, and where it stands in the log.
   * @throws {HeadwaterError} What the handler threw, with its code, if it was one
   *   of these, or `CALL_REFUSED` with the message of another; `CALL_UNKNOWN` or
   *   `INVALID_ARGUMENT` for a name or arguments that can't be; `UNAUTHORIZED`;
   *   `CALL_TIMEOUT` if nobody answered: it may have been executed; `CALL_FAILED`
   *   for an answer that is none; `CLOSED`.
   * @throws {VersionConflictError} `VERSION_CONFLICT`, if the handler met one.
   * @throws {WaitTimeoutError} `WAIT_TIMEOUT` if it was executed, and not applied
   *   here in time.
   * @throws The signal's reason, once it is aborted.
   */
  async call<Result = JsonValue>(
    name: string,
    args: unknown,
    options: CallOptions = {},
  ): Promise<CallResult<Result>> {
    const { signal, timeoutMs = CALL_TIMEOUT_MS, wait = true } = options;
    const deadlineMs = this.#clock.monotonicMs() + timeoutMs;
    const reply = await this.#parts.calls.call(name, args, options);
    if (wait) {
      const leftMs = Math.max(0, deadlineMs - this.#clock.monotonicMs());
      await this.waitFor(reply, { signal, timeoutMs: leftMs });
    }
    return { ...reply, result: reply.result as Result };
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
    const { links, identity } = this.#parts;
    // Writers compare it; whoever can't read it now is asked for none.
    await identity.read().catch(() => {});
    for (const { client } of links) client.open();
    for (const link of links) await untilLive(link, options, deadlineMs);
    this.#watch = await watchDatabase(
      options,
      this.#engine,
      this.#parts,
      deadlineMs,
    );
    // From its first look on, it hears of instances that it isn't connected to.
    // A commit that hangs on the server must not hold it up for long.
    const looked = this.#watch?.watcher.look() ?? Promise.resolve();
    await soon(looked, this.#clock, FIRST_LOOK_TIMEOUT_MS);
  }

  async #close(): Promise<void> {
    this.#parts.voice.life.end();
    this.#unobserve();
    await this.endAudit();
    await closeSlaved(this.#parts, this.#watch);
    this.#parts.caches.close();
    await this.#engine.close();
  }
}

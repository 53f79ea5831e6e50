/**
 * The writing side: the main process's store.
 *
 * @module
 */

import type { z } from "zod";
import type { CacheRegistry } from "../caches/cache_registry.ts";
import type { ResizeCachesOptions } from "../caches/cache_sizes.ts";
import type { DefinedChangeCache } from "../caches/change_definition.ts";
import type { Changes } from "../caches/changes.ts";
import type { Engine } from "../database/engine.ts";
import { readHorizon } from "../log/horizon.ts";
import type { Lease } from "../log/lease.ts";
import type { WaitReached } from "../replication/reader_position.ts";
import type { WaitForOptions } from "../replication/wait_for.ts";
import { environmentOf } from "../runtime/environment.ts";
import { withSafeLogger } from "../runtime/logger.ts";
import type { Projection } from "../projections/projection.ts";
import { requireNames } from "../runtime/option_names.ts";
import type { StreamRegistry } from "../streams/stream_registry.ts";
import type { Stream } from "../streams/stream.ts";
import {
  changesOf,
  type Declarations,
  declare,
} from "../store/declarations.ts";
import type { Store, StoreClass } from "../store/store.ts";
import type { Commit, Position, WaitTarget } from "../tokens/position.ts";
import type { Token } from "../tokens/token.ts";
import type { ThreadPort } from "../transport/transport.ts";
import {
  READ_ROWS_OPTIONS,
  type ReadRowsOptions,
  readStreamRows,
  type RowPage,
} from "./read_rows.ts";
import type { CallHandler } from "./exposed_calls.ts";
import { openNamed, requireOptions, requireRetained } from "./open_writer.ts";
import { marksOf, requireReached } from "./own_wait.ts";
import {
  RUN_OPTIONS,
  type TransactionRunOptions,
  type Work,
} from "./transaction_runner.ts";
import { WriterCaches } from "./writer_caches.ts";
import {
  assembleWriter,
  closeWriter,
  type WriterParts,
} from "./writer_parts.ts";
import type { WriterStoreOptions } from "./writer_options.ts";
import type { WriterStats } from "./writer_stats.ts";

/**
 * Writes, and tells every reader of it.
 *
 * Promise 1, recorded together: data and log rows are written in one database
 * transaction; readers are told after its commit. Should the process die
 * between the two, the rows are in the log, and readers fetch them when they
 * come back. Test: `tests/promises/01_recorded_together.test.ts`.
 *
 * @example Usage
 * ```ts
 * import { equal } from "node:assert/strict";
 * import { WriterStore } from "headwater";
 *
 * interface Database {
 *   users: { id: string; name: string };
 * }
 *
 * await using writer = await WriterStore.open<Database>({ database: "sqlite::memory:" });
 * const commit = await writer.transaction("create_users", async (txn) => {
 *   await txn.db.schema.createTable("users").addColumn("id", "text")
 *     .addColumn("name", "text").execute();
 * });
 * equal(commit.token, 1);
 * ```
 */
export class WriterStore<Database> extends WriterCaches {
  readonly #engine: Engine<Database>;
  readonly #lease: Lease;
  readonly #parts: WriterParts<Database>;
  readonly #streams: StreamRegistry;
  readonly #caches: CacheRegistry;
  #closing: Promise<void> | undefined;

  private constructor(
    options: WriterStoreOptions,
    engine: Engine<Database>,
    lease: Lease,
    declared: Declarations,
  ) {
    const parts = assembleWriter({ options, engine, lease, declared });
    const { clock } = environmentOf(options);
    super({
      session: engine.session,
      horizon: () => readHorizon(engine.session, { clock }),
      writeSnapshot: parts.writeSnapshot,
    }, { ...parts, caches: declared.caches });
    this.#engine = engine;
    this.#lease = lease;
    this.#parts = parts;
    this.#streams = declared.streams;
    this.#caches = declared.caches;
  }

  /**
   * Opens a database for writing, creates or upgrades the library's tables,
   * takes the instance's name, and listens for readers.
   *
   * @param options Which database, and where readers connect.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for an option that can't be;
   *   `DATABASE_UNAVAILABLE`, `DATABASE_READ_ONLY`, `DATABASE_INVALID`,
   *   `DATABASE_BUSY` or `SCHEMA_TOO_NEW` for a database that can't be used;
   *   `INSTANCE_HELD` if another process writes under that name;
   *   `LISTEN_FAILED` if the address is in use.
   */
  static async open<Database>(
    options: WriterStoreOptions,
  ): Promise<WriterStore<Database>> {
    requireOptions(options);
    options = withSafeLogger(options);
    const declared = declare(options);
    requireRetained(options, declared.streams.durableNames);
    const { groupNames } = declared.caches;
    const { engine, lease } = await openNamed<Database>(options, groupNames);
    let store: WriterStore<Database> | undefined;
    try {
      store = new WriterStore<Database>(options, engine, lease, declared);
      await store.#parts.identity.read();
      await store.#parts.readChanges();
      await store.#parts.listeners.open();
      await store.#parts.endpoint.listen();
      return store;
    } catch (error) {
      await store?.close();
      await engine.close();
      throw error;
    }
  }

  /** The name that this process writes under. */
  get instance(): string {
    return this.#lease.instance;
  }

  /** Where readers connect, with the port that was chosen; `undefined` if nowhere. */
  get url(): string | undefined {
    return this.urls[0];
  }

  /** Everywhere that readers connect, in the order of `listen`. */
  get urls(): readonly string[] {
    return this.#parts.listeners.urls;
  }

  /** Where requests are taken, with the port that was chosen; `undefined` if nowhere. */
  get httpUrl(): string | undefined {
    return this.#parts.endpoint.url;
  }

  /** How far this instance has written. */
  get position(): Position {
    return new Map([[this.#lease.instance, this.#parts.recorder.position]]);
  }

  /** What it has done so far. */
  get stats(): WriterStats {
    return {
      ...this.#parts.voice.streamer.stats,
      ...this.#parts.runner.stats,
    };
  }

  /**
   * Changes how much the caches may hold, at once; what there is no room for goes.
   * @throws {HeadwaterError} `INVALID_ARGUMENT`; then nothing has changed.
   */
  resizeCaches(changes: ResizeCachesOptions): void {
    this.#caches.resize(changes);
  }

  /**
   * What has changed in a stream since a position: what this process has written;
   * it is not told what other instances write.
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
   * Makes a store of reads on this database. Its caches hear of this writer's
   * writes; where other instances write too, read through a `SlavedStore`.
   *
   * @param storeClass A subclass of `Store`.
   */
  attach<S extends Store<Database>>(storeClass: StoreClass<Database, S>): S {
    return new storeClass({ db: this.#engine.db, caches: this.#caches });
  }

  /**
   * Runs a function in a transaction; commits if it resolves, rolls back if it
   * rejects. On SQLite transactions run one at a time, in the order of the
   * calls; on PostgreSQL beside each other, as many as there are connections.
   *
   * By the time it returns, the transaction is durable, this process's caches
   * are right, and readers are being told.
   *
   * @param name What it does, for errors and logs: `rename_user`.
   * @param work Writes through `txn`, and does nothing else: it may be run
   *   again, if the database gave the first run up. It must not open another
   *   transaction.
   * @param options How it is run.
   * @returns The commit. One that changed nothing gets no token of its own:
   *   its token is the last one.
   * @throws Whatever `work` rejects with; then data and log are as before.
   * @throws {HeadwaterError} `DATABASE_BUSY` after too long a wait, `DATABASE_FULL`,
   *   `DATABASE_UNAVAILABLE`, `LEASE_LOST`, `LOG_REWOUND`, `CLOSED`,
   *   `INVALID_ARGUMENT`; `TRANSACTION_ENDED` if an append was not awaited;
   *   `COMMIT_UNKNOWN` if the server could not be asked what became of it, or if
   *   SQLite has it and the disk refused it: nothing more is written then, until
   *   the store is opened again.
   */
  transaction<Result>(
    name: string,
    work: Work<Database, Result>,
    options: TransactionRunOptions = {},
  ): Promise<Commit<Result>> {
    const action = `run "${name}"`;
    try {
      this.#parts.voice.life.require(action);
      requireNames(action, RUN_OPTIONS, options);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#parts.transactions.run(name, work, options);
  }

  /**
   * Tells readers rows of a stream that is in no log. They are held in memory
   * for a while, for readers that were away, and are gone with this process.
   *
   * @param stream The stream, declared with `durable: false`; or its name.
   * @param rows What the stream's schema describes; at least one.
   * @returns The rows' token, of the stream's own: 1 is the first since the start.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for a durable stream; `ROW_INVALID`,
   *   `STREAM_UNKNOWN`, `ROW_TOO_LONG`, `TRANSACTION_TOO_LARGE` or `CLOSED`.
   */
  publish<Row>(stream: Stream<Row> | string, rows: readonly Row[]): Token {
    this.#parts.voice.life.require("publish");
    return this.#parts.publisher.publish(stream, rows);
  }

  /**
   * Lets workers have something done: `slaved.call(name, args)` runs the handler
   * here, in a transaction, once, however often the request is repeated.
   *
   * @param name A letter or `_`, then up to 63 letters, digits, `_`, `.` or `-`.
   * @param schema What the arguments are.
   * @param handler Executes a call.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for a name that can't be, or is
   *   taken; `CLOSED`.
   */
  expose<Args>(
    name: string,
    schema: z.ZodType<Args>,
    handler: CallHandler<Database, Args>,
  ): void {
    this.#parts.voice.life.require(`expose "${name}"`);
    this.#parts.calls.expose(name, schema, handler);
  }

  /**
   * Answers a request to the replication endpoint: for those who have a server
   * already and give it the paths `/_synapse/replication` and `/_headwater`. The
   * secret, if there is one, is asked for here.
   */
  fetch(request: Request): Promise<Response> {
    return this.#parts.endpoint.fetch(request);
  }

  /**
   * Writes a projection inline from now on: its tables change in the
   * transaction that appends, and if it fails, the append fails. The first who
   * asks for it has its tables made of the events that are there.
   *
   * Every process that appends must ask for it before it appends for the first
   * time: what another appends without is not in the tables. In this process
   * nothing is missed: transactions that run are waited for, and those that
   * come meanwhile wait. So don't call it within a transaction's function.
   *
   * @param projection What `defineProjection` gave.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` if a projection of that name
   *   catches up, or has another version; `EVENTS_DELETED`; `DATABASE_BUSY` if
   *   transactions run for longer than `queueTimeoutMs`; `CLOSED`.
   */
  async project(projection: Projection<Database>): Promise<void> {
    this.#parts.voice.life.require("project");
    await this.#parts.project(projection);
  }

  /**
   * How far this instance has written, as text that fits in a header, a cookie
   * or a URL; `waitFor` takes it in any process.
   */
  currentToken(): string {
    return this.#parts.identity.format(this.position, marksOf(this.#lease));
  }

  /**
   * Says that this process's reads contain a write: at once for its own.
   *
   * @param target A commit, a position, or the text that `currentToken()` gave.
   * @param options As of a slaved store; there is no handler to wait for.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for another instance's, which
   *   this process is not told of; `LOG_REWOUND` for one never given, or lost;
   *   `POSITION_INVALID`, `POSITION_FOREIGN`, `STREAM_UNKNOWN`, `CLOSED`.
   */
  async waitFor(
    target: WaitTarget,
    options: WaitForOptions = {},
  ): Promise<WaitReached> {
    this.#parts.voice.life.require("wait");
    const reached = requireReached(
      {
        instance: this.instance,
        position: this.position,
        lastTaken: this.#parts.recorder.lastTaken,
        holders: this.#lease.holders,
        streams: this.#streams,
      },
      this.#parts.identity.parse(target),
      options,
    );
    this.#caches.dropStale();
    return await Promise.resolve(reached);
  }

  /**
   * Reads rows of a stream back from the log, ascending, whole tokens.
   *
   * @param stream The stream, or its name.
   * @param options Which, and how many.
   * @throws {HeadwaterError} `STREAM_UNKNOWN`, `INVALID_ARGUMENT`; `ROWS_DELETED` where retention
   *   has deleted rows after the token that `after` gives.
   */
  async readRows<Row>(
    stream: Stream<Row> | string,
    options: ReadRowsOptions = {},
  ): Promise<RowPage<Row>> {
    const name = typeof stream === "string" ? stream : stream.name;
    this.#streams.requireDurable(name);
    requireNames("read rows", READ_ROWS_OPTIONS, options);
    return await readStreamRows<Row>(this.#engine.session, {
      ...options,
      instance: this.#lease.instance,
      stream: name,
      last: this.#parts.recorder.position,
    });
  }

  /**
   * Serves a thread that was started later: its end of the channel is what its
   * `SlavedStore` replicates over.
   *
   * @param port This end of a `MessageChannel`.
   * @throws {HeadwaterError} `LISTEN_FAILED` if it is served already; `CLOSED`.
   */
  async serve(port: ThreadPort): Promise<void> {
    await this.#parts.listeners.listen(port);
  }

  /** Says good-bye to readers, gives the instance's name free, and closes the database. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Closes it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await closeWriter(this.#parts, this.#caches);
    await this.#engine.close();
  }
}

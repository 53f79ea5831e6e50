/**
 * The caches of a slaved store, as its users see them.
 *
 * @module
 */

import { CACHES, type CachesOwner } from "../caches/cached.ts";
import type { CacheRegistry } from "../caches/cache_registry.ts";
import type { CachedMethod, NamingArguments } from "../caches/cached_method.ts";
import type { CacheStats } from "../caches/cache_stats.ts";
import type { KeyArgument } from "../caches/key_parts.ts";
import type { ReadEngine } from "../database/engine.ts";
import type { EventReadsOptions } from "../events/event_reads.ts";
import type { KeyTrace } from "../replication/key_trace.ts";
import { requireBounds } from "../runtime/bounds.ts";
import { environmentOf } from "../runtime/environment.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import { silentLogger } from "../runtime/logger.ts";
import { requireNames } from "../runtime/option_names.ts";
import type { Store, StoreClass } from "../store/store.ts";
import {
  type Audit,
  AUDIT_OPTIONS,
  type AuditOptions,
  type AuditStats,
} from "./audit_options.ts";
import { Auditor } from "./auditor.ts";
import { Reloader } from "./reloader.ts";
import { SlavedCommands } from "./slaved_commands.ts";
import type { SlavedStoreOptions } from "./slaved_options.ts";
import type { SlavedParts } from "./slaved_parts.ts";

/** What its caches belong to. */
export interface SlavedCachesParts<Database> {
  readonly options: SlavedStoreOptions;
  readonly engine: ReadEngine<Database>;
  readonly parts: SlavedParts<Database>;
}

/** Attached stores, and what can be said of their caches. */
export class SlavedCaches<Database> extends SlavedCommands
  implements CachesOwner {
  readonly #of: SlavedCachesParts<Database>;
  readonly #attached = new Map<object, StoreClass<Database, Store<Database>>>();
  #audit: Auditor | undefined;

  /** Constructs the part of a slaved store that has caches. */
  constructor(reads: EventReadsOptions, of: SlavedCachesParts<Database>) {
    super(reads, of.parts.voice);
    this.#of = of;
  }

  /**
   * The registry that its caches belong to.
   *
   * @internal
   */
  get [CACHES](): CacheRegistry {
    return this.#of.parts.caches;
  }

  /**
   * What its caches have done so far: those of attached stores, those that were
   * made with it as their `store`, and its change caches.
   */
  caches(): CacheStats[] {
    return this.#of.parts.caches.cacheStats();
  }

  /**
   * Makes a store of reads on this database.
   *
   * @param storeClass A subclass of `Store`.
   */
  attach<S extends Store<Database>>(storeClass: StoreClass<Database, S>): S {
    const { caches } = this.#of.parts;
    const store = new storeClass({ db: this.#db, caches });
    this.#attached.set(store, storeClass);
    return store;
  }

  /**
   * What is known of an entry of a cache: whether it is there, when it was loaded
   * and what had been reached by then, and what has invalidated it last, when, by
   * which row of which token. As a text (`String(trace)`) it is one line.
   *
   * Nothing of it is kept on the way of a hit; of loads and invalidations the last
   * ones are remembered, as `maxJournalTransactions`, `maxJournalBytes` and
   * `maxJournalLoads` have it. To search them takes up to some 100 ms.
   *
   * @param method The method, of an attached store or of its class; or its cache's name.
   * @param key The arguments of the entry, as `txn.invalidate` takes them.
   * @throws {HeadwaterError} `NOT_CACHED` if it has no cache, `KEY_INVALID` for what
   *   can't be a key; `INVALID_ARGUMENT` for a cache that no attached store has.
   */
  why<Args extends readonly unknown[]>(
    method: CachedMethod<Args>,
    key: Readonly<NamingArguments<Args>>,
  ): KeyTrace;
  /** {@linkcode why}, by the name of a cache. */
  why(cache: string, key: readonly KeyArgument[]): KeyTrace;
  why(cache: CachedMethod | string, key: readonly KeyArgument[]): KeyTrace {
    return this.#of.parts.tracer.why(cache, key);
  }

  /**
   * Begins to compare what is cached with the database, in the background: some
   * entries are read anew, and one that differs, and is still there once this
   * process has reached what was read, is reported to the logger (`error`), to
   * the channel `headwater:audit-difference` and to `onDifference`. There is none
   * unless a writer forgot to invalidate it, a caller has changed a value that
   * all share, or Headwater has a bug.
   *
   * A cache whose keys `keyOf` makes is left out: its arguments can't be known.
   * Of arguments that don't belong to the key the method is given `undefined`.
   *
   * @param options How much, and which.
   * @returns The audit: its counts, and how to end it. It ends with the store.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for an option that can't be, or if
   *   one is going on already; `NOT_CACHED`; `CLOSED`.
   */
  audit(options: AuditOptions = {}): Audit {
    requireNames("audit", AUDIT_OPTIONS, options);
    requireBounds("audit", options);
    this.#of.parts.voice.life.require("audit");
    if (this.#audit?.isClosed === false) {
      throw new HeadwaterError(
        "INVALID_ARGUMENT",
        "Cannot audit: an audit is going on already; close it first",
      );
    }
    const { options: given, engine, parts } = this.#of;
    const { caches, tracer, position } = parts;
    const reloader = new Reloader(this.#db, caches, this.#attached);
    this.#audit = new Auditor({
      caches,
      tracer,
      position,
      session: engine.session,
      loaderOf: (cache) => reloader.loaderOf(cache),
      ...environmentOf(given),
      logger: given.logger ?? silentLogger,
    }, options);
    return this.#audit;
  }

  /** What the last audit has done; `undefined` if there was none. */
  protected get auditStats(): AuditStats | undefined {
    return this.#audit?.stats;
  }

  /** Ends the audit that is going on; there is no other. */
  protected async endAudit(): Promise<void> {
    await this.#audit?.close();
  }

  get #db(): ReadEngine<Database>["db"] {
    const { engine, parts } = this.#of;
    return (parts.replica?.engine ?? engine).db;
  }
}

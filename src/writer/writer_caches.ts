/**
 * The caches of a writer store, as its users see them.
 *
 * @module
 */

import { CACHES, type CachesOwner } from "../caches/cached.ts";
import type { CacheRegistry } from "../caches/cache_registry.ts";
import type { CacheStats } from "../caches/cache_stats.ts";
import type { CachedMethod, NamingArguments } from "../caches/cached_method.ts";
import type { KeyArgument } from "../caches/key_parts.ts";
import type { EventReadsOptions } from "../events/event_reads.ts";
import type { KeyTrace, Tracer } from "../replication/key_trace.ts";
import { WriterCommands, type WriterVoice } from "./writer_commands.ts";

/** What a writer store's caches are made of. */
export interface WriterCachesParts {
  readonly voice: WriterVoice;
  readonly tracer: Tracer;
  readonly caches: CacheRegistry;
}

/** What can be said of the caches of attached stores. */
export class WriterCaches extends WriterCommands implements CachesOwner {
  readonly #parts: WriterCachesParts;

  /** Constructs the part of a writer store that has caches. */
  constructor(reads: EventReadsOptions, parts: WriterCachesParts) {
    super(reads, parts.voice);
    this.#parts = parts;
  }

  /**
   * The registry that its caches belong to.
   *
   * @internal
   */
  get [CACHES](): CacheRegistry {
    return this.#parts.caches;
  }

  /**
   * What its caches have done so far: those of attached stores, those that were
   * made with it as their `store`, and its change caches.
   */
  caches(): CacheStats[] {
    return this.#parts.caches.cacheStats();
  }

  /**
   * What is known of an entry of a cache: whether it is there, when it was loaded
   * and what had been written by then, and which of this instance's transactions
   * has invalidated it last. As a text (`String(trace)`) it is one line.
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
    return this.#parts.tracer.why(cache, key);
  }
}

/**
 * What is known of one entry of a cache.
 *
 * @module
 */

import type { CacheRegistry } from "../caches/cache_registry.ts";
import { cacheBindingOf, type CachedMethod } from "../caches/cached_method.ts";
import { checkKey, type KeyArgument, toWireKey } from "../caches/key_parts.ts";
import { peekEntry } from "../caches/entry_parts.ts";
import type { KeyedCache } from "../caches/keyed_cache.ts";
import { LoadLog, type LoadRecord } from "../caches/load_log.ts";
import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError, quote } from "../runtime/errors.ts";
import { MAX_JOURNAL_LOADS } from "../runtime/limits.ts";
import type { KeyPart } from "../streams/builtin_streams.ts";
import type { Position } from "../tokens/position.ts";
import {
  InvalidationJournal,
  type JournalOptions,
} from "./invalidation_journal.ts";
import type { InvalidationTrace } from "./row_search.ts";

/** What is known of one entry of a cache: as text, a line for people. */
export class KeyTrace {
  /** The cache's name. */
  readonly cache: string;
  /** The entry's key, as it is on the wire. */
  readonly key: readonly KeyPart[];
  /** Whether there is an entry now, be it one that is still loading. */
  readonly isCached: boolean;
  /** Its last load; `undefined` if there was none, or too many others have followed. */
  readonly loaded: LoadRecord | undefined;
  /** Its last invalidation, whether or not it was there; `undefined` if there was none. */
  readonly invalidated: InvalidationTrace | undefined;
  /** Since when every invalidation is remembered, in ms since 1970. */
  readonly sinceMs: number;

  /** Made by `why`. */
  constructor(known: Omit<KeyTrace, "toString">) {
    this.cache = known.cache;
    this.key = known.key;
    this.isCached = known.isCached;
    this.loaded = known.loaded;
    this.invalidated = known.invalidated;
    this.sinceMs = known.sinceMs;
  }

  /** All of it, in one line. */
  toString(): string {
    const { cache, key, isCached, loaded, invalidated, sinceMs } = this;
    return [
      `${cache}${JSON.stringify(key)}: ${isCached ? "cached" : "not cached"}`,
      loaded === undefined
        ? "its load is not remembered"
        : `loaded ${timeOf(loaded.atMs)} at ${showPosition(loaded.position)}`,
      invalidated === undefined
        ? `not invalidated since ${timeOf(sinceMs)}`
        : showInvalidation(invalidated),
    ].join("; ");
  }
}

function showInvalidation(trace: InvalidationTrace): string {
  const { by, atMs, instance, token, after, row, via, reason } = trace;
  const ways = via.map(([name, key]) => `${name}${JSON.stringify(key)}`);
  const source = token === undefined
    ? instance
    : after === undefined
    ? `token ${token} of ${instance}`
    : `a catch-up to token ${token} of ${instance} (after ${after})`;
  return [
    `last invalidated ${timeOf(atMs)} by ${WORDS[by]}`,
    ...(ways.length > 0 ? [`by way of ${ways.join(", ")}`] : []),
    ...(source === undefined ? [] : [`in ${source}`]),
    ...(row === undefined ? [] : [`row ${JSON.stringify(row)}`]),
    ...(reason === undefined ? [] : [reason]),
  ].join(", ");
}

const WORDS: Readonly<Record<InvalidationTrace["by"], string>> = {
  key: "its key",
  prefix: "the beginning of its key",
  group: "a cache group",
  dependent: "what it depends on",
  cache: "its whole cache",
  flush: "clearing every cache",
};

function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}

function showPosition(position: Position): string {
  const places = Array.from(position, ([name, token]) => `${name} ${token}`);
  return places.join(", ") || "no position";
}

/** What a {@linkcode Tracer} works with. */
export interface TracerOptions extends JournalOptions {
  readonly clock: Clock;
}

/** Knows what has become of the entries of a process's caches. */
export class Tracer {
  /** Takes in invalidations. */
  readonly journal: InvalidationJournal;
  readonly #caches: CacheRegistry;
  readonly #loads: LoadLog;

  /**
   * Constructs one that takes in what happens to some caches from now on.
   *
   * @param position How far the process has got.
   */
  constructor(
    caches: CacheRegistry,
    position: () => Position,
    { clock, ...bounds }: TracerOptions,
  ) {
    const { maxJournalLoads: maxLoads = MAX_JOURNAL_LOADS } = bounds;
    this.#caches = caches;
    this.journal = new InvalidationJournal(caches, clock, bounds);
    this.#loads = new LoadLog({ clock, position, maxLoads });
    caches.loads = this.#loads;
    caches.flushed = (cause) => this.journal.flushed(cause);
  }

  /**
   * What is known of an entry.
   *
   * @param method A cached method, or a cache's name.
   * @param args The entry's arguments.
   * @throws {HeadwaterError} `NOT_CACHED`, `KEY_INVALID`; `INVALID_ARGUMENT` if
   *   no store that is attached has the cache.
   */
  why(method: CachedMethod | string, args: readonly KeyArgument[]): KeyTrace {
    const { name, cache, keyOf } = typeof method === "string"
      ? { name: method }
      : cacheBindingOf(method, "tell what became of an entry of");
    const caches = cache === undefined ? this.#caches.named(name) : [cache];
    if (caches.length === 0) {
      throw new HeadwaterError(
        "INVALID_ARGUMENT",
        `Cannot tell what became of an entry of cache ${
          quote(name)
        }: no attached store has it`,
      );
    }
    const key = keyOf === undefined ? args : keyOf(...args);
    checkKey(name, key);
    return this.whyOf(caches, key);
  }

  /** What is known of an entry of caches of one name. */
  whyOf(
    caches: readonly KeyedCache[],
    parts: readonly KeyArgument[],
  ): KeyTrace {
    const name = caches[0]?.name ?? "";
    const key = toWireKey(parts);
    const isTree = caches.some((cache) => cache.isTree);
    return new KeyTrace({
      cache: name,
      key,
      isCached: caches.some((cache) =>
        peekEntry(cache.entries, parts) !== undefined
      ),
      loaded: this.#loads.last(name, key),
      invalidated: this.journal.find(name, key, isTree),
      sinceMs: this.journal.sinceMs,
    });
  }
}

/**
 * The cache of one method: an LRU of promises.
 *
 * @module
 */

import { LRUCache } from "lru-cache";
import { HeadwaterError, quote } from "../runtime/errors.ts";
import type { KeyPart } from "../streams/builtin_streams.ts";
import { KeyTrie, type TrieKey } from "./key_trie.ts";

/** What a cache has done so far. */
export interface CacheStats {
  /** The cache's name on the wire. */
  readonly name: string;
  /** Entries it holds now, those still loading included. */
  readonly entries: number;
  /** Entries it may hold. */
  readonly maxEntries: number;
  /** Calls that found their entry. */
  readonly hits: number;
  /** Calls that did not, and loaded. */
  readonly misses: number;
  /** Entries that had to go for lack of room. */
  readonly evictions: number;
  /** Entries that were dropped as wrong: by key, by group, or with the whole cache. */
  readonly invalidations: number;
}

/** A single part stands for itself; `null`, longer and empty lists for their trie key. */
type EntryKey = NonNullable<KeyPart> | TrieKey;

/**
 * Keeps what a method has loaded, by the method's arguments.
 *
 * Promise 4, no stale fill: what is kept is the load's *promise*, from the
 * moment the load begins; nothing is stored when it ends. An invalidation
 * drops the promise, loaded or not, so that
 *
 * - those who called before share the load they began with;
 * - those who call after find nothing and load anew;
 * - the earlier load's end changes nothing, as nobody stores it.
 *
 * There is no moment at which a value is compared with what happened while it
 * was loaded, and so nothing to get wrong there. Test:
 * `tests/promises/04_no_stale_fill.test.ts`.
 *
 * - Cost: a hit is one `LRUCache.get` and one addition; it allocates nothing.
 * - Concurrency: synchronous throughout.
 */
export class KeyedCache {
  /** The cache's name on the wire. */
  readonly name: string;
  readonly #entries: LRUCache<EntryKey, Promise<unknown>>;
  readonly #trie = new KeyTrie();
  #hits = 0;
  #misses = 0;
  #evictions = 0;
  #invalidations = 0;

  /**
   * Constructs an empty cache.
   *
   * @param name Its name on the wire.
   * @param maxEntries How many entries it may hold.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` if that is not a positive integer.
   */
  constructor(name: string, maxEntries: number) {
    if (!Number.isSafeInteger(maxEntries) || maxEntries < 1) {
      throw new HeadwaterError(
        "INVALID_ARGUMENT",
        `Cannot create cache "${name}": maxEntries is ${maxEntries}; give a positive integer`,
      );
    }
    this.name = name;
    this.#entries = new LRUCache({
      max: maxEntries,
      dispose: (_value, key, reason) => {
        if (reason === "evict") this.#evictions += 1;
        if (reason !== "set" && isTrieKey(key)) this.#trie.drop(key);
      },
    });
  }

  /** What it has done so far. */
  get stats(): CacheStats {
    return {
      name: this.name,
      entries: this.#entries.size,
      maxEntries: this.#entries.max,
      hits: this.#hits,
      misses: this.#misses,
      evictions: this.#evictions,
      invalidations: this.#invalidations,
    };
  }

  /**
   * The entry of an argument list.
   *
   * @param parts The arguments.
   * @returns The load's promise, or `undefined`; then call {@linkcode load}.
   */
  get(parts: readonly KeyPart[]): Promise<unknown> | undefined {
    const key = this.#find(parts);
    if (key === undefined) return undefined;
    const entry = this.#entries.get(key);
    if (entry !== undefined) this.#hits += 1;
    return entry;
  }

  /**
   * Loads an entry that {@linkcode get} did not find, and keeps the load.
   *
   * @param parts The arguments.
   * @param start Begins the load.
   * @returns The load's promise. A load that fails is not kept.
   * @throws {HeadwaterError} `KEY_INVALID` if an argument can't be part of a key.
   */
  load<Value>(
    parts: readonly KeyPart[],
    start: () => Promise<Value>,
  ): Promise<Value> {
    checkKey(this.name, parts);
    this.#misses += 1;
    const loading = start();
    const kept = parts.map(flatten);
    const single = kept.length === 1 ? kept[0] : null;
    const key = single ?? this.#trie.use(kept);
    this.#entries.set(key, loading);
    loading.then(undefined, () => {
      if (this.#entries.peek(key) === loading) {
        this.#entries.delete(key);
      }
    });
    return loading;
  }

  /** Drops the entry of an argument list. */
  invalidate(parts: readonly KeyPart[]): void {
    const key = this.#find(parts);
    if (key !== undefined && this.#entries.delete(key)) {
      this.#invalidations += 1;
    }
  }

  /** {@linkcode invalidate} for a single argument, without a list to hold it. */
  invalidateOne(part: KeyPart): void {
    if (part === null) this.invalidate([part]);
    else if (this.#entries.delete(part)) this.#invalidations += 1;
  }

  /** Drops every entry. */
  clear(): void {
    this.#invalidations += this.#entries.size;
    this.#entries.clear();
  }

  #find(parts: readonly KeyPart[]): EntryKey | undefined {
    const single = parts.length === 1 ? parts[0] : null;
    return single ?? this.#trie.find(parts);
  }
}

function isTrieKey(key: EntryKey): key is TrieKey {
  return typeof key === "object" && key !== null;
}

/**
 * A text of one piece. One made by slicing or joining keeps its sources alive
 * and takes up to 2.4 times as long to look up, each time.
 */
function flatten(part: KeyPart): KeyPart {
  return typeof part === "string" ? JSON.parse(JSON.stringify(part)) : part;
}

/**
 * Refuses what can't name an entry in every process alike.
 *
 * @param name The cache's name, for the error.
 * @param parts The arguments.
 * @throws {HeadwaterError} `KEY_INVALID`.
 */
export function checkKey(name: string, parts: readonly unknown[]): void {
  if (!Array.isArray(parts)) {
    throw new HeadwaterError(
      "KEY_INVALID",
      `Cannot use ${
        quote(String(parts))
      } as a key of "${name}": give the array of its arguments`,
    );
  }
  for (const [index, part] of parts.entries()) {
    const isValid = part === null || typeof part === "string" ||
      typeof part === "boolean" || Number.isFinite(part);
    if (isValid) continue;
    const shown = typeof part === "object" ? "an object" : String(part);
    throw new HeadwaterError(
      "KEY_INVALID",
      `Cannot use argument ${
        index + 1
      } of "${name}" as a key: it is ${shown}; ` +
        "give a string, a finite number, a boolean or null",
    );
  }
}

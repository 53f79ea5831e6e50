/**
 * Which row of many it was that invalidated an entry.
 *
 * @module
 */

import type { CacheRegistry } from "../caches/cache_registry.ts";
import { type ReachedKey, reachOf } from "../caches/invalidation_reach.ts";
import type { CachesRow, KeyPart } from "../streams/builtin_streams.ts";
import type { Token } from "../tokens/token.ts";

/**
 * What named an entry: its key, the beginning of its key, a cache group, an
 * entry that it depends on, its whole cache, or everything.
 */
export type InvalidatedBy =
  | "key"
  | "prefix"
  | "group"
  | "dependent"
  | "cache"
  | "flush";

/** One invalidation of an entry. */
export interface InvalidationTrace {
  /** What named the entry. */
  readonly by: InvalidatedBy;
  /** When it was done here, in ms since 1970. */
  readonly atMs: number;
  /** Who wrote it; `undefined` for what nobody wrote. */
  readonly instance: string | undefined;
  /** Its token. Of a catch-up: the token that the step with it led to. */
  readonly token: Token | undefined;
  /** Of a catch-up: the token before its step. The row is of one between the two. */
  readonly after: Token | undefined;
  /** The row of the `caches` stream: name, key, ms on the writer's clock. */
  readonly row?: CachesRow | undefined;
  /** From the row to the entry: the group, and caches that others depend on. */
  readonly via: readonly ReachedKey[];
  /** Why, where no row says it. */
  readonly reason?: string | undefined;
}

/** An entry that is looked for. */
export interface SoughtEntry {
  readonly cache: string;
  /** Its key on the wire. */
  readonly key: readonly KeyPart[];
  readonly isTree: boolean;
}

/** What a row did to it. */
type FoundRow = Pick<InvalidationTrace, "by" | "row" | "via" | "reason">;

/** Looks through rows for the last that named an entry. */
export class RowSearch {
  readonly #caches: CacheRegistry;
  readonly #sought: SoughtEntry;
  /** Names that stand for more than themselves, or don't. */
  readonly #isWide = new Map<string, boolean>();

  /** Constructs a search. */
  constructor(caches: CacheRegistry, sought: SoughtEntry) {
    this.#caches = caches;
    this.#sought = sought;
  }

  /** The last of the rows that named the entry. */
  last(rows: readonly CachesRow[]): FoundRow | undefined {
    for (let index = rows.length - 1; index >= 0; index -= 1) {
      const found = this.#look(rows[index] as CachesRow);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #look(row: CachesRow): FoundRow | undefined {
    const [name, key] = row;
    const named = this.#names([name, key]);
    if (named !== undefined) return { by: named, row, via: [] };
    if (!this.#standsForMore(name)) return undefined;
    const reached = reachOf(this.#caches, [name, key]);
    if (reached === undefined) {
      return {
        by: "flush",
        row,
        via: [],
        reason: "what it stands for is not known",
      };
    }
    for (const { key: each, via } of reached) {
      if (this.#names(each) === undefined) continue;
      const isGroup = this.#caches.kindOf(name) === "group" && via.length === 1;
      return { by: isGroup ? "group" : "dependent", row, via };
    }
    return undefined;
  }

  /** How a cache's key names the entry, if it does. */
  #names([name, key]: ReachedKey): "key" | "prefix" | "cache" | undefined {
    const { cache, key: sought, isTree } = this.#sought;
    if (name !== cache) return undefined;
    if (key === null) return "cache";
    const isLong = key.length < sought.length;
    if (key.length > sought.length || (isLong && !isTree)) return undefined;
    if (!key.every((part, index) => part === sought[index])) return undefined;
    return isLong ? "prefix" : "key";
  }

  #standsForMore(name: string): boolean {
    let isWide = this.#isWide.get(name);
    if (isWide === undefined) {
      isWide = this.#caches.kindOf(name) === "group" ||
        this.#caches.dependentsOf(name).length > 0;
      this.#isWide.set(name, isWide);
    }
    return isWide;
  }
}

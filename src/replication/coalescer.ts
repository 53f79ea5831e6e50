/**
 * A long way's invalidations, each done once.
 *
 * @module
 */

import type { CacheRegistry } from "../caches/cache_registry.ts";
import { ROW_SEPARATOR } from "../log/log_schema.ts";
import { readCachesRow } from "../protocol/caches_row.ts";
import { invalidRow } from "./row_errors.ts";

/** What has been done at once to what a name stands for. */
interface Seen {
  /** What its rows begin with: `["name",`. */
  readonly prefix: string;
  readonly name: string;
  readonly kind: "cache" | "group" | "unknown";
  /** Its keys that were invalidated, as JSON. */
  readonly keys: Set<string>;
  /** Whether there is nothing left to invalidate. */
  isDone: boolean;
}

/** Names that are remembered at once: more than any process has caches. */
const MAX_NAMES = 10_000;
const NO_ROWS = { rows: 0, unknown: 0 };

/**
 * Takes the invalidations of one catch-up, page by page.
 *
 * What one page repeats is done once: all of it is done in one turn, so that
 * nothing is loaded in between. Nothing is left out for what a page before has
 * done. What was loaded since then was read from a database that contains the
 * end of the range, but perhaps not only from there: a method that calls another
 * is given that one's entry, which only a later page may name.
 */
export class Coalescer {
  readonly #caches: CacheRegistry;
  readonly #maxKeys: number;
  readonly #names = new Map<string, Seen>();
  #contained = { ...NO_ROWS };
  /** Whether keys were left out that a cache may have set aside, to be served. */
  #hasLeftOut = false;

  /**
   * Constructs one that has done nothing.
   *
   * @param maxKeys How many keys of one cache a page invalidates one by one.
   */
  constructor(caches: CacheRegistry, maxKeys: number) {
    this.#caches = caches;
    this.#maxKeys = maxKeys;
  }

  /**
   * Invalidates what rows of the `caches` stream say.
   *
   * @param rows The rows, joined by newlines.
   * @returns The caches that were cleared for their keys were too many.
   * @throws {HeadwaterError} `LINE_INVALID` if a row is none of the stream's.
   */
  apply(rows: string): readonly string[] {
    this.#names.clear();
    const cleared: string[] = [];
    let seen: Seen | undefined;
    let start = 0;
    while (start < rows.length) {
      let end = rows.indexOf(ROW_SEPARATOR, start);
      if (end < 0) end = rows.length;
      if (seen === undefined || !rows.startsWith(seen.prefix, start)) {
        seen = this.#find(rows, start, end);
      }
      if (seen?.isDone) {
        this.#skip(seen);
        this.#hasLeftOut ||= seen.kind === "cache" &&
          !rows.startsWith("null", start + seen.prefix.length);
      } else if (this.#take(seen, rows, start, end)) {
        cleared.push((seen as Seen).name);
      }
      start = end + 1;
    }
    this.#caches.contained(this.#contained.rows, this.#contained.unknown);
    this.#contained = { ...NO_ROWS };
    // Of what is cleared the old may be served, of what is named it may not.
    if (this.#hasLeftOut) this.#caches.dropStale();
    this.#hasLeftOut = false;
    return cleared;
  }

  /** Says whether it has cleared the cache for want of a bound on its keys. */
  #take(
    seen: Seen | undefined,
    rows: string,
    start: number,
    end: number,
  ): boolean {
    const key = seen && keyText(rows, start + seen.prefix.length, end);
    if (seen === undefined || key === undefined) {
      this.#invalidate(rows.slice(start, end));
    } else if (seen.keys.has(key)) {
      this.#skip(seen);
    } else if (seen.kind === "cache" && seen.keys.size >= this.#maxKeys) {
      this.#caches.apply(seen.name, null);
      this.#hasLeftOut = true;
      this.#finish(seen);
      return true;
    } else {
      this.#invalidate(rows.slice(start, end));
      if (seen.kind === "cache" && key === "null") this.#finish(seen);
      else {
        // A group can't be cleared: what it stands for goes by the key.
        if (seen.keys.size >= this.#maxKeys) seen.keys.clear();
        seen.keys.add(ownText(key));
      }
    }
    return false;
  }

  #finish(seen: Seen): void {
    seen.isDone = true;
    seen.keys.clear();
  }

  #skip({ kind }: Seen): void {
    this.#contained.rows += 1;
    if (kind === "unknown") this.#contained.unknown += 1;
  }

  #invalidate(row: string): void {
    if (readCachesRow(row, this.#caches)) return;
    throw invalidRow(row);
  }

  /** What a row's name stands for; `undefined` if its name has an escape. */
  #find(rows: string, start: number, end: number): Seen | undefined {
    const nameEnd = rows.indexOf('",', start + 2);
    if (!rows.startsWith('["', start) || nameEnd < 0 || nameEnd >= end) {
      return undefined;
    }
    const name = rows.slice(start + 2, nameEnd);
    const known = this.#names.get(name);
    if (known !== undefined) return known;
    if (name.includes("\\") || name.includes('"')) return undefined;
    if (this.#names.size >= MAX_NAMES) this.#names.clear();
    const own = ownText(name);
    const kind = this.#caches.kindOf(own);
    const seen = {
      prefix: `["${own}",`,
      name: own,
      kind,
      keys: new Set<string>(),
      isDone: kind === "unknown",
    };
    this.#names.set(own, seen);
    return seen;
  }
}

/**
 * A row's key as JSON; `undefined` for a row that doesn't end with a number,
 * which may be cut elsewhere.
 */
function keyText(rows: string, start: number, end: number): string | undefined {
  if (!isDigit(rows.charCodeAt(end - 2)) || rows[end - 1] !== "]") {
    return undefined;
  }
  const comma = rows.lastIndexOf(",", end - 2);
  return comma <= start ? undefined : rows.slice(start, comma);
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

/** The text alone: a slice would keep alive the page that it was cut from. */
function ownText(text: string): string {
  return JSON.parse(JSON.stringify(text));
}

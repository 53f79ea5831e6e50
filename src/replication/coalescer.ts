/**
 * A long way's invalidations, each done once.
 *
 * @module
 */

import type { CacheRegistry } from "../caches/cache_registry.ts";
import { ROW_SEPARATOR } from "../log/log_schema.ts";
import { readCachesRow } from "../protocol/caches_row.ts";
import type { InvalidatedKey } from "../protocol/command.ts";
import { readRuns } from "../protocol/invalidations.ts";
import { invalidRow } from "./row_errors.ts";

/** What has been done at once to what a name stands for. */
interface Seen {
  /** What its lines begin with: `["name",`. */
  readonly prefix: string;
  readonly name: string;
  readonly kind: "cache" | "group" | "unknown";
  /** Its keys that were invalidated, as JSON. */
  readonly keys: Set<string>;
  /** Those of runs that have one part. */
  readonly parts: Set<string | number | boolean>;
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
  #cleared: string[] = [];

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
   * Invalidates what the log's lines of the `caches` stream say.
   *
   * @param lines The lines, joined by newlines.
   * @returns The caches that were cleared for their keys were too many.
   * @throws {HeadwaterError} `LINE_INVALID` if a line is none of the stream's.
   */
  apply(lines: string): readonly string[] {
    this.#cleared = [];
    let seen: Seen | undefined;
    let start = 0;
    try {
      while (start < lines.length) {
        let end = lines.indexOf(ROW_SEPARATOR, start);
        if (end < 0) end = lines.length;
        if (seen === undefined || !lines.startsWith(seen.prefix, start)) {
          seen = this.#find(lines, start, end);
        }
        if (seen === undefined) this.#invalidate(lines.slice(start, end));
        else this.#takeLine(seen, lines, start, end);
        start = end + 1;
      }
    } finally {
      // Their keys are slices, and would keep the lines alive.
      this.#names.clear();
    }
    this.#caches.contained(this.#contained.rows, this.#contained.unknown);
    this.#contained = { ...NO_ROWS };
    // Of what is cleared the old may be served, of what is named it may not.
    if (this.#hasLeftOut) this.#caches.dropStale();
    this.#hasLeftOut = false;
    return this.#cleared;
  }

  /** Of those of one row, or of one key, nothing is made but the key. */
  #takeLine(seen: Seen, lines: string, start: number, end: number): void {
    const at = start + seen.prefix.length;
    if (!isDigit(lines.charCodeAt(at))) {
      const key = keyText(lines, at, end);
      if (key !== undefined) this.#takeRow(seen, key, lines, start, end);
      else this.#invalidate(lines.slice(start, end));
      return;
    }
    const keyStart = findOnlyKey(lines, at, end);
    if (keyStart < 0) return this.#takeRuns(lines.slice(start, end));
    if (seen.isDone) return this.#skip(seen, false);
    const key = lines.slice(keyStart, end - ONLY_KEY_END.length);
    if (key.includes("\\")) this.#takeRuns(lines.slice(start, end));
    else this.#takeKey(seen, key);
  }

  #takeRow(
    seen: Seen,
    key: string,
    lines: string,
    start: number,
    end: number,
  ): void {
    const isWhole = key === "null";
    if (seen.isDone || seen.keys.has(key)) return this.#skip(seen, isWhole);
    if (this.#isTooMany(seen)) return;
    this.#invalidate(lines.slice(start, end));
    if (seen.kind === "cache" && isWhole) this.#finish(seen);
    else seen.keys.add(key);
  }

  #takeRuns(line: string): void {
    const runs = readRuns(line);
    if (runs === undefined) throw invalidRow(line);
    for (const { name, keys } of runs) {
      const seen = this.#seenOf(name);
      for (let index = 0; index < keys.length; index += 1) {
        this.#takeKey(seen, keys[index] as InvalidatedKey);
      }
    }
  }

  #takeKey(seen: Seen, key: InvalidatedKey): void {
    if (seen.isDone) return this.#skip(seen, key === null);
    if (typeof key !== "object") {
      if (seen.parts.has(key)) return this.#skip(seen, false);
      if (this.#isTooMany(seen)) return;
      this.#caches.applyOne(seen.name, key);
      seen.parts.add(key);
      return;
    }
    const text = JSON.stringify(key);
    if (seen.keys.has(text)) return this.#skip(seen, key === null);
    if (this.#isTooMany(seen)) return;
    this.#caches.apply(seen.name, key);
    if (seen.kind === "cache" && key === null) this.#finish(seen);
    else seen.keys.add(text);
  }

  /** There is nothing left to be done for a key. */
  #skip(seen: Seen, isWhole: boolean): void {
    this.#contained.rows += 1;
    if (seen.kind === "unknown") this.#contained.unknown += 1;
    this.#hasLeftOut ||= seen.isDone && seen.kind === "cache" && !isWhole;
  }

  /** Whether its cache has been cleared, for want of a bound on its keys. */
  #isTooMany(seen: Seen): boolean {
    if (seen.keys.size + seen.parts.size < this.#maxKeys) return false;
    if (seen.kind === "cache") {
      this.#caches.apply(seen.name, null);
      this.#hasLeftOut = true;
      this.#finish(seen);
      this.#cleared.push(seen.name);
      return true;
    }
    // A group can't be cleared: what it stands for goes by the key.
    seen.keys.clear();
    seen.parts.clear();
    return false;
  }

  #finish(seen: Seen): void {
    seen.isDone = true;
    seen.keys.clear();
    seen.parts.clear();
  }

  #invalidate(line: string): void {
    if (!readCachesRow(line, this.#caches)) this.#takeRuns(line);
  }

  /** What a line's first name stands for; `undefined` if it has an escape. */
  #find(lines: string, start: number, end: number): Seen | undefined {
    const nameEnd = lines.indexOf('",', start + 2);
    if (!lines.startsWith('["', start) || nameEnd < 0 || nameEnd >= end) {
      return undefined;
    }
    const name = lines.slice(start + 2, nameEnd);
    return name.includes("\\") || name.includes('"')
      ? undefined
      : this.#seenOf(name);
  }

  #seenOf(name: string): Seen {
    const known = this.#names.get(name);
    if (known !== undefined) return known;
    if (this.#names.size >= MAX_NAMES) this.#names.clear();
    const own = ownText(name);
    const kind = this.#caches.kindOf(own);
    const seen = {
      prefix: `["${own}",`,
      name: own,
      kind,
      keys: new Set<string>(),
      parts: new Set<string | number | boolean>(),
      isDone: kind === "unknown",
    };
    this.#names.set(own, seen);
    return seen;
  }
}

/**
 * Where the key of a run begins that has one, a text: `123,["key"]]`. Any other
 * gives -1.
 */
function findOnlyKey(lines: string, start: number, end: number): number {
  const comma = lines.indexOf(",", start);
  const keyStart = comma + 3;
  const keyEnd = end - ONLY_KEY_END.length;
  const isText = lines[comma + 1] === "[" && lines[comma + 2] === '"' &&
    lines[end - 1] === "]" && lines[end - 2] === "]";
  return isText && lines.indexOf('"', keyStart) === keyEnd ? keyStart : -1;
}

/** What a run of one text ends with. */
const ONLY_KEY_END = '"]]';

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

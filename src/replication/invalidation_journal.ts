/**
 * What has invalidated a process's caches lately.
 *
 * @module
 */

import type { CacheRegistry } from "../caches/cache_registry.ts";
import type { FlushCause } from "../caches/registry_stats.ts";
import { ROW_SEPARATOR } from "../log/log_schema.ts";
import type { InvalidatedKey, InvalidationRun } from "../protocol/command.ts";
import { readRuns, toCachesRows } from "../protocol/invalidations.ts";
import type { Clock } from "../runtime/clock.ts";
import {
  MAX_JOURNAL_BYTES,
  MAX_JOURNAL_TRANSACTIONS,
} from "../runtime/limits.ts";
import type { OptionNames } from "../runtime/option_names.ts";
import type { CachesRow, KeyPart } from "../streams/builtin_streams.ts";
import type { Token } from "../tokens/token.ts";
import { type InvalidationTrace, RowSearch } from "./row_search.ts";
import {
  CACHES_STREAM,
  type LoggedTransaction,
  type StepRows,
} from "./transaction.ts";

/** How much is remembered, for those who ask why. */
export interface JournalOptions {
  /**
   * Transactions whose invalidations are remembered.
   *
   * @default {10_000}
   */
  readonly maxJournalTransactions?: number | undefined;

  /**
   * Bytes that these invalidations may take, about.
   *
   * @default {8388608}
   */
  readonly maxJournalBytes?: number | undefined;

  /**
   * Loads of caches' entries that are remembered.
   *
   * @default {10_000}
   */
  readonly maxJournalLoads?: number | undefined;
}

/** The names of {@linkcode JournalOptions}. */
export const JOURNAL_OPTIONS: OptionNames<JournalOptions> = {
  maxJournalTransactions: true,
  maxJournalBytes: true,
  maxJournalLoads: true,
};

/** What was done at one time. */
interface JournalRecord {
  /** In ms since 1970. */
  readonly atMs: number;
  readonly instance: string | undefined;
  readonly token: Token | undefined;
  /** Of a catch-up: the token before its first. */
  readonly after?: Token;
  readonly runs?: readonly InvalidationRun[];
  /** Lines as the log has them, {@linkcode ROW_SEPARATOR} between them. */
  readonly lines?: string;
  /** Caches that were cleared beyond what the rows say. */
  readonly cleared?: readonly string[];
  /** Why every cache was cleared, if that was it. */
  readonly reason?: string;
  readonly bytes: number;
}

/** What a record takes besides its keys, about. */
const RECORD_BYTES = 128;
const KEY_BYTES = 32;

/**
 * Remembers invalidations, transaction by transaction, within two bounds.
 *
 * - Cost: one push a transaction, of what its rows are by reference; nothing is
 *   expanded, copied or looked up before somebody asks.
 */
export class InvalidationJournal {
  readonly #caches: CacheRegistry;
  readonly #clock: Clock;
  readonly #maxRecords: number;
  readonly #maxBytes: number;
  /** A ring, once it is full. */
  readonly #records: (JournalRecord | undefined)[] = [];
  #first = 0;
  #next = 0;
  #bytes = 0;
  #sinceMs: number;

  /** Constructs one that remembers nothing. */
  constructor(caches: CacheRegistry, clock: Clock, options: JournalOptions) {
    this.#caches = caches;
    this.#clock = clock;
    this.#maxRecords = options.maxJournalTransactions ??
      MAX_JOURNAL_TRANSACTIONS;
    this.#maxBytes = options.maxJournalBytes ?? MAX_JOURNAL_BYTES;
    this.#sinceMs = clock.wallMs();
  }

  /** Since when everything is remembered, in ms since 1970. */
  get sinceMs(): number {
    return this.#sinceMs;
  }

  /** Takes in that a transaction's invalidations have been done. */
  applied(
    { instance, token, invalidations, records }: LoggedTransaction,
  ): void {
    const atMs = this.#clock.wallMs();
    if (invalidations !== undefined) {
      if (invalidations.length === 0) return;
      const bytes = RECORD_BYTES + sizeOfRuns(invalidations);
      this.#push({ atMs, instance, token, runs: invalidations, bytes });
      return;
    }
    for (const { stream, lines } of records) {
      if (stream !== CACHES_STREAM) continue;
      // They may be cut from a text that is longer by far: not kept alive.
      const own: string = JSON.parse(JSON.stringify(lines.join(ROW_SEPARATOR)));
      const bytes = RECORD_BYTES + own.length;
      this.#push({ atMs, instance, token, lines: own, bytes });
    }
  }

  /** Takes in that a step of a catch-up has been done. */
  steppedTo(instance: string, token: Token, rows: StepRows): void {
    const { after, joined, cleared } = rows;
    if (joined === "") return;
    const bytes = RECORD_BYTES + joined.length;
    const atMs = this.#clock.wallMs();
    this.#push({ atMs, instance, token, after, lines: joined, cleared, bytes });
  }

  /** Takes in that every cache has been cleared. */
  flushed({ reason, instance, token }: FlushCause): void {
    const atMs = this.#clock.wallMs();
    this.#push({ atMs, instance, token, reason, bytes: RECORD_BYTES });
  }

  /**
   * What has invalidated an entry last, as far as is remembered.
   *
   * @param cache The cache's name.
   * @param key The entry's key on the wire.
   * @param isTree Whether the beginning of the key names it, too.
   */
  find(
    cache: string,
    key: readonly KeyPart[],
    isTree: boolean,
  ): InvalidationTrace | undefined {
    const search = new RowSearch(this.#caches, { cache, key, isTree });
    for (let at = this.#next - 1; at >= this.#first; at -= 1) {
      const record = this.#records[at % this.#maxRecords] as JournalRecord;
      const { atMs, instance, token, after, reason } = record;
      const when = { atMs, instance, token, after };
      if (reason !== undefined) {
        return { by: "flush", via: [], reason, ...when };
      }
      if (record.cleared?.includes(cache)) {
        const reason = "so many of its keys that it was cleared";
        return { by: "cache", via: [], reason, ...when };
      }
      const found = search.last(rowsOf(record));
      if (found !== undefined) return { ...found, ...when };
    }
    return undefined;
  }

  #push(record: JournalRecord): void {
    if (this.#next - this.#first === this.#maxRecords) this.#drop();
    this.#records[this.#next % this.#maxRecords] = record;
    this.#next += 1;
    this.#bytes += record.bytes;
    while (this.#bytes > this.#maxBytes) this.#drop();
  }

  #drop(): void {
    const at = this.#first % this.#maxRecords;
    const { atMs, bytes } = this.#records[at] as JournalRecord;
    this.#records[at] = undefined;
    this.#first += 1;
    this.#bytes -= bytes;
    this.#sinceMs = atMs;
  }
}

function rowsOf({ runs, lines = "" }: JournalRecord): CachesRow[] {
  if (runs !== undefined) return toCachesRows(runs);
  return lines.split(ROW_SEPARATOR).flatMap((line): CachesRow[] => {
    if (line === "") return [];
    const runs = readRuns(line);
    return runs === undefined ? [JSON.parse(line)] : toCachesRows(runs);
  });
}

function sizeOfRuns(runs: readonly InvalidationRun[]): number {
  let bytes = 0;
  for (let index = 0; index < runs.length; index += 1) {
    const { keys } = runs[index] as InvalidationRun;
    bytes += RECORD_BYTES;
    for (let at = 0; at < keys.length; at += 1) {
      bytes += sizeOfKey(keys[at] as InvalidatedKey);
    }
  }
  return bytes;
}

function sizeOfKey(key: InvalidatedKey): number {
  if (typeof key === "string") return KEY_BYTES + key.length;
  if (typeof key !== "object" || key === null) return KEY_BYTES;
  return key.reduce<number>((sum, part) => sum + sizeOfPart(part), KEY_BYTES);
}

function sizeOfPart(part: KeyPart): number {
  return KEY_BYTES + (typeof part === "string" ? part.length : 0);
}

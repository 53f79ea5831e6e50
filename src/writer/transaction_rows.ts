/**
 * The rows that a transaction writes into the log.
 *
 * @module
 */

import { formatCachesRow } from "../protocol/caches_row.ts";
import { formatRdataPrefix } from "../protocol/codec.ts";
import type { InvalidatedKey, InvalidationRun } from "../protocol/command.ts";
import { toInvalidatedKey } from "../protocol/invalidations.ts";
import { formatCachesRows } from "../protocol/logged_rows.ts";
import { CACHES_STREAM } from "../replication/transaction.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import type { KeyPart } from "../streams/builtin_streams.ts";
import type { Token } from "../tokens/token.ts";

/** Bounds of one transaction. */
export interface TransactionLimits {
  readonly maxRows: number;
  readonly maxBytes: number;
  readonly maxLineBytes: number;
}

/** One that grows with each key of the same name. */
interface OpenRun extends InvalidationRun {
  readonly keys: InvalidatedKey[];
}

/** Promise 9, bounded: no more of them, and none longer, than the limits say. */
export class TransactionRows {
  readonly #byStream = new Map<string, string[]>();
  readonly #runs: OpenRun[] = [];
  readonly #instance: string;
  readonly #limits: TransactionLimits;
  /** The stream of the last row, its rows, and the bytes before each on the wire. */
  #lastStream = "";
  #lastRows: string[] | undefined;
  #prefixBytes = 0;
  #rowCount = 0;
  /** Bytes of the rows; of invalidations more, unless they were counted. */
  #byteCount = 0;
  /** How many of these are for invalidations. */
  #runBytes = 0;
  #isCounted = false;

  /** Constructs it without rows. */
  constructor(instance: string, limits: TransactionLimits) {
    this.#instance = instance;
    this.#limits = limits;
  }

  /** The rows, as they stand on the wire; those of `caches` are not among them. */
  get byStream(): ReadonlyMap<string, readonly string[]> {
    return this.#byStream;
  }

  /** What is invalidated, in order. */
  get invalidations(): readonly InvalidationRun[] {
    return this.#runs;
  }

  /**
   * Adds a row.
   *
   * @throws {HeadwaterError} `ROW_TOO_LONG` or `TRANSACTION_TOO_LARGE`.
   */
  add(stream: string, row: string): void {
    this.#requireRoom(stream, row, 0, 0);
    this.#keep(stream, row);
  }

  /** Adds all, or none if one of them doesn't fit. */
  addAll(stream: string, rows: readonly string[]): void {
    let bytes = 0;
    for (let index = 0; index < rows.length; index += 1) {
      const row = rows[index] as string;
      this.#requireRoom(stream, row, index, bytes);
      bytes += row.length;
    }
    for (const row of rows) this.#keep(stream, row);
  }

  /**
   * Adds an invalidation. Its row, which only old readers are sent, is made here
   * only where a limit is near.
   *
   * @throws {HeadwaterError} As {@linkcode add}.
   */
  invalidate(name: string, key: readonly KeyPart[] | null, ms: number): void {
    const { maxLineBytes, maxRows, maxBytes } = this.#limits;
    if (this.#lastStream !== CACHES_STREAM) this.#turnTo(CACHES_STREAM);
    let bytes = longestRow(name, key);
    if (
      this.#isCounted || this.#rowCount >= maxRows ||
      this.#prefixBytes + bytes > maxLineBytes ||
      this.#byteCount + bytes > maxBytes
    ) {
      const row = formatCachesRow(name, key, ms);
      this.#requireRoom(CACHES_STREAM, row, 0, 0);
      bytes = row.length;
    }
    this.#rowCount += 1;
    this.#byteCount += bytes;
    this.#runBytes += bytes;
    const kept = toInvalidatedKey(key);
    const run = this.#runs.at(-1);
    if (run?.name === name) run.keys.push(kept);
    else this.#runs.push({ name, ms, keys: [kept] });
  }

  /** From now on bytes are those of the rows, to the last one. */
  #countBytes(): void {
    if (this.#isCounted) return;
    this.#isCounted = true;
    const rows = formatCachesRows(this.#runs);
    const bytes = rows.reduce((sum, row) => sum + row.length, 0);
    this.#byteCount += bytes - this.#runBytes;
    this.#runBytes = bytes;
  }

  #keep(stream: string, row: string): void {
    this.#rowCount += 1;
    this.#byteCount += row.length;
    this.#lastRows ??= this.#rowsOf(stream);
    this.#lastRows.push(row);
  }

  #rowsOf(stream: string): string[] {
    const known = this.#byStream.get(stream);
    if (known !== undefined) return known;
    const rows: string[] = [];
    this.#byStream.set(stream, rows);
    return rows;
  }

  /** Refuses a row that doesn't fit behind those that are there, and some more. */
  #requireRoom(stream: string, row: string, rows: number, bytes: number): void {
    const limits = this.#limits;
    if (stream !== this.#lastStream) this.#turnTo(stream);
    // Rows and prefixes are ASCII: their length is their size.
    const lineBytes = this.#prefixBytes + row.length;
    if (lineBytes > limits.maxLineBytes) {
      throw new HeadwaterError(
        "ROW_TOO_LONG",
        `Cannot write row of stream "${stream}": it takes a line of ${lineBytes} ` +
          `bytes, and maxLineBytes is ${limits.maxLineBytes}; write smaller rows`,
      );
    }
    if (this.#byteCount + bytes + row.length > limits.maxBytes) {
      this.#countBytes();
    }
    if (
      this.#rowCount + rows + 1 > limits.maxRows ||
      this.#byteCount + bytes + row.length > limits.maxBytes
    ) {
      throw new HeadwaterError(
        "TRANSACTION_TOO_LARGE",
        `Cannot write more than ${limits.maxRows} rows or ${limits.maxBytes} ` +
          "bytes of rows in one transaction; split it",
      );
    }
  }

  #turnTo(stream: string): void {
    const prefix = formatRdataPrefix(stream, this.#instance, LONGEST_TOKEN);
    this.#lastStream = stream;
    this.#lastRows = undefined;
    this.#prefixBytes = prefix.length;
  }
}

const LONGEST_TOKEN = Number.MAX_SAFE_INTEGER as Token;

/** No row of an invalidation takes more: `["name",["key"],ms]`, each unit escaped. */
function longestRow(name: string, key: readonly KeyPart[] | null): number {
  let bytes = FRAME_BYTES + ESCAPE_BYTES * name.length;
  for (let index = 0; index < (key?.length ?? 0); index += 1) {
    const part = key?.[index];
    const isText = typeof part === "string";
    bytes += PART_BYTES + (isText ? ESCAPE_BYTES * part.length : 0);
  }
  return bytes;
}

/** `\u1234` */
const ESCAPE_BYTES = 6;
/** A number, at the longest, or quotes; and a comma. */
const PART_BYTES = 26;
/** Brackets, quotes and commas, and a time. */
const FRAME_BYTES = 40;

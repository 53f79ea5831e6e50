/**
 * The rows that a transaction writes into the log.
 *
 * @module
 */

import { formatRdataPrefix } from "../protocol/codec.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import type { Token } from "../tokens/token.ts";

/** Bounds of one transaction. */
export interface TransactionLimits {
  readonly maxRows: number;
  readonly maxBytes: number;
  readonly maxLineBytes: number;
}

/** Promise 9, bounded: no more of them, and none longer, than the limits say. */
export class TransactionRows {
  readonly #byStream = new Map<string, string[]>();
  readonly #instance: string;
  readonly #limits: TransactionLimits;
  /** The stream of the last row, its rows, and the bytes before each on the wire. */
  #lastStream = "";
  #lastRows: string[] | undefined;
  #prefixBytes = 0;
  #rowCount = 0;
  #byteCount = 0;

  /** Constructs it without rows. */
  constructor(instance: string, limits: TransactionLimits) {
    this.#instance = instance;
    this.#limits = limits;
  }

  /** The rows, as they stand on the wire. */
  get byStream(): ReadonlyMap<string, readonly string[]> {
    return this.#byStream;
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

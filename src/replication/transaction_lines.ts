/**
 * Transactions as lines on their way to readers, in the forms that these take.
 *
 * @module
 */

import { formatInvalidateLines } from "../protocol/invalidations.ts";
import { formatCachesRows } from "../protocol/logged_rows.ts";
import { formatRdataLines } from "../protocol/rdata.ts";
import type { WireNames } from "../streams/wire_names.ts";
import {
  CACHES_STREAM,
  cachesFirst,
  type LoggedTransaction,
} from "./transaction.ts";

/** Which forms are wanted. */
export interface Forms {
  /** RDATA lines only, as everybody takes them. */
  readonly rows: boolean;
  /** INVALIDATE lines for the `caches` stream. */
  readonly compact: boolean;
}

/** What {@linkcode TransactionLines} works with. */
export interface TransactionLinesOptions {
  /** What streams are called on the wire. */
  readonly wireNames: WireNames;
}

/** Gathers the lines of one turn, each form only if it is wanted. */
export class TransactionLines {
  readonly #options: TransactionLinesOptions;
  #rows = "";
  #compact = "";

  /** Constructs one without lines. */
  constructor(options: TransactionLinesOptions) {
    this.#options = options;
  }

  /** Whether nothing was added. */
  get isEmpty(): boolean {
    return this.#rows === "" && this.#compact === "";
  }

  /** Adds a transaction. */
  add(transaction: LoggedTransaction, forms: Forms): void {
    const { instance, token, records, invalidations } = transaction;
    const { wireNames } = this.#options;
    if (invalidations !== undefined) {
      if (forms.rows) {
        const name = wireNames.toWire(CACHES_STREAM);
        const rows = formatCachesRows(invalidations);
        this.#rows += formatRdataLines(name, instance, token, rows);
      }
      if (forms.compact) {
        const { invalidationsText: text } = transaction;
        const runs = invalidations;
        this.#compact += formatInvalidateLines(instance, token, runs, text);
      }
    }
    for (const { stream, lines: rows } of cachesFirst(records)) {
      const name = wireNames.toWire(stream);
      const lines = formatRdataLines(name, instance, token, rows);
      if (forms.rows) this.#rows += lines;
      if (forms.compact) this.#compact += lines;
    }
  }

  /** What was added since the last time. */
  take(): { readonly rows: string; readonly compact: string } {
    const [rows, compact] = [this.#rows, this.#compact];
    this.#rows = "";
    this.#compact = "";
    return { rows, compact };
  }
}

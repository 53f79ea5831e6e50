/**
 * From rows, as they come, to whole transactions.
 *
 * @module
 */

import type { LogRecord } from "../log/record.ts";
import type {
  InvalidateCommand,
  InvalidationRun,
} from "../protocol/command.ts";
import { countInvalidations } from "../protocol/invalidations.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import type { Token } from "../tokens/token.ts";
import { CACHES_STREAM, type LoggedTransaction } from "./transaction.ts";

interface OpenTransaction extends LoggedTransaction {
  readonly records: LogRecord[];
  invalidations: readonly InvalidationRun[] | undefined;
}

/** What one instance has sent and not completed. */
interface Inbox {
  /** Rows of batches that have not ended, by stream. */
  readonly batches: Map<string, string[]>;
  /** INVALIDATE lines of a batch that has not ended. */
  runs: InvalidationRun[];
  /** The newest transaction; further streams' rows may follow. */
  open: OpenTransaction | undefined;
  /** Rows of both, and their characters. */
  rows: number;
  chars: number;
}

/** Bounds of {@linkcode BatchAssembler}, for each instance. */
export interface BatchAssemblerOptions {
  /** Rows of transactions that have not completed. */
  readonly maxRows: number;
  /** Characters of those rows. */
  readonly maxChars: number;
}

/**
 * Gathers the rows of one connection into transactions.
 *
 * Promise 3, one transaction, one step: a transaction is given out only once
 * it can't grow any more: when its instance sends a later token, or a POSITION
 * that reaches it. What a lost connection leaves is forgotten with
 * {@linkcode reset}: catch-up fetches it again, whole.
 */
export class BatchAssembler {
  readonly #options: BatchAssemblerOptions;
  readonly #inboxes = new Map<string, Inbox>();

  /** Constructs an assembler without rows. */
  constructor(options: BatchAssemblerOptions) {
    this.#options = options;
  }

  /**
   * Takes a row.
   *
   * @param token The row's token; `undefined` if more rows of its batch follow.
   * @returns The transaction before, if this row shows that it is complete.
   * @throws {HeadwaterError} `TRANSACTION_TOO_LARGE` beyond the bounds.
   */
  addRow(
    stream: string,
    instance: string,
    token: Token | undefined,
    row: string,
  ): LoggedTransaction | undefined {
    const inbox = this.#inbox(instance);
    this.#count(inbox, 1, row.length);
    let rows = inbox.batches.get(stream);
    if (rows === undefined) {
      rows = [];
      inbox.batches.set(stream, rows);
    }
    rows.push(row);
    if (token === undefined) return undefined;
    inbox.batches.delete(stream);
    const record = { token, stream, lines: rows };
    if (inbox.open?.token === token) {
      // Told twice, as a writer may: once a stream and token is enough.
      if (!hasStream(inbox.open, stream)) inbox.open.records.push(record);
      return undefined;
    }
    const complete = this.#takeOpen(inbox);
    inbox.open = {
      instance,
      token,
      records: [record],
      invalidations: undefined,
    };
    return complete;
  }

  /**
   * Takes an INVALIDATE line.
   *
   * @param chars The line's length.
   * @returns The transaction before, if this one shows that it is complete.
   * @throws {HeadwaterError} As {@linkcode addRow}.
   */
  addInvalidations(
    { instance, token, runs }: InvalidateCommand,
    chars: number,
  ): LoggedTransaction | undefined {
    const inbox = this.#inbox(instance);
    this.#count(inbox, countInvalidations(runs), chars);
    let all = runs;
    if (token === undefined || inbox.runs.length > 0) {
      for (const run of runs) inbox.runs.push(run);
      all = inbox.runs;
    }
    if (token === undefined) return undefined;
    inbox.runs = [];
    if (inbox.open?.token === token) {
      if (!hasStream(inbox.open, CACHES_STREAM)) inbox.open.invalidations = all;
      return undefined;
    }
    const complete = this.#takeOpen(inbox);
    inbox.open = { instance, token, records: [], invalidations: all };
    return complete;
  }

  /**
   * Takes a POSITION. Batches that have not ended by then never will.
   *
   * @returns The last transaction, now complete, if there is one.
   */
  addPosition(instance: string): LoggedTransaction | undefined {
    const inbox = this.#inboxes.get(instance);
    if (inbox === undefined) return undefined;
    inbox.batches.clear();
    inbox.runs = [];
    return this.#takeOpen(inbox);
  }

  /** Forgets everything, as the connection is lost. */
  reset(): void {
    this.#inboxes.clear();
  }

  /** The token of an instance's newest transaction, if it may go on. */
  openToken(instance: string): Token | undefined {
    return this.#inboxes.get(instance)?.open?.token;
  }

  #inbox(instance: string): Inbox {
    let inbox = this.#inboxes.get(instance);
    if (inbox === undefined) {
      inbox = {
        batches: new Map(),
        runs: [],
        open: undefined,
        rows: 0,
        chars: 0,
      };
      this.#inboxes.set(instance, inbox);
    }
    return inbox;
  }

  #takeOpen(inbox: Inbox): LoggedTransaction | undefined {
    const { open } = inbox;
    inbox.open = undefined;
    // What remains is at most the batch that has just begun.
    inbox.rows = 0;
    inbox.chars = 0;
    return open;
  }

  #count(inbox: Inbox, rows: number, chars: number): void {
    inbox.rows += rows;
    inbox.chars += chars;
    const { maxRows, maxChars } = this.#options;
    if (inbox.rows <= maxRows && inbox.chars <= maxChars) return;
    throw new HeadwaterError(
      "TRANSACTION_TOO_LARGE",
      `Cannot take in a transaction of more than ${maxRows} rows or ` +
        `${maxChars} characters; write smaller ones, or raise the reader's limits`,
    );
  }
}

function hasStream(
  { records, invalidations }: LoggedTransaction,
  stream: string,
): boolean {
  return records.some((known) => known.stream === stream) ||
    (stream === CACHES_STREAM && invalidations !== undefined);
}

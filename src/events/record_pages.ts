/**
 * Pages of the log's records, as events are read from them.
 *
 * @module
 */

import type { SqlValue } from "../database/engine.ts";
import { fittingSize } from "../log/read.ts";
import { PAGE_RECORDS } from "../runtime/limits.ts";

/** The rows of a page, each of a record; its body stands third. */
export type RecordPage = readonly SqlValue[][];

/** What {@linkcode readRecordPages} reads. */
export interface RecordPages {
  /** Reads up to `size` records from the edge on. */
  readonly read: (
    edge: number,
    size: number,
  ) => RecordPage | Promise<RecordPage>;
  /** Where the first page begins. */
  readonly edge: number;
  /** The edge after a record. */
  readonly edgeOf: (columns: SqlValue[]) => number;
  /** How many records are still of use at most. */
  readonly left: () => number;
}

/**
 * Reads records page by page; no snapshot is held between pages. How many a
 * page has goes by the length of those before, so that short ones don't come in
 * many pages.
 *
 * @throws What reading throws.
 */
export async function* readRecordPages(
  { read, edge, edgeOf, left }: RecordPages,
): AsyncGenerator<RecordPage, void> {
  let from = edge;
  let fitting = PAGE_RECORDS;
  while (left() > 0) {
    const size = Math.min(fitting, left());
    const page = await read(from, size);
    yield page;
    const last = page.at(-1);
    if (last === undefined || page.length < size) return;
    from = edgeOf(last);
    let chars = 0;
    for (const [, , body] of page) chars += String(body).length;
    fitting = fittingSize(page.length, chars);
  }
}

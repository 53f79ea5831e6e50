/**
 * Filling change caches: from what a store's log has at the start, and from what
 * is applied or committed.
 *
 * @module
 */

import type { ChangeRegistry } from "../caches/change_registry.ts";
import type { FilledChanges } from "../caches/filled_changes.ts";
import type { Session } from "../database/engine.ts";
import { readFloorOf } from "../log/history.ts";
import { readNewestRecords, type StreamRecord } from "../log/newest.ts";
import { toCachesRows } from "../protocol/invalidations.ts";
import { toRows } from "../protocol/logged_rows.ts";
import {
  FIRST_PAGE_RECORDS,
  MAX_PAGE_RECORDS,
  PAGE_CHARS,
} from "../runtime/limits.ts";
import { parseRow } from "../streams/rows.ts";
import { parseToken, type Token } from "../tokens/token.ts";
import { CACHES_STREAM, type LoggedTransaction } from "./transaction.ts";

/** Tokens that are looked through at a time: some ms. */
const SPAN = 8_192;

/** What the log says of a stream, from its end. */
interface Found {
  /** After which token nothing is missing. */
  readonly earliestKnown: Token;
  /** Ascending. */
  readonly changes: readonly (readonly [string | number, Token])[];
}

/** Notes what a transaction's rows tell, wherever it comes from. */
export function markChanges(
  changes: ChangeRegistry | undefined,
  { instance, token, records, invalidations }: LoggedTransaction,
): void {
  if (changes === undefined) return;
  for (const { stream, lines } of records) {
    if (!changes.has(stream)) continue;
    changes.mark(stream, instance, token, lines.map(parseRow));
  }
  if (invalidations !== undefined && changes.has(CACHES_STREAM)) {
    const rows = toCachesRows(invalidations);
    if (rows.length > 0) changes.mark(CACHES_STREAM, instance, token, rows);
  }
}

/** Begins change caches, instance by instance. */
export class ChangeFiller {
  readonly #session: Session;
  readonly #changes: ChangeRegistry;

  /**
   * Constructs a filler.
   *
   * @param session Where the log is.
   * @param changes What to fill.
   */
  constructor(session: Session, changes: ChangeRegistry) {
    this.#session = session;
    this.#changes = changes;
  }

  /**
   * Reads what an instance changed last, for a store that has not heard of it.
   *
   * @param instance Who wrote.
   * @param upTo The position that is adopted: all up to there is in the log, and
   *   all after it will be told.
   * @returns Begins with what was read, all caches in one step.
   */
  async read(instance: string, upTo: Token): Promise<() => void> {
    const found: (readonly [FilledChanges, Found])[] = [];
    for (const filled of this.#changes.all) {
      found.push([filled, await this.#find(filled, instance, upTo)]);
    }
    return () => {
      for (const [filled, { earliestKnown, changes }] of found) {
        filled.begin(instance, earliestKnown, changes);
      }
    };
  }

  /** Nothing is known of an instance until it is restarted. */
  suspend(instance: string): void {
    this.#changes.allChanged(instance, Number.MAX_SAFE_INTEGER);
  }

  /** See {@linkcode ChangeRegistry.restart}. */
  restart(instance: string, token: Token, reached: Token | undefined): void {
    this.#changes.restart(instance, token, reached);
  }

  async #find(
    filled: FilledChanges,
    instance: string,
    upTo: Token,
  ): Promise<Found> {
    const { stream, prefillTokens } = filled.definition;
    const beginning = parseToken(Math.max(0, upTo - prefillTokens));
    const pages = this.#readBack(instance, stream.name, beginning, upTo);
    const { earliestKnown, changes } = await collect(filled, beginning, pages);
    // Asked after it was read: retention notes what it deletes before it does.
    const floor = await readFloorOf(this.#session, stream.name);
    return {
      earliestKnown: parseToken(Math.max(earliestKnown, floor)),
      changes: changes.reverse(),
    };
  }

  /** A stream's records, the newest first. */
  async *#readBack(
    instance: string,
    stream: string,
    beginning: Token,
    end: Token,
  ): AsyncGenerator<StreamRecord> {
    let upTo = end;
    let size = FIRST_PAGE_RECORDS;
    while (upTo > beginning) {
      const after = parseToken(Math.max(beginning, upTo - SPAN));
      const range = { instance, stream, after, upTo };
      const { records, chars } = await readNewestRecords(
        this.#session,
        range,
        size,
      );
      yield* records;
      const last = records.at(-1);
      upTo = last === undefined || records.length < size
        ? after
        : parseToken(last.token - 1);
      if (chars > 0) size = fittingSize(records.length, chars);
    }
  }
}

/** Takes in as much as a cache can hold. */
async function collect(
  filled: FilledChanges,
  beginning: Token,
  records: AsyncIterable<StreamRecord>,
): Promise<{ earliestKnown: Token; changes: [string | number, Token][] }> {
  const { maxPositions, maxEntities } = filled.limits;
  const changes = new Map<string | number, Token>();
  let positions = 0;
  const { stream } = filled.definition;
  for await (const { token, lines } of records) {
    const rows = toRows(stream.name, lines);
    const entities = filled.entitiesOf(rows.map(parseRow));
    const isFull = positions >= maxPositions || changes.size > maxEntities;
    if (entities === undefined || isFull) {
      return { earliestKnown: token, changes: [...changes] };
    }
    const before = changes.size;
    // All of it is turned round in the end: those of one token, too.
    for (const entity of [...entities].reverse()) {
      // The newest came first.
      if (!changes.has(entity)) changes.set(entity, token);
    }
    if (changes.size > before) positions += 1;
  }
  return { earliestKnown: beginning, changes: [...changes] };
}

/** As many records of the length of these as a page should have. */
function fittingSize(records: number, chars: number): number {
  const size = Math.floor(PAGE_CHARS * records / chars);
  return Math.min(MAX_PAGE_RECORDS, Math.max(1, size));
}

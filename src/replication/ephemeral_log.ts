/**
 * Rows that are in no log: held by their writer for a while.
 *
 * @module
 */

import type { Clock } from "../runtime/clock.ts";
import { type Token, TOKEN_ZERO } from "../tokens/token.ts";

/** What an ephemeral stream holds at most. */
export interface EphemeralBounds {
  readonly maxRows: number;
  /** Characters of the rows. */
  readonly maxChars: number;
  /** How long a row is held, in ms. */
  readonly maxAgeMs: number;
}

/** Some rows of an ephemeral stream. */
export interface EphemeralPage {
  /** Each with its token, ascending, as JSON; a token's rows are all here. */
  readonly rows: readonly (readonly [token: Token, row: string])[];
  /** The token up to which they are contained. */
  readonly upTo: Token;
  /** Whether the range goes on after {@linkcode upTo}. */
  readonly isLimited: boolean;
}

/** What was published under one token. */
interface Entry {
  readonly rows: readonly string[];
  readonly chars: number;
  readonly publishedMs: number;
}

/**
 * The newest rows of one ephemeral stream, in tokens of its own: 1 is the first
 * since the writer began.
 */
export class EphemeralLog {
  readonly #bounds: EphemeralBounds;
  readonly #clock: Clock;
  /** One a token, without a gap; the last is the position's. */
  #entries: Entry[] = [];
  /** Entries at the array's beginning that have been dropped. */
  #dropped = 0;
  #position = 0;
  #rows = 0;
  #chars = 0;

  /** Constructs one that holds nothing. */
  constructor(bounds: EphemeralBounds, clock: Clock) {
    this.#bounds = bounds;
    this.#clock = clock;
  }

  /** The last token; 0 before the first. */
  get position(): Token {
    return this.#position as Token;
  }

  /** Rows up to here may be gone. */
  get floor(): Token {
    const held = this.#entries.length - this.#dropped;
    return (this.#position - held) as Token;
  }

  /**
   * Takes rows under a token of their own.
   *
   * @param rows As JSON; at least one, and within the bounds.
   * @returns The token.
   */
  publish(rows: readonly string[]): Token {
    const chars = rows.reduce((sum, row) => sum + row.length, 0);
    const publishedMs = this.#clock.monotonicMs();
    this.#entries.push({ rows, chars, publishedMs });
    this.#position += 1;
    this.#rows += rows.length;
    this.#chars += chars;
    this.#drop();
    return this.position;
  }

  /**
   * Reads `after < token <= upTo`, as far as it is held. An `after` beyond the
   * position is another writer's: then everything is read.
   *
   * @param limit About how many rows; the rows of one token are given whole.
   */
  read(after: Token, upTo: Token, limit: number): EphemeralPage {
    this.#drop();
    const from = after > this.#position ? TOKEN_ZERO : after;
    const end = Math.min(upTo, this.#position);
    const rows: (readonly [Token, string])[] = [];
    let token = Math.max(from, this.floor);
    while (token < end) {
      token += 1;
      const held = this.#entries[this.#dropped + token - this.floor - 1];
      for (const row of (held as Entry).rows) rows.push([token as Token, row]);
      if (rows.length >= limit && token < end) {
        return { rows, upTo: token as Token, isLimited: true };
      }
    }
    return { rows, upTo: Math.max(end, 0) as Token, isLimited: false };
  }

  #drop(): void {
    const { maxRows, maxChars, maxAgeMs } = this.#bounds;
    const oldestMs = this.#clock.monotonicMs() - maxAgeMs;
    while (this.#dropped < this.#entries.length) {
      const { rows, chars, publishedMs } = this
        .#entries[this.#dropped] as Entry;
      const isFull = this.#rows > maxRows || this.#chars > maxChars;
      if (!isFull && publishedMs >= oldestMs) break;
      this.#rows -= rows.length;
      this.#chars -= chars;
      this.#dropped += 1;
    }
    // Moved rarely, so that each entry is moved about once.
    if (this.#dropped * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#dropped);
      this.#dropped = 0;
    }
  }
}

/**
 * How far a writer has come, as POSITION lines on their way to readers.
 *
 * @module
 */

import { formatPositionLine } from "../protocol/rdata.ts";
import type { Clock } from "../runtime/clock.ts";
import { ANNOUNCE_INTERVAL_MS } from "../runtime/limits.ts";
import type { WireNames } from "../streams/wire_names.ts";
import { parseToken, type Token } from "../tokens/token.ts";
import type { RowCounts } from "./transaction.ts";

/** What {@linkcode PositionLines} works with. */
export interface PositionLinesOptions {
  readonly instance: string;
  readonly wireNames: WireNames;
  /** The streams that are in the log. */
  readonly streams: readonly string[];
  /** The token that was written last. */
  readonly lastToken: Token;
  readonly clock: Clock;
}

/**
 * Knows what readers have been told of each stream's position.
 *
 * A text of rows ends with the position of one stream, which completes them
 * all; those of the others, which tokens have passed without a row, are told
 * once a second at most.
 */
export class PositionLines {
  readonly #options: PositionLinesOptions;
  /** The token up to which readers know that a stream has no more rows. */
  readonly #told: Map<string, Token>;
  readonly #firstStream: string;
  #lastToken: Token;
  #lastStream: string;
  /** The last token of what has been sent. */
  #sentToken: Token;
  /** The streams that have had rows since, if a shared connection wants to know. */
  readonly #begun = new Set<string>();
  #announcedMs = 0;

  /** Constructs one whose readers know where all streams stand. */
  constructor(options: PositionLinesOptions) {
    this.#options = options;
    const { streams, lastToken } = options;
    this.#lastToken = this.#sentToken = lastToken;
    this.#lastStream = this.#firstStream = streams[0] as string;
    this.#told = new Map(streams.map((stream) => [stream, lastToken]));
  }

  /** Whether readers don't know yet that the last transaction is complete. */
  get isUntold(): boolean {
    return this.#told.get(this.#lastStream) !== this.#lastToken;
  }

  /** Whether tokens have passed a stream that readers don't know of. */
  get isDue(): boolean {
    const last = this.#lastToken;
    return [...this.#told.values()].some((token) => token !== last);
  }

  /** Takes in a transaction that nobody is there to be told of. */
  pass(token: Token): void {
    this.#lastToken = this.#sentToken = token;
    for (const stream of this.#told.keys()) this.#told.set(stream, token);
  }

  /**
   * Takes in a transaction whose rows are being sent.
   *
   * @param counts Of which streams they are.
   * @param isLossy Whether lines may get lost: see {@linkcode takeBeginning}.
   */
  add(token: Token, counts: RowCounts, isLossy: boolean): void {
    this.#lastToken = token;
    for (const [stream] of counts) {
      this.#told.set(stream, token);
      this.#lastStream = stream;
      if (isLossy) this.#begun.add(stream);
    }
    if (counts.length === 0) this.#lastStream = this.#firstStream;
  }

  /** What ends a text; what it says counts as told. */
  take(): string {
    const { clock } = this.#options;
    const isQuietOver =
      clock.monotonicMs() - this.#announcedMs >= ANNOUNCE_INTERVAL_MS;
    return isQuietOver
      ? this.#takeAll(() => true)
      : this.#tell(this.#lastStream, this.#told.get(this.#lastStream) as Token);
  }

  /** The streams that tokens have passed without a row. */
  takeDue(): string {
    const last = this.#lastToken;
    return this.#takeAll((told) => told !== last);
  }

  /** Where all stood before: who doesn't stand there has missed something. */
  takeBeginning(): string {
    const token = this.#sentToken;
    if (this.#begun.size === 0) this.#begun.add(this.#lastStream);
    let lines = "";
    for (const stream of this.#begun) {
      lines += this.#format(stream, token, token);
    }
    this.#begun.clear();
    return lines;
  }

  /** All that was taken in has been sent. */
  sent(): void {
    this.#sentToken = this.#lastToken;
  }

  /** Whoever is told the next beginning finds that he has missed something. */
  openGap(): void {
    this.#sentToken = parseToken(this.#lastToken + 1);
  }

  /** Of every stream: what comes after this is all that comes after the token. */
  all(): string {
    const token = this.#lastToken;
    let lines = "";
    for (const stream of this.#told.keys()) {
      lines += this.#format(stream, token, token);
    }
    return lines;
  }

  #takeAll(isWanted: (told: Token) => boolean): string {
    let lines = "";
    for (const [stream, previous] of this.#told) {
      if (isWanted(previous)) lines += this.#tell(stream, previous);
    }
    this.#announcedMs = this.#options.clock.monotonicMs();
    return lines;
  }

  #tell(stream: string, previous: Token): string {
    const token = this.#lastToken;
    this.#told.set(stream, token);
    return this.#format(stream, previous, token);
  }

  #format(own: string, previous: Token, token: Token): string {
    const { instance, wireNames } = this.#options;
    const name = wireNames.toWire(own);
    return formatPositionLine(name, instance, previous, token);
  }
}

/**
 * Rows of streams that are in no log, as lines on their way to readers.
 *
 * @module
 */

import { formatPositionLine, formatRdataLines } from "../protocol/rdata.ts";
import type { WireNames } from "../streams/wire_names.ts";
import { type Token, TOKEN_ZERO } from "../tokens/token.ts";

/** What {@linkcode EphemeralLines} works with. */
export interface EphemeralLinesOptions {
  readonly instance: string;
  readonly wireNames: WireNames;
  /** The streams; each begins at token 0. */
  readonly ephemeralStreams?: readonly string[] | undefined;
}

/** Gathers the lines of one turn, and knows where each stream stands. */
export class EphemeralLines {
  readonly #options: EphemeralLinesOptions;
  readonly #positions = new Map<string, Token>();
  #lines = "";

  /** Constructs one without lines. */
  constructor(options: EphemeralLinesOptions) {
    this.#options = options;
    for (const stream of options.ephemeralStreams ?? []) {
      this.#positions.set(stream, TOKEN_ZERO);
    }
  }

  /**
   * Adds rows; none where nobody is there to hear of them.
   *
   * @param isLossy Whether lines may get lost: then a POSITION goes before the rows.
   */
  add(
    stream: string,
    token: Token,
    rows: readonly string[],
    isLossy: boolean,
  ): void {
    const previous = this.#positions.get(stream);
    this.#positions.set(stream, token);
    if (rows.length === 0) return;
    const { instance, wireNames } = this.#options;
    if (isLossy) this.#lines += this.#position(stream, previous);
    const name = wireNames.toWire(stream);
    this.#lines += formatRdataLines(name, instance, token, rows);
  }

  /** What was added since the last time. */
  take(): string {
    const lines = this.#lines;
    this.#lines = "";
    return lines;
  }

  /** A POSITION of every stream; nothing may be waiting to be taken. */
  positions(): string {
    return Array.from(
      this.#positions,
      ([stream, token]) => this.#position(stream, token),
    ).join("");
  }

  #position(own: string, token: Token = TOKEN_ZERO): string {
    const { instance, wireNames } = this.#options;
    return formatPositionLine(wireNames.toWire(own), instance, token, token);
  }
}

/**
 * Who has held an instance's name: what tells a token from one that was given
 * again.
 *
 * @module
 */

import type { Token } from "./token.ts";

/** A process that holds, or held, an instance's name. */
export interface HolderMark {
  /** Counts holders. A log that was restored gives the same number again. */
  readonly fence: number;
  /** The process's random id. */
  readonly holder: string;
}

/** A holder, and where the log ended as it began. */
export interface HolderStart extends HolderMark {
  /** The instance's last token then. */
  readonly start: Token;
}

/** Whether two are the same process; nobody is the same as nobody. */
export function isSameHolder(
  one: HolderMark | undefined,
  other: HolderMark | undefined,
): boolean {
  return one?.fence === other?.fence && one?.holder === other?.holder;
}

const HOLDER = /^[1-9][0-9]{0,15}-[0-9a-f]{8}$/;

/** Whether a text can be what {@linkcode formatHolder} gives. */
export function isHolderText(text: unknown): text is string {
  return typeof text === "string" && HOLDER.test(text);
}

/**
 * A holder as a short text, `fence-check`: the check sum of its random id tells
 * it from one that was given the same fence after a restore.
 */
export function formatHolder({ fence, holder }: HolderMark): string {
  // FNV-1a.
  let sum = 0x811c9dc5;
  for (let at = 0; at < holder.length; at += 1) {
    sum = Math.imul(sum ^ holder.charCodeAt(at), 0x01000193) >>> 0;
  }
  return `${fence}-${sum.toString(16).padStart(8, "0")}`;
}

/**
 * The holders of an instance's name, up to one of them: the history that this
 * one goes on with. It never changes.
 *
 * A token is named by itself and by a holder that had the name when it was part
 * of the log. It still is, unless that holder is not among these, or a later one
 * began below the token: then the log was restored, or lost it in a failover,
 * and the same number may be another transaction's by now.
 */
export class Holders {
  /** The last of them; `undefined` if nobody ever held the name. */
  readonly last: HolderMark | undefined;
  /** The last of them, as text. */
  readonly text: string | undefined;
  /** By holder, as text: the highest token of its time that was kept. */
  readonly #ends = new Map<string, number>();

  /** Constructs it from holders in the order of their fences. */
  constructor(starts: readonly HolderStart[]) {
    this.last = starts.at(-1);
    this.text = this.last && formatHolder(this.last);
    let end = Infinity;
    for (const one of starts.toReversed()) {
      this.#ends.set(formatHolder(one), end);
      end = Math.min(end, one.start);
    }
  }

  /** Whether a token of a holder's time is part of the history. */
  contains(holder: string, token: Token): boolean {
    return token <= (this.#ends.get(holder) ?? -1);
  }
}

/**
 * How far behind its writers a reader is.
 *
 * @module
 */

import type { Clock } from "../runtime/clock.ts";
import type { Token } from "../tokens/token.ts";
import type { ReaderPosition } from "./reader_position.ts";

/** How far a reader is behind one instance, as far as it has heard. */
export interface InstanceLag {
  /** Who writes. */
  readonly instance: string;
  /** The last token that was told of. */
  readonly announced: Token;
  /** The last token that is applied; `undefined` if none is yet. */
  readonly reached: Token | undefined;
  /** Token numbers between the two; where several write, others' are among them. */
  readonly tokens: number;
  /** How long ago the oldest of them was told of, in seconds; 0 if there is none. */
  readonly seconds: number;
}

/** By a time, an instance had told of everything up to a token. */
interface Announcement {
  token: Token;
  readonly ms: number;
}

/** Announcements kept of an instance. Beyond, a later one counts as old as the last. */
const MAX_ANNOUNCEMENTS = 64;

/** Remembers what was announced, and when, until it is applied. */
export class LagMeter {
  readonly #position: ReaderPosition;
  readonly #clock: Clock;
  readonly #announced = new Map<string, Announcement[]>();

  /** Constructs one that has heard nothing. */
  constructor(position: ReaderPosition, clock: Clock) {
    this.#position = position;
    this.#clock = clock;
  }

  /** An instance has told of a token. */
  announced(instance: string, token: Token): void {
    let waiting = this.#announced.get(instance);
    if (waiting === undefined) {
      waiting = [];
      this.#announced.set(instance, waiting);
    }
    const last = waiting.at(-1);
    if (last !== undefined && token <= last.token) return;
    this.#forgetApplied(instance, waiting);
    if (waiting.length >= MAX_ANNOUNCEMENTS) {
      (last as Announcement).token = token;
    } else waiting.push({ token, ms: this.#clock.monotonicMs() });
  }

  /** An instance's log was rewound: what it told of before is no more. */
  reset(instance: string, token: Token): void {
    this.#announced.set(instance, [
      { token, ms: this.#clock.monotonicMs() },
    ]);
  }

  /** By instance, in the order of their names. */
  get lags(): readonly InstanceLag[] {
    const nowMs = this.#clock.monotonicMs();
    const names = [...this.#announced.keys()].sort();
    return names.map((instance) => {
      const waiting = this.#announced.get(instance) as Announcement[];
      this.#forgetApplied(instance, waiting);
      const reached = this.#position.get(instance);
      const told = waiting.at(-1)?.token ?? 0 as Token;
      // Over the database it may have got further than it was told.
      const announced = reached !== undefined && reached > told
        ? reached
        : told;
      const oldest = waiting.find(({ token }) =>
        reached === undefined || token > reached
      );
      return {
        instance,
        announced,
        reached,
        tokens: announced - (reached ?? 0),
        seconds: oldest === undefined ? 0 : (nowMs - oldest.ms) / 1_000,
      };
    });
  }

  /** The last stays, so that it is known what was announced. */
  #forgetApplied(instance: string, waiting: Announcement[]): void {
    while (
      waiting.length > 1 &&
      this.#position.contains(instance, (waiting[0] as Announcement).token)
    ) waiting.shift();
  }
}

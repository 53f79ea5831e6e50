/**
 * The last loads of a process's caches.
 *
 * @module
 */

import type { Clock } from "../runtime/clock.ts";
import type { KeyPart } from "../streams/builtin_streams.ts";
import type { Position } from "../tokens/position.ts";
import {
  countParts,
  flatten,
  type KeyArgument,
  toWireKey,
} from "./key_parts.ts";

/** One load, as it began. */
export interface LoadRecord {
  /** When it began, in ms since 1970. */
  readonly atMs: number;
  /** How far the process had got by then: what it loaded is not older. */
  readonly position: Position;
}

interface KeptLoad extends LoadRecord {
  readonly cache: string;
  readonly parts: readonly KeyArgument[];
}

/** What a {@linkcode LoadLog} works with. */
export interface LoadLogOptions {
  readonly clock: Clock;
  /** How far the process has got. */
  readonly position: () => Position;
  /** Loads that are remembered. */
  readonly maxLoads: number;
}

/** Remembers loads, each for as long as not too many others have followed. */
export class LoadLog {
  readonly #options: LoadLogOptions;
  /** A ring, once it is full. */
  readonly #loads: KeptLoad[] = [];
  #next = 0;

  /** Constructs one that remembers nothing. */
  constructor(options: LoadLogOptions) {
    this.#options = options;
  }

  /**
   * Takes in that a load has begun.
   *
   * @param cache The cache's name.
   * @param parts The entry's arguments.
   */
  began(cache: string, parts: readonly KeyArgument[]): void {
    const { clock, position, maxLoads } = this.#options;
    const load = {
      cache,
      // A text that was cut out of a longer one would keep that alive.
      parts: parts.slice(0, countParts(parts)).map(flatten),
      atMs: clock.wallMs(),
      position: position(),
    };
    this.#loads[this.#next] = load;
    this.#next = (this.#next + 1) % maxLoads;
  }

  /**
   * The last load of an entry, if it is remembered.
   *
   * @param cache The cache's name.
   * @param key The entry's key on the wire.
   */
  last(cache: string, key: readonly KeyPart[]): LoadRecord | undefined {
    const count = this.#loads.length;
    for (let back = 1; back <= count; back += 1) {
      const load = this.#loads[(this.#next - back + count) % count] as KeptLoad;
      if (load.cache === cache && isKey(load.parts, key)) {
        return { atMs: load.atMs, position: load.position };
      }
    }
    return undefined;
  }
}

function isKey(
  parts: readonly KeyArgument[],
  key: readonly KeyPart[],
): boolean {
  const other = toWireKey(parts);
  return other.length === key.length &&
    other.every((part, index) => part === key[index]);
}

/**
 * A plain cache among the caches of its store.
 *
 * @module
 */

import type { PlainBounds } from "./plain_bounds.ts";
import type { Place } from "./place.ts";
import type { PlainTally } from "./plain_tally.ts";

/** What a plain cache is made of. */
export interface PlainParts {
  readonly bounds: Pick<
    PlainBounds<"maxEntries">,
    "now" | "prepare" | "close"
  >;
  readonly tally: PlainTally;
  /** What it has of the memory that caches share. */
  readonly memory: { readonly bytes: number; close(): void } | undefined;
  /** How many entries it holds. */
  readonly entries: () => number;
  /** Calls that run for it, of a cache that calls. */
  readonly loading?: (() => number) | undefined;
  /** Drops what there is no room for. */
  readonly makeRoom: () => void;
  /** Drops everything. */
  readonly clear: () => void;
  /** Whether it is cleared when every cache is. */
  readonly isTold: boolean;
}

/** Lists a cache among its store's. */
export function takePart({ name, takeIn }: Place, parts: PlainParts): void {
  const { bounds, tally, memory, entries, loading, makeRoom, clear } = parts;
  takeIn({
    name,
    stats: () =>
      // Counting them drops what is over.
      tally.stats(name, {
        entries: entries(),
        maxEntries: bounds.now.maxEntries,
        bytes: memory?.bytes,
        loading: loading?.() ?? 0,
      }),
    prepareResize: (limits) => {
      const change = bounds.prepare(name, limits, "maxEntries");
      return (factor) => {
        change(factor);
        makeRoom();
      };
    },
    cleared: parts.isTold ? clear : () => {},
    close: () => {
      clear();
      memory?.close();
      bounds.close();
    },
  });
}

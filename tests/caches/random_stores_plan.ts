// What random stores are made of, and what is done with them, as numbers: the
// test makes them, and both processes take them to mean the same.

import type { KeyArgument } from "../../src/caches/key_parts.ts";

/** One cache of a store. */
export interface CachePlan {
  readonly name: string;
  /** How many arguments its keys have. */
  readonly parts: number;
  readonly tree: boolean;
  readonly maxEntries: number;
  readonly maxBytes: number | undefined;
  readonly negative: boolean;
  readonly ttlMs: number | undefined;
  readonly staleWhileRevalidateMs: number | undefined;
  readonly maxConcurrentLoads: number | undefined;
  /** Whether the method has an argument that is no part of the key. */
  readonly hasBeside: boolean;
  /** A cache that this one depends on: its values tell that one's, too. */
  readonly parent: number | undefined;
  /** Whether it asks that cache, and not the database. */
  readonly isNested: boolean;
  /** Whether writers name what depends on it; else `onInvalidate` does. */
  readonly namesDependents: boolean;
}

/** What is invalidated with a key, or the beginning of one, of a cache. */
export function dependentsOf<Part>(
  plans: readonly CachePlan[],
  cache: number,
  key: readonly Part[] | null,
): (readonly [number, readonly Part[] | null])[] {
  const { tree, parts } = plans[cache] as CachePlan;
  return plans.flatMap((other, index) => {
    if (other.parent !== cache) return [];
    // Of a tree it may be the beginning of a key; others need a whole one.
    const isWhole = other.tree || (!tree && other.parts === parts);
    return [[index, isWhole ? key : null] as const];
  });
}

/** What the test tells a process. */
export type Told =
  | { readonly does: "set up"; readonly plans: CachePlan[] }
  /** Numbers of writes, by transaction. */
  | { readonly does: "write"; readonly transactions: readonly number[][] }
  /**
   * Writes but the last; then many that mean nothing; then writes of what the
   * first depend on, and the last.
   */
  | { readonly does: "write far"; readonly writes: readonly number[] }
  /** Numbers of reads that nobody judges. */
  | { readonly does: "stir"; readonly reads: readonly number[] }
  /** Reads what is to be written: now, and amid each catch-up from now on. */
  | { readonly does: "prepare"; readonly writes: readonly number[] }
  | {
    readonly does: "check";
    readonly reads: readonly number[];
    /** Only once this has been applied. */
    readonly after: { readonly instance: string; readonly token: number };
  };

/** What it says. */
export interface Said {
  readonly url?: string;
  readonly isSetUp?: true;
  readonly isPrepared?: true;
  readonly token?: number;
  /** Reads that were not what an uncached read gave. */
  readonly wrong?: readonly string[];
  /** What the caches have done, with the last check. */
  readonly hits?: number;
  readonly evictions?: number;
  readonly fenced?: number;
  /** Steps of catch-ups that were followed by others. */
  readonly steps?: number;
}

/** A read: of one key, or of a list that differs in its last argument. */
export interface Read {
  readonly cache: number;
  readonly key: readonly KeyArgument[];
  readonly list: readonly KeyArgument[] | undefined;
}

/** A write of some keys, and how they are invalidated. */
export interface Write {
  readonly cache: number;
  readonly keys: readonly (readonly KeyArgument[])[];
  readonly isDeleted: boolean;
  readonly by: "keys" | "prefix" | "all" | "group";
}

/** Arguments; some are alike on the wire, some hard to write. */
const POOL: readonly KeyArgument[] = [
  "a",
  "7",
  7n,
  7,
  null,
  undefined,
  true,
  '"],[é\u0000👍\ud800',
  -0.5,
];

/** The highest number of a read or a write. */
export const MAX_NUMBER = 2 ** 31 - 1;

/** Takes choices out of a number. */
function choices(number: number): (count: number) => number {
  let left = number;
  return (count) => {
    const chosen = left % count;
    left = Math.floor(left / count);
    return chosen;
  };
}

/** How many arguments there are at each place, so that keys come again. */
const WIDTHS = [POOL.length, 5, 4];

function keyOf(
  { name, parts }: CachePlan,
  choose: (count: number) => number,
): KeyArgument[] {
  const first = Number(/\d+/.exec(name));
  return Array.from({ length: parts }, () => {
    const chosen = choose(WIDTHS[parts - 1] ?? 1);
    return POOL[(first + chosen) % POOL.length];
  });
}

/** The read that a number stands for. */
export function readOf(plans: readonly CachePlan[], number: number): Read {
  const choose = choices(number);
  const cache = choose(plans.length);
  const isList = choose(4) === 0;
  const key = keyOf(plans[cache] as CachePlan, choose);
  const bits = choose(2 ** POOL.length);
  const list = POOL.filter((_, index) => (bits >> index) % 2 === 1);
  return { cache, key, list: isList ? list : undefined };
}

/** The write that a number stands for. */
export function writeOf(plans: readonly CachePlan[], number: number): Write {
  const choose = choices(number);
  const cache = choose(plans.length);
  const plan = plans[cache] as CachePlan;
  const isDeleted = choose(3) === 0;
  const how = choose(8);
  const key = keyOf(plan, choose);
  if (how < 4) return { cache, keys: [key], isDeleted, by: "keys" };
  const keys = [key, [...key.slice(0, -1), ...keyOf(plan, choose).slice(-1)]];
  const isPrefix = plan.tree && plan.parts > 1 && key[0] !== undefined;
  const by = how === 4 ? "all" : how === 5 && isPrefix ? "prefix" : "group";
  return { cache, keys, isDeleted, by };
}

/** A write of what a cache depends on, that it tells of the keys of a write. */
export function writeAbove(
  plans: readonly CachePlan[],
  { cache, keys }: Write,
): Write | undefined {
  const parent = plans[cache]?.parent;
  if (parent === undefined) return undefined;
  const above = keys.map((key) => key.slice(0, plans[parent]?.parts));
  return { cache: parent, keys: above, isDeleted: false, by: "keys" };
}

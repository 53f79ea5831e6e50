// The shapes of caches and keys that the model is tried on: what the two keys
// are, and which rows of the `caches` stream drop which of them.

import { z } from "zod";
import { defineCacheGroup } from "../../src/caches/cache_groups.ts";
import type {
  CachedOptions,
  UncachedArgsOptions,
} from "../../src/caches/cached_options.ts";
import type { CacheRegistry } from "../../src/caches/cache_registry.ts";
import { type KeyArgument, toWireKey } from "../../src/caches/key_parts.ts";
import type { Budget, Call, KeyName, Rules } from "./fence_model_steps.ts";

/** A list of the arguments of a list load. */
export type ListArgs = readonly (KeyArgument | readonly KeyArgument[])[];

/** One kind of invalidation: what it drops, and how it is made. */
export interface Kind {
  readonly name: string;
  readonly drops: Call | "all";
  readonly apply: (registry: CacheRegistry) => void;
}

/** Options of the cache, but for its room. */
type Options = Omit<
  CachedOptions & Partial<UncachedArgsOptions>,
  "maxEntries" | "name"
>;

/** One shape of cache and keys. */
export interface Shape {
  readonly name: string;
  readonly keys: Readonly<Record<KeyName, readonly KeyArgument[]>>;
  /** Where the argument stands that a list load has many of. */
  readonly listAt: number;
  readonly options: Options & {
    readonly name: string;
    readonly maxEntries: number;
  };
  /** Whether an argument beside the key is given with each call. */
  readonly hasBeside: boolean;
  /** Whether that is a signal, by which the caller can leave. */
  readonly hasSignals: boolean;
  readonly kinds: readonly Kind[];
  readonly rules: Rules;
  /** How often each step may happen, where that is not as often as in others. */
  readonly most: Partial<Budget>;
  /** The same where it is to be quickly gone through. */
  readonly fewest: Partial<Budget>;
}

/** What is particular to a shape. */
interface Particulars {
  readonly options?: Options;
  readonly maxEntries?: number;
  readonly hasBeside?: boolean;
  readonly hasSignals?: boolean;
  readonly putsOff?: boolean;
  /** The kinds of invalidation; all by default. */
  readonly kinds?: readonly string[];
  readonly most?: Partial<Budget>;
  readonly fewest?: Partial<Budget>;
}

/** The cache, the one that it depends on, and the group of both keys. */
export const SINGLE = "single";
const PARENT = "parent";
const BOTH = "both";

/** How long what is bounded in time stays. */
export const LIFE_MS = 100;

/** What another key is; each is a different one. */
export function otherKey({ keys }: Shape, number: number): KeyArgument[] {
  return keys.a.length === 1
    ? [`other ${number}`]
    : [`other ${number}`, number];
}

/** The group that stands for both keys. */
export function groupOf({ keys }: Pick<Shape, "keys">) {
  return defineCacheGroup(BOTH, z.tuple([z.string()]), () => [
    [SINGLE, keys.a],
    [SINGLE, keys.b],
  ]);
}

/** The options of the cache that the single one depends on. */
export function parentOptions({ keys }: Shape) {
  return {
    name: PARENT,
    maxEntries: 5,
    onInvalidate: (key: unknown) =>
      [[SINGLE, key === null ? null : keys.a]] as const,
  };
}

/** What a row with the key of `a` drops, of `b`, of both; and of a prefix. */
interface Drops {
  readonly a: Call;
  readonly b: Call;
  readonly prefix?: readonly [KeyArgument, Call];
}

function makeShape(
  name: string,
  a: readonly KeyArgument[],
  b: readonly KeyArgument[],
  drops: Drops,
  particulars: Particulars = {},
): Shape {
  const {
    options = {},
    maxEntries = 2,
    hasSignals = false,
    hasBeside = hasSignals,
    most = {},
    fewest = {},
  } = particulars;
  const keys = { a, b };
  const [wireA, wireB] = [toWireKey(a), toWireKey(b)];
  const kind = (
    name: string,
    drops: Call | "all",
    apply: Kind["apply"],
  ): Kind => ({ name, drops, apply });
  const { prefix } = drops;
  const all = [
    kind("key a", drops.a, (caches) => {
      const [part] = wireA;
      if (wireA.length === 1 && part) caches.applyOne(SINGLE, part);
      else caches.apply(SINGLE, wireA);
    }),
    kind("key b", drops.b, (caches) => caches.applyAll(SINGLE, [wireB])),
    kind("both keys", "ab", (caches) =>
      caches.applyAll(
        SINGLE,
        [wireA, wireB].map((key) => key.length === 1 ? key[0] ?? key : key),
      )),
    kind("group", "ab", (caches) => caches.apply(BOTH, ["x"])),
    kind("dependent key", drops.a, (caches) => caches.applyOne(PARENT, "x")),
    kind("dependent whole", "all", (caches) => caches.apply(PARENT, null)),
    kind("clear all", "all", (caches) => caches.apply(SINGLE, null)),
    ...prefix === undefined ? [] : [
      kind(
        "prefix",
        prefix[1],
        (caches) => caches.apply(SINGLE, toWireKey([prefix[0]])),
      ),
    ],
  ];
  const kinds = all.filter(({ name }) =>
    particulars.kinds?.includes(name) ?? true
  );
  const servesOld = options.staleWhileRevalidateMs !== undefined;
  return {
    name,
    keys,
    listAt: a.findIndex((part, index) => part !== b[index]),
    options: { name: SINGLE, maxEntries, ...options },
    hasBeside,
    hasSignals,
    most,
    fewest: { ...most, ...fewest },
    kinds,
    rules: {
      // A list's keys differ in one argument only.
      calls: a.length === b.length ? ["a", "b", "ab"] : ["a", "b"],
      drops: kinds.map(({ drops }) => drops),
      maxEntries,
      keepsNegative: options.negative !== false,
      isUsedAtEnd: options.maxBytes !== undefined,
      maxLoads: options.maxConcurrentLoads ?? Infinity,
      isMortal: options.ttlMs === LIFE_MS,
      servesOld,
      putsOff: particulars.putsOff === true,
      hasSignals,
    },
  };
}

const apart = { a: "a", b: "b" } as const;
const alike = { a: "ab", b: "ab" } as const;

/** Where old entries may be served, and loads wait, there is more to be tried. */
const fewKinds = ["key a", "group", "clear all"];
const stale = { staleWhileRevalidateMs: LIFE_MS };

/** All of them. */
export const SHAPES: readonly Shape[] = [
  makeShape("one argument", ["a"], ["b"], apart),
  makeShape("two arguments", ["p", 1], ["p", true], apart),
  makeShape("a tree", ["p", 1], ["p", "1"], { ...apart, prefix: ["p", "ab"] }, {
    options: { tree: true },
  }),
  makeShape("a tree of uneven keys", ["p"], ["p", ""], { a: "ab", b: "b" }, {
    options: { tree: true },
  }),
  makeShape("alike on the wire", ["7"], [7n], alike),
  makeShape("alike in part", [null, "k"], [undefined, "k"], alike),
  makeShape("alike in a tree", [1, "-3"], [1, -3n], {
    ...alike,
    prefix: [1, "ab"],
  }, { options: { tree: true } }),
  makeShape("measured, and with a time to live", ["a"], [""], apart, {
    options: { maxBytes: "1MiB", ttlMs: 1e9 },
  }),
  makeShape("negatives not kept", ["a"], [0], apart, {
    options: { negative: false },
  }),
  makeShape("an argument beside the key", ["p", 1], ["p", 2], apart, {
    options: { uncachedArgs: [2] },
    hasBeside: true,
  }),
  makeShape("one load at a time", ["a"], ["b"], apart, {
    options: { maxConcurrentLoads: 1 },
    kinds: fewKinds,
  }),
  makeShape("two loads at a time, for a while", ["p", 1], ["p", 2], apart, {
    options: { maxConcurrentLoads: 2, ttlMs: LIFE_MS },
    kinds: fewKinds,
    most: { evictions: 0 },
    fewest: { flushes: 0 },
  }),
  makeShape("one load at a time, for a while", ["a"], ["b"], apart, {
    options: { maxConcurrentLoads: 1, ttlMs: LIFE_MS },
    kinds: fewKinds,
    most: { evictions: 0 },
  }),
  makeShape("one load at a time, and callers that leave", ["a"], ["b"], apart, {
    options: { maxConcurrentLoads: 1, uncachedArgs: [1] },
    kinds: fewKinds,
    hasSignals: true,
  }),
  makeShape("old entries are served", ["a"], ["b"], apart, {
    options: stale,
    kinds: fewKinds,
    most: { invalidations: 1, evictions: 0, elapses: 2 },
    fewest: { invalidations: 1, reaches: 0 },
  }),
  makeShape("old entries of a tree are served", ["p", 1], ["p", "1"], {
    ...apart,
    prefix: ["p", "ab"],
  }, {
    options: { ...stale, tree: true },
    maxEntries: 3,
    kinds: ["key b", "prefix", "dependent whole"],
    most: { calls: 2, invalidations: 2, evictions: 1, elapses: 2 },
    fewest: { invalidations: 1, flushes: 0, elapses: 0 },
  }),
  makeShape("old entries alike on the wire are served", ["7"], [7n], alike, {
    options: stale,
    kinds: fewKinds,
    most: { invalidations: 2, evictions: 0, elapses: 2 },
    fewest: { invalidations: 1, elapses: 0 },
  }),
  makeShape("old entries are loaded anew after a while", ["a"], ["b"], apart, {
    options: stale,
    putsOff: true,
    maxEntries: 3,
    kinds: fewKinds,
    most: { calls: 2, invalidations: 2, evictions: 1, elapses: 2 },
    fewest: { invalidations: 1, evictions: 0, reaches: 0 },
  }),
  makeShape("old entries are loaded anew one by one", ["a"], ["b"], apart, {
    options: { ...stale, maxConcurrentLoads: 1 },
    maxEntries: 3,
    kinds: fewKinds,
    most: { invalidations: 2, evictions: 0, elapses: 2 },
    fewest: { invalidations: 1, flushes: 0 },
  }),
];

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
import type { Call, KeyName, Rules } from "./fence_model_spec.ts";

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
  readonly hasBeside?: boolean;
  readonly kinds: readonly Kind[];
  readonly rules: Rules;
}

/** The cache, the one that it depends on, and the group of both keys. */
export const SINGLE = "single";
const PARENT = "parent";
const BOTH = "both";

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
  more: Options = {},
  hasBeside = false,
): Shape {
  const keys = { a, b };
  const [wireA, wireB] = [toWireKey(a), toWireKey(b)];
  const kind = (
    name: string,
    drops: Call | "all",
    apply: Kind["apply"],
  ): Kind => ({ name, drops, apply });
  const { prefix } = drops;
  const kinds = [
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
  return {
    name,
    keys,
    listAt: a.findIndex((part, index) => part !== b[index]),
    options: { name: SINGLE, maxEntries: 2, ...more },
    hasBeside,
    kinds,
    rules: {
      // A list's keys differ in one argument only.
      calls: a.length === b.length ? ["a", "b", "ab"] : ["a", "b"],
      drops: kinds.map(({ drops }) => drops),
      maxEntries: 2,
      keepsNegative: more.negative !== false,
      isUsedAtEnd: more.maxBytes !== undefined,
    },
  };
}

const apart = { a: "a", b: "b" } as const;
const alike = { a: "ab", b: "ab" } as const;

/** All of them. */
export const SHAPES: readonly Shape[] = [
  makeShape("one argument", ["a"], ["b"], apart),
  makeShape("two arguments", ["p", 1], ["p", true], apart),
  makeShape("a tree", ["p", 1], ["p", "1"], { ...apart, prefix: ["p", "ab"] }, {
    tree: true,
  }),
  makeShape("a tree of uneven keys", ["p"], ["p", ""], { a: "ab", b: "b" }, {
    tree: true,
  }),
  makeShape("alike on the wire", ["7"], [7n], alike),
  makeShape("alike in part", [null, "k"], [undefined, "k"], alike),
  makeShape("alike in a tree", [1, "-3"], [1, -3n], {
    ...alike,
    prefix: [1, "ab"],
  }, { tree: true }),
  makeShape("measured, and with a time to live", ["a"], [""], apart, {
    maxBytes: "1MiB",
    ttlMs: 1e9,
  }),
  makeShape("negatives not kept", ["a"], [0], apart, { negative: false }),
  makeShape("an argument beside the key", ["p", 1], ["p", 2], apart, {
    uncachedArgs: [2],
  }, true),
];

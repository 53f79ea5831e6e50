/**
 * What can be said of a cached method.
 *
 * @module
 */

import type { OptionNames } from "../runtime/option_names.ts";
import type { KeyPart } from "../streams/builtin_streams.ts";
import { type CacheLimits, LIMIT_OPTIONS } from "./cache_options.ts";
import type { CachedMethod } from "./cached_method.ts";
import type { KeyArgument } from "./key_parts.ts";

/** Options of `cached`. */
export interface CachedOptions extends CacheLimits {
  /**
   * The cache's name in the `caches` stream, the same in every process.
   *
   * @default {the method's name}
   */
  readonly name?: string | undefined;

  /**
   * What is invalidated with an entry of this cache: entries of caches that
   * depend on it. It is asked in every process, for each invalidation of this
   * cache, whether or not the entry is there; it must not depend on anything else.
   *
   * @param key The arguments of the entry, those that a prefix gives, or `null`
   *   for the whole cache.
   */
  readonly onInvalidate?:
    | ((
      key: readonly KeyPart[] | null,
    ) => Iterable<
      readonly [
        cache: string | CachedMethod,
        key: readonly KeyArgument[] | null,
      ]
    >)
    | undefined;
}

/** Options of `cached` where some arguments don't belong to the key. */
export interface UncachedArgsOptions<
  Positions extends readonly number[] = readonly number[],
> extends CachedOptions {
  /**
   * The positions, from 0, of arguments that don't belong to the key, such as a
   * transaction. An `AbortSignal` among them is each caller's own: who aborts
   * waits no more, and the method's own signal aborts once nobody waits.
   *
   * What could be part of a key by its type can't be left out here, as nobody
   * could tell so where the method is invalidated: leave it out by `keyOf`.
   */
  readonly uncachedArgs: Positions;
}

/**
 * Nothing to ask of a method that some of its arguments are no part of its keys;
 * else what can't be. Positions that are known at run time only are trusted.
 */
export type LeavesOut<
  Args extends readonly unknown[],
  Positions extends readonly number[],
> = number extends Positions[number] ? unknown
  : [Misfits<Args, `${Positions[number]}`>] extends [never] ? unknown
  : { readonly [Why in Misfits<Args, `${Positions[number]}`>]: never };

/** Why arguments and the positions that are left out, as texts, don't fit. */
export type Misfits<Args extends readonly unknown[], Left extends string> = {
  [Index in keyof Args]-?: 0 extends 1 & Args[Index] ? never
    : Index extends Left
      ? [Args[Index]] extends [KeyArgument]
        ? "an argument that can be part of a key is left out: use keyOf"
      : never
    : [Args[Index]] extends [KeyArgument] ? never
    : "an argument that is not left out can't be part of a key";
}[number];

/** What no argument is: it tells a list of arguments from the widest that there can be. */
export interface NoArgument {
  /** Nothing has it. */
  readonly "no argument is this": never;
}

/**
 * Nothing to ask of a method whose arguments can be a key; else what can't be.
 * Where one may be anything (`unknown`) the compiler puts the widest list that
 * is allowed in the arguments' place, and that is no method's own.
 */
export type TakesKeys<Args extends readonly unknown[]> =
  readonly (KeyArgument | NoArgument)[] extends Args
    ? { readonly "an argument may be what can't be part of a key": never }
    : unknown;

/** Options of `cached` where the key is made of the arguments. */
export interface KeyOfOptions<Args extends readonly unknown[]>
  extends CachedOptions {
  /** Makes an entry's key of the arguments; must depend on nothing else. */
  readonly keyOf: (...args: Args) => KeyArgument | readonly KeyArgument[];
}

/** The names of all options of `cached`. */
export const CACHED_OPTIONS: OptionNames<
  CachedOptions & UncachedArgsOptions & KeyOfOptions<unknown[]>
> = {
  ...LIMIT_OPTIONS,
  name: true,
  onInvalidate: true,
  uncachedArgs: true,
  keyOf: true,
};

/**
 * Loading many entries of one cache at once.
 *
 * @module
 */

import { HeadwaterError, quote, show } from "../runtime/errors.ts";
import { MAX_LIST_KEYS } from "../runtime/limits.ts";
import { type OptionNames, requireNames } from "../runtime/option_names.ts";
import { abortable, type Deferred, deferred } from "../runtime/waiting.ts";
import type { CacheableMethod, CachesOwner } from "./cached.ts";
import { type CachedMethod, findCacheBinding } from "./cached_method.ts";
import { isCount } from "./cache_options.ts";
import { checkKey, type KeyArgument } from "./key_parts.ts";
import type { KeyedCache } from "./keyed_cache.ts";
import type { LoadTime } from "./load_runner.ts";
import type { SharedLoads } from "./shared_loads.ts";

/** Options of {@linkcode cachedList}. */
export interface CachedListOptions {
  /** The name of the method that loads one entry, and has the cache. */
  readonly of: string;

  /**
   * How many keys one load is given at most; more are loaded in several.
   *
   * @default {10_000}
   */
  readonly maxKeys?: number | undefined;
}

/** The names of {@linkcode CachedListOptions}. */
export const LIST_OPTIONS: OptionNames<CachedListOptions> = {
  of: true,
  maxKeys: true,
};

/** A method with one list among its arguments, whose result says what it found. */
export type ListMethod<
  This,
  Args extends readonly unknown[],
  Key extends KeyArgument,
  Value,
> = CacheableMethod<This, Args, ReadonlyMap<Key, Value>>;

/** A list's arguments, for one of its items. */
export type ItemArguments<Args extends readonly unknown[]> = {
  [Index in keyof Args]: Args[Index] extends readonly KeyArgument[]
    ? Args[Index][number]
    : Args[Index];
};

/**
 * Nothing to ask of a list's method whose arguments, for one of its items, are
 * those of the single method, and whose values are, too; else what can't be.
 * Their keys would not be the same, or an entry not what its reader expects. A
 * single method that can't be seen from here is trusted.
 */
export type FitsSingle<Args extends readonly unknown[], Value, Single> =
  [Single] extends [never] ? unknown
    : Single extends (...args: infer Key) => Promise<infer One>
      ? ItemArguments<Args> extends Key
        ? [Value] extends [One]
          ? [null extends One ? undefined : Value] extends [One] ? unknown
          : {
            readonly "what is not found is undefined: let it be so of one":
              never;
          }
        : { readonly "the values are not those of the single method": never }
      : { readonly "the arguments are not those of the single method": never }
    : { readonly "there is no such method": never };

/**
 * Gives a method that loads many entries the cache of the method that loads one.
 *
 * - One argument is the list; in its place the single method has one of its
 *   items. The others are the same.
 * - What is cached, or being loaded, is served; the rest is loaded in one call,
 *   each key once. The method is called with a list of those.
 * - The method returns what it found by item; what it leaves out is kept as
 *   `undefined`: it says that there is nothing, as `null` does.
 * - Entries are kept, invalidated and fenced one by one.
 * - The single method doesn't call the list's, which would wait for the very
 *   load that called it; let both call a third that has no cache.
 * - Arguments that are no part of the single method's keys (`uncachedArgs`)
 *   stand at the same positions here. A signal among them ends its caller's
 *   wait, and not the load: others may wait for any of its keys.
 *
 * @param options The single method.
 * @returns A standard (TC39) method decorator.
 *
 * @example Usage
 * ```ts
 * import { cached, Store } from "headwater";
 * import { cachedList } from "headwater/caches";
 *
 * interface Database {
 *   users: { id: string; name: string };
 * }
 *
 * class Users extends Store<Database> {
 *   @cached({ maxEntries: 50_000 })
 *   async getName(id: string): Promise<string | undefined> {
 *     return (await this.#loadNames([id])).get(id);
 *   }
 *
 *   @cachedList({ of: "getName" })
 *   async getNames(ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
 *     return await this.#loadNames(ids);
 *   }
 *
 *   async #loadNames(ids: readonly string[]): Promise<Map<string, string>> {
 *     const rows = await this.db.selectFrom("users").select(["id", "name"])
 *       .where("id", "in", [...ids]).execute();
 *     return new Map(rows.map(({ id, name }) => [id, name]));
 *   }
 * }
 * ```
 */
export function cachedList<const Of extends string>(
  options: CachedListOptions & { readonly of: Of },
): <
  This extends CachesOwner,
  Args extends readonly unknown[],
  Key extends KeyArgument,
  Value,
>(
  method: ListMethod<This, Args, Key, Value>,
  context:
    & ClassMethodDecoratorContext<This, ListMethod<This, Args, Key, Value>>
    & FitsSingle<
      Args,
      Value,
      This extends Readonly<Record<Of, infer S>> ? S : never
    >,
) => ListMethod<This, Args, Key, Value> {
  requireNames("cache a list", LIST_OPTIONS, options);
  const { of } = options;
  const maxKeys = checkMaxKeys(of, options);
  return (method, context) => {
    const listed: typeof method = async function (...args) {
      const load = (...given: typeof args) =>
        Reflect.apply(method, this, given);
      const binding = bindingOf(Reflect.get(this, of), of);
      return await loadList(binding, load, args, maxKeys);
    };
    context.addInitializer(function () {
      // As of a cached method: `this` is the store, however it is called.
      if (Reflect.get(this, context.name) !== listed) return;
      const bound = listed.bind(this);
      Object.defineProperty(this, context.name, { value: bound });
    });
    return listed;
  };
}

/**
 * Gives a function that loads many entries the cache of a cached function.
 *
 * @param single A function that `cachedFunction` has made, or a decorated method.
 * @param load Loads what isn't cached.
 * @param options How much one load may be asked for.
 * @returns The function with the cache before it.
 * @throws {HeadwaterError} `NOT_CACHED` if the single function has no cache;
 *   `INVALID_ARGUMENT` if its keys are made by `keyOf`, or for a bad `maxKeys`.
 */
export function cachedListFunction<
  Args extends readonly unknown[],
  Key extends KeyArgument,
  Value,
  Single extends CachedMethod,
>(
  single: Single & FitsSingle<Args, Value, Single>,
  load: (...args: Args) => Promise<ReadonlyMap<Key, Value>>,
  options: Pick<CachedListOptions, "maxKeys"> = {},
): (...args: Args) => Promise<ReadonlyMap<Key, Value>> {
  requireNames("cache a list", LIST_OPTIONS, options);
  const binding = bindingOf(single, single.name);
  const maxKeys = checkMaxKeys(binding.cache.name, options);
  return (...args) => loadList(binding, load, args, maxKeys);
}

function checkMaxKeys(
  name: string,
  { maxKeys = MAX_LIST_KEYS }: Pick<CachedListOptions, "maxKeys">,
): number {
  if (isCount(maxKeys)) return maxKeys;
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot load lists of "${name}": maxKeys is ${
      show(maxKeys)
    }; give a positive integer`,
  );
}

/** The cache of a single method, and which of the arguments are no part of its key. */
interface Single {
  readonly cache: KeyedCache;
  readonly isBeside: (position: number) => boolean;
  readonly loads: SharedLoads | undefined;
}

function bindingOf(method: unknown, name: string): Single {
  const binding = findCacheBinding(method);
  if (binding === undefined) {
    throw new HeadwaterError(
      "NOT_CACHED",
      `Cannot load a list of ${quote(name)}: it has no cache; ` +
        "name a method that is decorated with @cached",
    );
  }
  const { cache, keyOf, loads, uncachedArgs = [] } = binding;
  if (cache !== undefined && keyOf === undefined) {
    const isBeside = (position: number) => uncachedArgs.includes(position);
    return { cache, isBeside, loads };
  }
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot load a list of ${quote(name)}: ` +
      (cache === undefined
        ? "it is not attached to a store"
        : "its keys are made by keyOf"),
  );
}

async function loadList<
  Args extends readonly unknown[],
  Key extends KeyArgument,
  Value,
>(
  { cache, isBeside, loads }: Single,
  load: (...args: Args) => Promise<ReadonlyMap<Key, Value>>,
  args: Args,
  maxKeys: number,
): Promise<ReadonlyMap<Key, Value>> {
  const at = args.findIndex((argument, position) =>
    Array.isArray(argument) && !isBeside(position)
  );
  if (at < 0) throw noList(cache.name);
  const isSignal = (argument: unknown, position: number) =>
    argument instanceof AbortSignal && isBeside(position);
  const signal = args.find(isSignal) as AbortSignal | undefined;
  signal?.throwIfAborted();
  const keyOf = (item: unknown) =>
    args.map((argument, index) => index === at ? item : argument)
      .filter((_, position) => !isBeside(position)) as KeyArgument[];
  const list = args[at] as unknown as readonly Key[];
  // Before the first load: what is begun must come to an end.
  for (const item of list) checkKey(cache.name, keyOf(item));
  const entries = new Map<Key, Promise<Value | undefined>>();
  const missing = new Map<Key, Deferred<Value | undefined>>();
  const old: Key[] = [];
  const now = () => cache.runner.now();
  /** Of each load, by its place. */
  const times: LoadTime[] = [];
  for (const item of list) {
    if (entries.has(item)) continue;
    const key = keyOf(item);
    let entry = cache.get(key) as Promise<Value | undefined> | undefined;
    if (entry === undefined) {
      entry = cache.stale?.get(key) as typeof entry;
      if (entry !== undefined) old.push(item);
    }
    if (entry === undefined) {
      const loading = deferred<Value | undefined>();
      const time = times[Math.floor(missing.size / maxKeys)] ??= now();
      entry = cache.keep(key, () => loading.promise, time);
      missing.set(item, loading);
    }
    // Who joins a single caller's load keeps it from being aborted.
    entries.set(item, loads?.wait(entry, signal) ?? entry);
  }
  const begin = (
    wanted: ReadonlyMap<Key, Deferred<Value | undefined>>,
    times: readonly LoadTime[],
  ) => {
    const items = [...wanted.keys()];
    for (let from = 0; from < items.length; from += maxKeys) {
      const some = items.slice(from, from + maxKeys);
      const given: readonly unknown[] = args.map((argument, position) => {
        if (position === at) return some;
        // Others may wait for any of the keys: one caller's signal ends its wait.
        return isSignal(argument, position) ? NEVER_ABORTS : argument;
      });
      const time = times[from / maxKeys];
      const loadSome = () =>
        cache.runner.run(() => load(...given as Args), time);
      void settle(cache.name, loadSome, some, wanted);
    }
  };
  begin(missing, times);
  if (old.length > 0) {
    cache.stale?.revalidate(old.map(keyOf), (indices, time) => {
      const due = new Map(
        indices.map((index) => [
          old[index] as Key,
          deferred<Value | undefined>(),
        ]),
      );
      // One time for all of them: that of the first load.
      begin(due, [time]);
      return Array.from(due.values(), ({ promise }) => promise);
    });
  }
  return await abortable(collect(entries), signal);
}

/** Loads some entries, and ends the loads that wait for them. */
async function settle<Key, Value>(
  name: string,
  load: () => Promise<ReadonlyMap<Key, Value>>,
  items: readonly Key[],
  missing: ReadonlyMap<Key, Deferred<Value | undefined>>,
): Promise<void> {
  try {
    const found = await load();
    if (!(found instanceof Map)) throw noMap(name);
    for (const item of items) missing.get(item)?.resolve(found.get(item));
  } catch (error) {
    for (const item of items) missing.get(item)?.reject(error);
  }
}

async function collect<Key, Value>(
  entries: ReadonlyMap<Key, Promise<Value | undefined>>,
): Promise<ReadonlyMap<Key, Value>> {
  const found = new Map<Key, Value>();
  const values = await Promise.all(entries.values());
  let index = 0;
  for (const item of entries.keys()) {
    const value = values[index];
    if (value !== undefined && value !== null) found.set(item, value);
    index += 1;
  }
  return found;
}

const NEVER_ABORTS = new AbortController().signal;

function noList(name: string): HeadwaterError {
  return new HeadwaterError(
    "KEY_INVALID",
    `Cannot load a list of "${name}": none of the arguments is an array`,
  );
}

function noMap(name: string): HeadwaterError {
  return new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot load a list of "${name}": the method gave no Map; ` +
      "return a Map from each item that was found to its value",
  );
}

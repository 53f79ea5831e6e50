// Stores with a cache of each kind, without a database.

import type { Test } from "tap";
import { z } from "zod";
import { CACHES } from "../../src/caches/cached.ts";
import { CacheRegistry } from "../../src/caches/cache_registry.ts";
import {
  type CacheSizeOptions,
  CacheSizes,
} from "../../src/caches/cache_sizes.ts";
import { cachedFunction } from "../../src/caches/cached_function.ts";
import { defineCacheGroup } from "../../src/caches/cache_groups.ts";
import { ChangeCache } from "../../src/caches/change_cache.ts";
import { DictionaryCache } from "../../src/caches/dictionary_cache.ts";
import { ResponseCache } from "../../src/caches/response_cache.ts";
import { TtlCache } from "../../src/caches/ttl_cache.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import {
  onTelemetry,
  type TelemetryEventName,
  type TelemetryEvents,
} from "../../src/telemetry/mod.ts";
import { manualClock } from "./manual_clock.ts";

export const KIB = 1024;
const people = defineCacheGroup("people", z.tuple([z.string()]), () => []);

/** A value that takes a KiB. */
const large = () => "x".repeat(KIB);

export function openStore(options: CacheSizeOptions = {}) {
  const clock = manualClock();
  const sizes = new CacheSizes(options);
  const registry = new CacheRegistry([people], silentLogger, clock, sizes);
  const store = { [CACHES]: registry };
  const stats = (name: string) =>
    registry.cacheStats().find((each) => each.name === name);
  return { registry, store, clock, stats };
}

/** One of each kind, and a method. */
export function openAll(options: CacheSizeOptions = {}) {
  const opened = openStore(options);
  const { store, clock } = opened;
  const load = (_key: number) => Promise.resolve(large());
  return {
    ...opened,
    method: cachedFunction({ store, name: "method", maxEntries: 10_000 }, load),
    ttl: new TtlCache<number, string>({
      store,
      name: "ttl",
      ttlMs: 60_000,
      clock,
    }),
    responses: new ResponseCache<number, string>({
      store,
      name: "responses",
      keepMs: 60_000,
      clock,
    }),
    dictionaries: new DictionaryCache<number, string, string>({
      store,
      name: "dictionaries",
    }),
    changes: new ChangeCache<string>({
      store,
      name: "changes",
      earliestKnown: 0,
    }),
  };
}

type All = ReturnType<typeof openAll>;

export const NAMES = [
  "method",
  "ttl",
  "responses",
  "dictionaries",
  "changes",
] as const;

/** Puts something of about a KiB into a cache of each kind, by a number. */
export const fillers: Record<
  typeof NAMES[number],
  (all: All, key: number) => unknown
> = {
  method: ({ method }, key) => method(key),
  ttl: ({ ttl }, key) => ttl.set(key, large()),
  responses: ({ responses }, key) => responses.get(key, large),
  dictionaries: ({ dictionaries }, key) =>
    dictionaries.update(dictionaries.generation, key, [["a", large()]], ["a"]),
  changes: ({ changes }, key) => changes.changed(`${large()}${key}`, key),
};

/** Uses what was put in, and says whether it was there. */
export const readers: Record<
  typeof NAMES[number],
  (all: All, key: number) => boolean
> = {
  method: ({ method, stats }, key) => {
    const misses = () => stats("method")?.misses;
    const before = misses();
    void method(key);
    return misses() === before;
  },
  ttl: ({ ttl }, key) => ttl.get(key) !== undefined,
  responses: ({ responses, stats }, key) => {
    const misses = () => stats("responses")?.misses;
    const before = misses();
    void responses.get(key, large);
    return misses() === before;
  },
  dictionaries: ({ dictionaries }, key) =>
    dictionaries.get(key, ["a"]).missing.length === 0,
  changes: ({ changes }, key) => changes.allChangedSince(key - 1) !== undefined,
};

export const range = (count: number, from: number) =>
  Array.from({ length: count }, (_, index) => from + index);

export const bytesOf = ({ registry }: All) =>
  registry.cacheStats().reduce((sum, { bytes = 0 }) => sum + bytes, 0);

/** What the cache events say, in order. */
export function hear(t: Test) {
  const heard: string[] = [];
  const listen = (name: TelemetryEventName & `headwater:cache-${string}`) =>
    t.teardown(onTelemetry(name, (event: TelemetryEvents[typeof name]) => {
      const [, what = ""] = name.split("headwater:cache-");
      heard.push(`${event.cache} ${what} ${event.key?.join() ?? "all"}`);
    }));
  for (
    const what of [
      "hit",
      "miss",
      "load",
      "evict",
      "invalidate",
      "fenced",
    ] as const
  ) listen(`headwater:cache-${what}`);
  return () => heard.splice(0);
}

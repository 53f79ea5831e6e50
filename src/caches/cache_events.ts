/**
 * Telling what caches do, where somebody listens.
 *
 * @module
 */

import type { KeyPart } from "../streams/builtin_streams.ts";
import {
  cacheEvictions,
  cacheHits,
  cacheInvalidations,
  cacheLoads,
  cacheMisses,
  fencedLoads,
} from "../telemetry/channels.ts";
import { partsOf } from "./entry_parts.ts";
import type { EntryKey } from "./entry.ts";
import type { KeyArgument } from "./key_parts.ts";

// Each is a question of one channel while nobody listens: it is inlined.

/** Whether anybody listens to hits. */
export function isHitHeard(): boolean {
  return cacheHits.isHeard;
}

/** Whether anybody listens to misses. */
export function isMissHeard(): boolean {
  return cacheMisses.isHeard;
}

/** An entry was found. */
export function tellHit(cache: string, key: readonly KeyArgument[]): void {
  if (cacheHits.isHeard) cacheHits.publish({ cache, key });
}

/** None was found: a load begins. */
export function tellMiss(cache: string, key: readonly KeyArgument[]): void {
  if (cacheMisses.isHeard) cacheMisses.publish({ cache, key });
}

/** A load has ended, after so many ms. */
export function tellLoad(
  cache: string,
  key: readonly KeyArgument[],
  ms: number,
  isLoaded: boolean,
): void {
  if (cacheLoads.isHeard) cacheLoads.publish({ cache, key, ms, isLoaded });
}

/** A load has ended after its entry had gone. */
export function tellFenced(cache: string, key: readonly KeyArgument[]): void {
  if (fencedLoads.isHeard) fencedLoads.publish({ cache, key });
}

/** An entry has gone for lack of room. */
export function tellEviction(cache: string, key: EntryKey): void {
  if (cacheEvictions.isHeard) {
    cacheEvictions.publish({ cache, key: partsOf(key) });
  }
}

/** {@linkcode tellEviction}, of an entry that no table holds. */
export function tellEvicted(cache: string, key: readonly KeyArgument[]): void {
  if (cacheEvictions.isHeard) cacheEvictions.publish({ cache, key });
}

/** Entries have gone as wrong: those of a key, or of the whole cache. */
export function tellInvalidation(
  cache: string,
  key: readonly KeyArgument[] | NonNullable<KeyPart> | null,
  entries: number,
): void {
  if (!cacheInvalidations.isHeard || entries === 0) return;
  const list = typeof key === "object" ? key : [key];
  cacheInvalidations.publish({ cache, key: list, entries });
}

/**
 * One name that stands for invalidations of several caches.
 *
 * @module
 */

import type { z } from "zod";
import { HeadwaterError, quote } from "../runtime/errors.ts";
import type { KeyPart } from "../streams/builtin_streams.ts";
import { type CachedMethod, cacheNameOf, namedKeyOf } from "./cached_method.ts";
import type { KeyArgument } from "./key_parts.ts";

/** One cache (its name, or its method) and one of its keys; `null` is the whole cache. */
export type Invalidation = readonly [
  cache: string | CachedMethod,
  key: readonly KeyArgument[] | null,
];

/** A name on the wire that every reader expands for itself. */
export interface CacheGroup<Key extends readonly KeyPart[] = KeyPart[]> {
  /** The name, in the `caches` stream. */
  readonly name: string;
  /** What its key is. */
  readonly schema: z.ZodType<Key>;
  /** What it stands for. */
  expand(key: Key): Iterable<Invalidation>;
}

/**
 * Declares a cache group. Writers and readers share the declaration.
 *
 * @param name Its name in the `caches` stream; not that of a cache.
 * @param schema What its key is.
 * @param expand What a key stands for. Called in every process; must not depend on anything else.
 * @returns The group, for the option `groups` and for `txn.invalidateGroup`.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` if the name is empty.
 *
 * @example A room's caches
 * ```ts
 * import { equal } from "node:assert/strict";
 * import { defineCacheGroup } from "headwater";
 * import { z } from "zod";
 *
 * const room = defineCacheGroup("room", z.tuple([z.string()]), ([roomId]) => [
 *   ["get_room", [roomId]],
 *   ["get_members", [roomId]],
 * ]);
 * equal(room.name, "room");
 * ```
 */
export function defineCacheGroup<Key extends readonly KeyPart[]>(
  name: string,
  schema: z.ZodType<Key>,
  expand: (key: Key) => Iterable<Invalidation>,
): CacheGroup<Key> {
  if (typeof name !== "string" || name === "") {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot define cache group ${quote(String(name))}: give a name`,
    );
  }
  return Object.freeze({ name, schema, expand });
}

/**
 * What a group's key stands for, caches by name.
 *
 * @param group The group.
 * @param key Its key, perhaps from the wire.
 * @throws {HeadwaterError} `KEY_INVALID` if the key is not the group's, or it
 *   stands for a key that can't be.
 */
export function expandGroup(
  group: CacheGroup,
  key: readonly KeyPart[] | null,
): (readonly [string, readonly KeyPart[] | null])[] {
  const checked = group.schema.safeParse(key);
  if (!checked.success) {
    throw new HeadwaterError(
      "KEY_INVALID",
      `Cannot invalidate group "${group.name}" with key ${
        quote(JSON.stringify(key))
      }: ${checked.error.issues[0]?.message}`,
      { cause: checked.error },
    );
  }
  return Array.from(group.expand(checked.data), ([cache, parts]) => {
    const name = cacheNameOf(cache);
    // A key that no entry can have would invalidate nothing, unnoticed.
    return [name, parts && namedKeyOf(cache, parts)] as const;
  });
}

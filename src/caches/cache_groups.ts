/**
 * One name that stands for invalidations of several caches.
 *
 * @module
 */

import type { z } from "zod";
import { HeadwaterError, quote } from "../runtime/errors.ts";
import { askSchema } from "../runtime/schemas.ts";
import type { KeyPart } from "../streams/builtin_streams.ts";
import {
  type CachedMethod,
  cacheNameOf,
  type KeyArguments,
  type KeyPrefix,
  namedKeyOf,
} from "./cached_method.ts";
import type { KeyArgument } from "./key_parts.ts";

/** One cache (its name, or its method) and one of its keys; `null` is the whole cache. */
export type Invalidation = readonly [
  cache: string | CachedMethod,
  key: readonly KeyArgument[] | null,
];

/**
 * What may name entries of a cache in an {@linkcode Invalidation}: a method's
 * own arguments, those of them that belong to its key; or the first of them,
 * where the cache is a tree. By its name, any key.
 */
export type InvalidationKey<Cache> = Cache extends
  (...args: infer Args) => unknown
  ? unknown extends Args[number] ? readonly KeyArgument[]
  : Readonly<KeyArguments<Args> | KeyPrefix<KeyArguments<Args>>>
  : readonly KeyArgument[];

/** An invalidation itself; where its key is none of its method, what it should be. */
export type CheckedInvalidation<Given extends Invalidation> = Given extends
  readonly [infer Cache extends Invalidation[0], infer Key]
  ? [Key] extends [InvalidationKey<Cache> | null] ? Given
  : readonly [cache: Cache, key: InvalidationKey<Cache> | null]
  : never;

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
 * @param expand What a key stands for: caches by their methods, whose keys are
 *   checked by the compiler, or by their names, where a method isn't at hand. A
 *   cache that a process doesn't have is passed over there. Called in every
 *   process; must not depend on anything else.
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
 *
 * @example Methods, whose keys are typed
 * ```ts
 * import { cached, defineCacheGroup, Store } from "headwater";
 * import { z } from "zod";
 *
 * class Rooms extends Store<unknown> {
 *   @cached({ maxEntries: 1_000 })
 *   async getRoom(roomId: string): Promise<string> {
 *     return await Promise.resolve(roomId);
 *   }
 * }
 *
 * defineCacheGroup("room", z.tuple([z.string()]), ([roomId]) => [
 *   [Rooms.prototype.getRoom, [roomId]], // [5], or [roomId, 5], doesn't compile
 *   ["get_members", [roomId]],
 * ]);
 * ```
 */
export function defineCacheGroup<
  Key extends readonly KeyPart[],
  const Given extends Invalidation = Invalidation,
>(
  name: string,
  schema: z.ZodType<Key>,
  expand: (key: Key) => Iterable<Given & CheckedInvalidation<Given>>,
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
  const action = () => `invalidate group "${group.name}"`;
  const checked = askSchema(action, group.schema, key);
  if (!checked.success) {
    throw new HeadwaterError(
      "KEY_INVALID",
      `Cannot ${action()} with key ${quote(JSON.stringify(key))}: ${
        checked.error.issues[0]?.message
      }`,
      { cause: checked.error },
    );
  }
  return Array.from(group.expand(checked.data), ([cache, parts]) => {
    const name = cacheNameOf(cache);
    // A key that no entry can have would invalidate nothing, unnoticed.
    return [name, parts && namedKeyOf(cache, parts)] as const;
  });
}

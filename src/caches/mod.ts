/**
 * Caches that stand alone: for what no method of a store is.
 *
 * @module
 */

export { ChangeCache } from "./change_cache.ts";
export type {
  ChangeCacheLimits,
  ChangeCacheOptions,
  ChangeCacheStats,
} from "./change_cache.ts";
export { defineChangeCache } from "./change_definition.ts";
export type {
  ChangeCacheDeclaration,
  DefinedChangeCache,
} from "./change_definition.ts";
export type { Changes } from "./changes.ts";
export { DictionaryCache } from "./dictionary_cache.ts";
export type {
  DictionaryCacheOptions,
  DictionaryCacheStats,
  KnownDictionary,
  KnownSubKeys,
} from "./dictionary_cache.ts";
export type { PlainKey } from "./plain_key.ts";
export { ResponseCache } from "./response_cache.ts";
export type {
  ResponseCacheOptions,
  ResponseCacheStats,
} from "./response_cache.ts";
export { TtlCache } from "./ttl_cache.ts";
export type {
  ExpiringEntry,
  TtlCacheOptions,
  TtlCacheStats,
} from "./ttl_cache.ts";

/**
 * Caches: of methods, of functions, and of lists; and those that stand alone:
 * of what has changed, of answers, of entries that expire, of dictionaries.
 *
 * @module
 */

export { cached } from "./cached.ts";
export { cachedFunction } from "./cached_function.ts";
export { CacheMemory } from "./cache_memory.ts";
export { cachedList, cachedListFunction } from "./cached_list.ts";
export { ChangeCache } from "./change_cache.ts";
export { defineCacheGroup } from "./cache_groups.ts";
export { defineChangeCache } from "./change_definition.ts";
export { DictionaryCache } from "./dictionary_cache.ts";
export { ResponseCache } from "./response_cache.ts";
export { TtlCache } from "./ttl_cache.ts";

export type {
  CacheableMethod,
  CacheDecorator,
  CachesOwner,
  KeyDecorator,
  LeavingDecorator,
} from "./cached.ts";
export type {
  CachedOptions,
  KeyOfOptions,
  LeavesOut,
  Misfits,
  NoArgument,
  TakesKeys,
  UncachedArgsOptions,
} from "./cached_options.ts";
export type { CachedFunctionOwner } from "./cached_function.ts";
export type {
  CachedListOptions,
  FitsSingle,
  ItemArguments,
  ListMethod,
} from "./cached_list.ts";
export type {
  CachedMethod,
  IsHalfKey,
  KeyArguments,
  KeyPrefix,
  NamingArguments,
} from "./cached_method.ts";
export type {
  CacheGroup,
  CheckedInvalidation,
  Invalidation,
  InvalidationKey,
} from "./cache_groups.ts";
export type {
  CacheBound,
  CacheLimits,
  ResizableLimits,
} from "./cache_options.ts";
export type { CacheFactorOptions } from "./cache_factors.ts";
export type { CacheMemoryOptions, CacheMemoryStats } from "./cache_memory.ts";
export type { CacheSizeOptions, ResizeCachesOptions } from "./cache_sizes.ts";
export type { CacheStats } from "./cache_stats.ts";
export type {
  ChangeCacheDeclaration,
  DefinedChangeCache,
} from "./change_definition.ts";
export type {
  ChangeCacheLimits,
  ChangeCacheOptions,
  ChangeCacheStats,
} from "./change_cache.ts";
export type { Changes } from "./changes.ts";
export type {
  DictionaryCacheOptions,
  DictionaryCacheStats,
  KnownDictionary,
  KnownSubKeys,
} from "./dictionary_cache.ts";
export type { ByteSize } from "../runtime/bytes.ts";
export type { KeyArgument } from "./key_parts.ts";
export type { KeyPart } from "../streams/builtin_streams.ts";
export type { PlainCacheOptions, PlainCacheOwner } from "./plain_cache.ts";
export type { PlainKey } from "./plain_key.ts";
export type {
  ResponseCacheOptions,
  ResponseCacheStats,
} from "./response_cache.ts";
export type {
  ExpiringEntry,
  TtlCacheOptions,
  TtlCacheStats,
} from "./ttl_cache.ts";

/**
 * Caches: of methods, of functions, and of lists; what names their entries.
 *
 * @module
 */

export { cached } from "./cached.ts";
export { cachedFunction } from "./cached_function.ts";
export { cachedList, cachedListFunction } from "./cached_list.ts";
export { defineCacheGroup } from "./cache_groups.ts";

export type { CacheableMethod, CachesOwner } from "./cached.ts";
export type {
  CachedOptions,
  KeyOfOptions,
  UncachedArgsOptions,
} from "./cached_options.ts";
export type { CachedFunctionOwner } from "./cached_function.ts";
export type { CachedListOptions } from "./cached_list.ts";
export type { CachedMethod, KeyArguments, KeyPrefix } from "./cached_method.ts";
export type { CacheGroup, Invalidation } from "./cache_groups.ts";
export type { CacheBound, CacheLimits } from "./cache_options.ts";
export type { CacheStats } from "./cache_stats.ts";
export type { ByteSize } from "../runtime/bytes.ts";
export type { KeyArgument } from "./key_parts.ts";
export type { KeyPart } from "../streams/builtin_streams.ts";

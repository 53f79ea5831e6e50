/**
 * The streams and cache groups that writers and readers both declare.
 *
 * @module
 */

import type { CacheGroup } from "../caches/cache_groups.ts";
import { CacheRegistry } from "../caches/cache_registry.ts";
import { type Logger, silentLogger } from "../runtime/logger.ts";
import type { Stream } from "../streams/stream.ts";
import { StreamRegistry } from "../streams/stream_registry.ts";

/** What an application adds to the log: the same in every process. */
export interface DeclarationOptions {
  /** Streams of your own. */
  readonly streams?: readonly Stream[] | undefined;

  /** Cache groups. */
  readonly groups?: readonly CacheGroup[] | undefined;

  /**
   * Takes what the store has to say.
   *
   * @default {nothing is said}
   */
  readonly logger?: Logger | undefined;
}

/** Declarations, checked and by name. */
export interface Declarations {
  readonly streams: StreamRegistry;
  readonly caches: CacheRegistry;
}

/**
 * Checks what an application declares, before anything is opened.
 *
 * @throws {HeadwaterError} `INVALID_ARGUMENT` if two share a name.
 */
export function declare(options: DeclarationOptions): Declarations {
  const { streams = [], groups = [], logger = silentLogger } = options;
  return {
    streams: new StreamRegistry(streams),
    caches: new CacheRegistry(groups, logger),
  };
}

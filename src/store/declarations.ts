/**
 * The streams and cache groups that writers and readers both declare.
 *
 * @module
 */

import type { CacheGroup } from "../caches/cache_groups.ts";
import { CacheRegistry } from "../caches/cache_registry.ts";
import { type CacheSizeOptions, CacheSizes } from "../caches/cache_sizes.ts";
import {
  environmentOf,
  type EnvironmentOptions,
} from "../runtime/environment.ts";
import { environmentVariables } from "../runtime/environment_variables.ts";
import { FACTOR_VARIABLE } from "../caches/cache_factors.ts";
import { type Logger, silentLogger } from "../runtime/logger.ts";
import type { Stream } from "../streams/stream.ts";
import { StreamRegistry } from "../streams/stream_registry.ts";
import { createWireNames, type WireNames } from "../streams/wire_names.ts";

/** What an application adds to the log: the same in every process. */
export interface DeclarationOptions extends CacheSizeOptions {
  /** Streams of your own. */
  readonly streams?: readonly Stream[] | undefined;

  /**
   * What the built-in streams' names, `caches` and `events`, begin with on the
   * wire: the same in every process. For those who follow a server that has
   * streams of these names, or whose readers do.
   *
   * @default {""}
   */
  readonly streamPrefix?: string | undefined;

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
  readonly wireNames: WireNames;
  readonly caches: CacheRegistry;
}

/**
 * Checks what an application declares, before anything is opened.
 *
 * @throws {HeadwaterError} `INVALID_ARGUMENT` if two share a name, or one can't be.
 */
export function declare(
  options: DeclarationOptions & EnvironmentOptions,
): Declarations {
  const { streams = [], groups = [], logger = silentLogger } = options;
  const { clock, random } = environmentOf(options);
  const variables = environmentVariables(FACTOR_VARIABLE);
  const sizes = new CacheSizes(options, variables, random);
  const names = new Set(streams.map(({ name }) => name));
  return {
    streams: new StreamRegistry(streams),
    wireNames: createWireNames(options.streamPrefix ?? "", names),
    caches: new CacheRegistry(groups, logger, clock, sizes),
  };
}

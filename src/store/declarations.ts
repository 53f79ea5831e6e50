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
import {
  CACHE_FACTOR_OPTIONS,
  FACTOR_VARIABLE,
} from "../caches/cache_factors.ts";
import { CACHES } from "../caches/cached.ts";
import type { DefinedChangeCache } from "../caches/change_definition.ts";
import { ChangeRegistry } from "../caches/change_registry.ts";
import type { Changes, ParsePosition } from "../caches/changes.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import { type Logger, silentLogger } from "../runtime/logger.ts";
import type { OptionNames } from "../runtime/option_names.ts";
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
   * Change caches, of `defineChangeCache` in `headwater/caches`: what has
   * changed since a position is then answered by `changes(…)`.
   */
  readonly changeCaches?: readonly DefinedChangeCache[] | undefined;

  /**
   * Takes what the store has to say.
   *
   * @default {nothing is said}
   */
  readonly logger?: Logger | undefined;
}

/** The names of {@linkcode DeclarationOptions}. */
export const DECLARATION_OPTIONS: OptionNames<DeclarationOptions> = {
  ...CACHE_FACTOR_OPTIONS,
  cacheMemory: true,
  streams: true,
  streamPrefix: true,
  groups: true,
  changeCaches: true,
  logger: true,
};

/** Declarations, checked and by name. */
export interface Declarations {
  readonly streams: StreamRegistry;
  readonly wireNames: WireNames;
  readonly caches: CacheRegistry;
  /** `undefined` if none are declared: nobody then spends any time on them. */
  readonly changes: ChangeRegistry | undefined;
}

/**
 * Checks what an application declares, before anything is opened.
 *
 * @throws {HeadwaterError} `INVALID_ARGUMENT` if two share a name, or one can't
 *   be; `STREAM_UNKNOWN` for a change cache of a stream that isn't declared.
 */
export function declare(
  options: DeclarationOptions & EnvironmentOptions,
): Declarations {
  const { streams = [], groups = [], changeCaches = [] } = options;
  const { logger = silentLogger } = options;
  requireDeclared("streams", streams, "defineStream");
  requireDeclared("groups", groups, "defineCacheGroup");
  requireDeclared("changeCaches", changeCaches, "defineChangeCache");
  const { clock, random } = environmentOf(options);
  const variables = environmentVariables(FACTOR_VARIABLE);
  const sizes = new CacheSizes(options, variables, random);
  const names = new Set(streams.map(({ name }) => name));
  const registry = new StreamRegistry(streams);
  for (const { stream } of changeCaches) registry.requireDurable(stream.name);
  const caches = new CacheRegistry(groups, logger, clock, sizes);
  return {
    streams: registry,
    wireNames: createWireNames(options.streamPrefix ?? "", names),
    caches,
    changes: changeCaches.length === 0
      ? undefined
      : new ChangeRegistry(changeCaches, logger, { [CACHES]: caches }),
  };
}

/** Refuses what `definedBy` has not given: a name, say, or an object of several. */
function requireDeclared(
  option: string,
  given: unknown,
  definedBy: string,
): void {
  const isDeclared = (each: unknown) =>
    typeof each === "object" && each !== null && "name" in each;
  if (Array.isArray(given) && given.every(isDeclared)) return;
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot open a store: ${option} is not an array of what ${definedBy} gives; ` +
      `give [${definedBy}(…), …]`,
  );
}

/**
 * What a declared change cache knows.
 *
 * @throws {HeadwaterError} `INVALID_ARGUMENT` if it was not declared.
 */
export function changesOf<Row, Entity extends string | number>(
  changes: ChangeRegistry | undefined,
  definition: DefinedChangeCache<Row, Entity>,
  parse: ParsePosition,
): Changes<Entity> {
  const registry = changes ?? new ChangeRegistry([], silentLogger);
  return registry.changes(definition, parse);
}

/**
 * Declaring a change cache that stores fill from a stream.
 *
 * @module
 */

import { requireBounds } from "../runtime/bounds.ts";
import { HeadwaterError, quote } from "../runtime/errors.ts";
import {
  MAX_CHANGE_POSITIONS,
  MAX_CHANGED_ENTITIES,
  MAX_PREFILL_TOKENS,
} from "../runtime/limits.ts";
import { type OptionNames, requireNames } from "../runtime/option_names.ts";
import type { Stream } from "../streams/stream.ts";
import type { ChangeCacheLimits } from "./change_cache.ts";

/** What a declared change cache is filled with, and how much it remembers. */
export interface ChangeCacheDeclaration<Row, Entity> extends ChangeCacheLimits {
  /** The stream whose rows tell of changes: `eventsStream`, or one of your own that is durable. */
  readonly stream: Stream<Row>;

  /**
   * The entities that a row tells a change of; `[]` for none. Called in every
   * process; must not depend on anything else. If it throws, everything may have
   * changed at that row's token.
   */
  readonly entities: (row: Row) => Iterable<Entity>;

  /**
   * How far back from its end the log is read as the store is opened, in tokens;
   * 0 to begin with nothing known.
   *
   * @default {100000}
   */
  readonly prefillTokens?: number | undefined;

  /**
   * Whether its bounds are meant as they are written: no factor of a store
   * changes them.
   *
   * @default {false}
   */
  readonly fixedSize?: boolean | undefined;
}

/** The names of {@linkcode ChangeCacheDeclaration}. */
export const DECLARATION_NAMES: OptionNames<
  ChangeCacheDeclaration<unknown, unknown>
> = {
  stream: true,
  entities: true,
  prefillTokens: true,
  fixedSize: true,
  maxPositions: true,
  maxEntities: true,
};

/** A change cache that was declared: for the option `changeCaches`. */
export interface DefinedChangeCache<
  Row = unknown,
  Entity extends string | number = string | number,
> {
  /** What it is called: in logs and errors, and among a store's caches. */
  readonly name: string;
  /** The stream that fills it. */
  readonly stream: Stream<Row>;
  /** Tokens of each instance whose changes it remembers. */
  readonly maxPositions: number;
  /** Entities that it remembers of each instance. */
  readonly maxEntities: number;
  /** How far back the log is read. */
  readonly prefillTokens: number;
  /** Whether no factor changes how much it remembers. */
  readonly fixedSize: boolean;
  /** The entities that a row tells a change of. */
  entities(row: Row): Iterable<Entity>;
}

/**
 * Declares a change cache, which stores fill from a stream: a slaved store as it
 * applies rows, before its handlers run and its position moves; a writer store
 * with what it commits itself. Both begin with what the log still has.
 *
 * @param name What it is called; each has a name of its own.
 * @param declaration The stream, what its rows change, and how much to remember.
 * @returns The declaration, for the option `changeCaches` and for `store.changes`.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for a name or a bound that can't be.
 *
 * @example Aggregates that have new events
 * ```ts
 * import { equal } from "node:assert/strict";
 * import { eventsStream, WriterStore } from "headwater";
 * import { defineChangeCache } from "headwater/caches";
 *
 * const aggregates = defineChangeCache("aggregates", {
 *   stream: eventsStream,
 *   entities: ([aggregate]) => [aggregate],
 * });
 * await using writer = await WriterStore.open({
 *   database: "sqlite::memory:",
 *   changeCaches: [aggregates],
 * });
 * const since = writer.position;
 * await writer.transaction("rename", async (txn) => {
 *   await txn.append("user:1", [{ type: "renamed", data: { name: "Bob" } }]);
 * });
 * equal(writer.changes(aggregates).hasChanged("user:1", since), true);
 * equal(writer.changes(aggregates).hasChanged("user:2", since), false);
 * ```
 */
export function defineChangeCache<Row, Entity extends string | number>(
  name: string,
  declaration: ChangeCacheDeclaration<Row, Entity>,
): DefinedChangeCache<Row, Entity> {
  const {
    stream,
    entities,
    maxPositions = MAX_CHANGE_POSITIONS,
    maxEntities = MAX_CHANGED_ENTITIES,
    prefillTokens = MAX_PREFILL_TOKENS,
    fixedSize = false,
  } = declaration;
  if (typeof name !== "string" || name === "") {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot define change cache ${quote(String(name))}: give a name`,
    );
  }
  const action = `define change cache "${name}"`;
  requireNames(action, DECLARATION_NAMES, declaration);
  requireBounds(action, declaration);
  if (!Number.isSafeInteger(prefillTokens) || prefillTokens < 0) {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot ${action}: prefillTokens is ${String(prefillTokens)}; ` +
        "give an integer, 0 or more",
    );
  }
  const bounds = { maxPositions, maxEntities, prefillTokens, fixedSize };
  return Object.freeze({ name, stream, entities, ...bounds });
}

/**
 * The change caches that an application declares, and filling them.
 *
 * @module
 */

import { HeadwaterError, quote } from "../runtime/errors.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Position } from "../tokens/position.ts";
import type { ChangeCache } from "./change_cache.ts";
import type { DefinedChangeCache } from "./change_definition.ts";
import {
  type Changes,
  InstanceChanges,
  type ParsePosition,
} from "./changes.ts";
import { FilledChanges } from "./filled_changes.ts";
import type { PlainCacheOwner } from "./plain_cache.ts";

type Entity = string | number;
type CachesOf<E extends Entity> = ReadonlyMap<string, ChangeCache<E>>;

/** Finds the change caches that a stream fills. */
export class ChangeRegistry {
  readonly #filled = new Map<string, FilledChanges>();
  readonly #byStream = new Map<string, FilledChanges[]>();

  /**
   * Constructs a registry.
   *
   * @param definitions What was declared.
   * @param logger Hears of rows whose entities can't be found.
   * @param store Whose they are.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` if two have one name, or one that
   *   the store has for something else.
   */
  constructor(
    definitions: readonly DefinedChangeCache[],
    logger: Logger,
    store?: PlainCacheOwner,
  ) {
    for (const definition of definitions) {
      const { name, stream } = definition;
      if (this.#filled.has(name)) {
        throw new HeadwaterError(
          "INVALID_ARGUMENT",
          `Cannot declare change cache "${name}" twice; give it another name`,
        );
      }
      const filled = new FilledChanges(definition, logger, store);
      this.#filled.set(name, filled);
      const others = this.#byStream.get(stream.name) ?? [];
      this.#byStream.set(stream.name, [...others, filled]);
    }
  }

  /** All of them. */
  get all(): readonly FilledChanges[] {
    return [...this.#filled.values()];
  }

  /** The streams that fill one. */
  get streams(): readonly string[] {
    return [...this.#byStream.keys()];
  }

  /** Whether a stream fills one. */
  has(stream: string): boolean {
    return this.#byStream.has(stream);
  }

  /** Notes what the rows of a stream tell. */
  mark(
    stream: string,
    instance: string,
    token: number,
    rows: readonly unknown[],
  ): void {
    for (const filled of this.#byStream.get(stream) ?? []) {
      filled.mark(instance, token, rows);
    }
  }

  /**
   * Forgets what an instance has changed, as some of it is not known.
   *
   * @param token The position that is adopted: what comes after it will be told.
   * @param reached The position before. One beyond `token` is of a log that was
   *   rewound, whose tokens are given again: those who ask about them may have
   *   them from either log, so nothing is known of any.
   */
  restart(instance: string, token: number, reached = 0): void {
    const earliestKnown = reached > token ? reached + 1 : token;
    for (const filled of this.all) filled.begin(instance, earliestKnown);
  }

  /**
   * Forgets everything, as the database may be another: whoever asks about the
   * position that was reached in the one before is told that all may have changed.
   */
  forget(reached: Position): void {
    for (const [instance, token] of reached) this.restart(instance, token + 1);
  }

  /** Notes that everything may have changed up to a token. */
  allChanged(instance: string, token: number): void {
    for (const { caches } of this.all) caches.get(instance)?.allChanged(token);
  }

  /**
   * What a declared cache knows.
   *
   * @param parse Reads positions.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` if it isn't one of these.
   */
  changes<Row, E extends Entity>(
    definition: DefinedChangeCache<Row, E>,
    parse: ParsePosition,
  ): Changes<E> {
    const filled = this.#filled.get(definition?.name);
    // The very one: what its entities are is in its function.
    if (filled === undefined || !Object.is(filled.definition, definition)) {
      throw new HeadwaterError(
        "INVALID_ARGUMENT",
        `Cannot tell changes of ${
          quote(String(definition?.name))
        }: the change ` +
          `caches are ${[...this.#filled.keys()].join(", ") || "none"}; ` +
          'declare it in the option "changeCaches"',
      );
    }
    // They hold what `definition.entities` gave, and nothing else.
    const caches: unknown = filled.caches;
    return new InstanceChanges(caches as CachesOf<E>, parse);
  }
}

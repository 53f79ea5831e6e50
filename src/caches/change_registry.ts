/**
 * The change caches that an application declares, and filling them.
 *
 * @module
 */

import { HeadwaterError, messageOf, quote } from "../runtime/errors.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Position } from "../tokens/position.ts";
import { ChangeCache } from "./change_cache.ts";
import type { DefinedChangeCache } from "./change_definition.ts";
import {
  type Changes,
  InstanceChanges,
  type ParsePosition,
} from "./changes.ts";

type Entity = string | number;
type CachesOf<E extends Entity> = ReadonlyMap<string, ChangeCache<E>>;

/** One declared cache, by instance. */
export class FilledChanges {
  /** What was declared. */
  readonly definition: DefinedChangeCache;
  /** What is known of each instance. */
  readonly caches: Map<string, ChangeCache<Entity>> = new Map();
  readonly #logger: Logger;

  /** Constructs one that knows of no instance. */
  constructor(definition: DefinedChangeCache, logger: Logger) {
    this.definition = definition;
    this.#logger = logger;
  }

  /** The entities that rows tell a change of; `undefined` if that can't be known. */
  entitiesOf(rows: readonly unknown[]): Set<Entity> | undefined {
    const found = new Set<Entity>();
    try {
      for (const row of rows) {
        for (const entity of this.definition.entities(row)) found.add(entity);
      }
      return found;
    } catch (error) {
      const { name } = this.definition;
      this.#logger(
        "error",
        "a row's entities not found: all may have changed",
        {
          cache: name,
          error: messageOf(error),
        },
      );
      return undefined;
    }
  }

  /** Begins anew with an instance, whose every change after a token will be told. */
  begin(
    instance: string,
    earliestKnown: number,
    prefill: Iterable<readonly [Entity, number]> = [],
  ): void {
    const { maxPositions, maxEntities } = this.definition;
    this.caches.set(
      instance,
      new ChangeCache({ earliestKnown, prefill, maxPositions, maxEntities }),
    );
  }

  /** Notes what a transaction's rows tell. */
  mark(instance: string, token: number, rows: readonly unknown[]): void {
    const cache = this.caches.get(instance);
    if (cache === undefined) {
      this.begin(instance, token);
      return;
    }
    const entities = this.entitiesOf(rows);
    if (entities === undefined) cache.allChanged(token);
    else for (const entity of entities) cache.changed(entity, token);
  }
}

/** Finds the change caches that a stream fills. */
export class ChangeRegistry {
  readonly #filled = new Map<string, FilledChanges>();
  readonly #byStream = new Map<string, FilledChanges[]>();

  /**
   * Constructs a registry.
   *
   * @param definitions What was declared.
   * @param logger Hears of rows whose entities can't be found.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` if two have one name.
   */
  constructor(definitions: readonly DefinedChangeCache[], logger: Logger) {
    for (const definition of definitions) {
      const { name, stream } = definition;
      if (this.#filled.has(name)) {
        throw new HeadwaterError(
          "INVALID_ARGUMENT",
          `Cannot declare change cache "${name}" twice; give it another name`,
        );
      }
      const filled = new FilledChanges(definition, logger);
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

/**
 * A process's caches, by the name they have on the wire.
 *
 * @module
 */

import { type Clock, systemClock } from "../runtime/clock.ts";
import { HeadwaterError, messageOf, quote } from "../runtime/errors.ts";
import type { Logger } from "../runtime/logger.ts";
import type { KeyPart } from "../streams/builtin_streams.ts";
import { type CacheGroup, expandGroup } from "./cache_groups.ts";
import { CacheSizes, type ResizeCachesOptions } from "./cache_sizes.ts";
import type { CacheStats } from "./cache_stats.ts";
import type { CachedOptions } from "./cached_options.ts";
import { Cascade, type Dependents } from "./cascade.ts";
import { KeyedCache } from "./keyed_cache.ts";
import type { LoadLog } from "./load_log.ts";
import type { Place, PlainCache } from "./place.ts";
import type { FlushCause, RegistryStats } from "./registry_stats.ts";
import type { StaleEntries } from "./stale_entries.ts";
import { UnknownNames } from "./unknown_names.ts";

/** Finds the caches that an invalidation means. */
export class CacheRegistry {
  /** Is told of each time that every cache is cleared. */
  flushed: ((cause: FlushCause) => void) | undefined;
  /** Takes in the loads of caches that are created from now on. */
  loads: LoadLog | undefined;
  readonly #caches = new Map<string, KeyedCache[]>();
  #lastName: string | undefined;
  /** The one cache of that name; `undefined` if there are several, or none. */
  #only: KeyedCache | undefined;
  readonly #groups = new Map<string, CacheGroup>();
  readonly #cascade: Cascade;
  readonly #unknownNames = new UnknownNames(this.#groups);
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #sizes: CacheSizes;
  /** Those that no invalidation means. */
  readonly #plain: PlainCache[] = [];
  /** Those that may serve what is old. */
  readonly #stale: StaleEntries[] = [];
  #applied = 0;
  #unknown = 0;
  #unexpandable = 0;
  #flushes = 0;

  /**
   * Constructs a registry.
   *
   * @param groups The groups that it expands.
   * @param logger Hears of groups that can't be expanded.
   * @param clock Times loads, and the lives of entries.
   * @param sizes How much the caches may hold.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` if two groups have one name.
   */
  constructor(
    groups: readonly CacheGroup[],
    logger: Logger,
    clock: Clock = systemClock,
    sizes: CacheSizes = new CacheSizes({}),
  ) {
    this.#logger = logger;
    this.#clock = clock;
    this.#sizes = sizes;
    this.#cascade = new Cascade({
      invalidate: (name, key, cause) => {
        this.#refuseGroup(`invalidate what depends on "${cause}"`, name);
        this.#invalidate(name, key);
      },
      failed: (name, error) => this.#cascadeFailed(name, error),
    });
    for (const group of groups) {
      if (this.#groups.has(group.name)) {
        throw new HeadwaterError(
          "INVALID_ARGUMENT",
          `Cannot declare cache group "${group.name}" twice; give it another name`,
        );
      }
      this.#groups.set(group.name, group);
    }
  }

  /** What became of the invalidations so far. */
  get stats(): RegistryStats {
    return {
      applied: this.#applied,
      unknown: this.#unknown,
      unexpandable: this.#unexpandable,
      flushes: this.#flushes,
    };
  }

  /** Every cache's own figures. */
  cacheStats(): CacheStats[] {
    const plain = this.#plain.map((cache) => cache.stats());
    return [...this.all.map((cache) => cache.stats), ...plain];
  }

  /**
   * Makes the cache of a method, and takes it in.
   *
   * @throws {HeadwaterError} `INVALID_ARGUMENT` if its options can't be, or a
   *   group has its name.
   */
  create(name: string, options: CachedOptions): KeyedCache {
    const { onInvalidate } = options;
    const [clock, logger] = [this.#clock, this.#logger];
    const { loads } = this;
    const { memory, random } = this.#sizes;
    const factor = this.#sizes.factors.of(name);
    const made = { name, clock, logger, loads, memory, random, factor };
    const cache = new KeyedCache({ ...options, ...made });
    if (onInvalidate !== undefined) this.#cascade.add(cache, onInvalidate);
    this.register(cache);
    return cache;
  }

  /**
   * A place for a cache that no invalidation means. Several may share a name.
   *
   * @throws {HeadwaterError} `INVALID_ARGUMENT` if a group or a method's cache
   *   has the name.
   */
  place(name: string): Place {
    if (this.#caches.has(name)) refuseName(name, "a cached method");
    if (this.#groups.has(name)) refuseName(name, "a cache group");
    const { memory, factors } = this.#sizes;
    const takeIn = (cache: PlainCache) => void this.#plain.push(cache);
    return { name, factor: factors.of(name), memory, takeIn };
  }

  /**
   * Takes a cache in. Several may share a name: each store that is attached
   * twice has its own, and an invalidation means them all.
   *
   * @throws {HeadwaterError} `INVALID_ARGUMENT` if a group has that name, or a
   *   cache that no invalidation means.
   */
  register(cache: KeyedCache): void {
    if (this.#groups.has(cache.name)) refuseName(cache.name, "a cache group");
    if (this.#plain.some(({ name }) => name === cache.name)) {
      refuseName(cache.name, "a cache that is no method's");
    }
    const known = this.#caches.get(cache.name);
    if (known === undefined) this.#caches.set(cache.name, [cache]);
    else known.push(cache);
    this.#lastName = undefined;
    if (cache.stale !== undefined) this.#stale.push(cache.stale);
  }

  /**
   * Changes how much the caches may hold, now; what there is no room for goes.
   *
   * @param changes What changes.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for what can't be; then nothing
   *   has changed.
   */
  resize(changes: ResizeCachesOptions): void {
    this.#sizes.resize(changes, [...this.all, ...this.#plain]);
  }

  /** Serves nothing old any more: somebody has waited for something newer. */
  dropStale(): void {
    for (let index = 0; index < this.#stale.length; index += 1) {
      (this.#stale[index] as StaleEntries).drop();
    }
  }

  /** Drops every entry; memory that is shared with others is theirs. */
  close(): void {
    for (const cache of [...this.all, ...this.#plain]) cache.close();
  }

  /**
   * Finds a group by name.
   *
   * @throws {HeadwaterError} `GROUP_UNKNOWN`, listing the known ones.
   */
  group(name: string): CacheGroup {
    const group = this.#groups.get(name);
    if (group !== undefined) return group;
    throw new HeadwaterError(
      "GROUP_UNKNOWN",
      `Cannot invalidate group ${quote(String(name))}: the groups are ` +
        `${[...this.#groups.keys()].join(", ") || "none"}; ` +
        'declare it in the option "groups"',
    );
  }

  /**
   * Applies one row of the `caches` stream.
   *
   * @param name A cache's name, or a group's. An unknown one is counted and ignored.
   * @param key The argument list; `null` is the whole cache.
   */
  apply(name: string, key: readonly KeyPart[] | null): void {
    this.#applied += 1;
    const group = this.#groups.get(name);
    if (group === undefined) this.#invalidate(name, key);
    else this.#applyGroup(group, key);
  }

  /** {@linkcode apply} for a key of one part, without a list to hold it. */
  applyOne(name: string, part: KeyPart): void {
    // Rows of one name come together.
    if (name !== this.#lastName) {
      const [cache, ...others] = this.#caches.get(name) ?? [];
      this.#only = others.length === 0 ? cache : undefined;
      this.#lastName = name;
    }
    const only = this.#only;
    if (only === undefined) this.apply(name, [part]);
    else {
      this.#applied += 1;
      only.invalidateOne(part);
    }
  }

  /**
   * {@linkcode apply} for many keys of one name.
   *
   * @param keys Of one that has a single part other than `null`, that part; else
   *   the argument list; `null` is the whole cache.
   */
  applyAll(
    name: string,
    keys: readonly (KeyPart | readonly KeyPart[])[],
  ): void {
    const [cache, ...others] = this.#caches.get(name) ?? [];
    if (cache === undefined && !this.#groups.has(name)) {
      this.#applied += keys.length;
      this.#miss(name, keys.length);
      return;
    }
    const isOne = cache !== undefined && others.length === 0;
    for (let index = 0; index < keys.length; index += 1) {
      const key = keys[index] as KeyPart | readonly KeyPart[];
      if (typeof key === "object") this.apply(name, key);
      else if (!isOne) this.applyOne(name, key);
      else {
        this.#applied += 1;
        cache.invalidateOne(key);
      }
    }
  }

  /** The caches of a name; several if several stores have it. */
  named(name: string): readonly KeyedCache[] {
    return this.#caches.get(name) ?? [];
  }

  /** What depends on the caches of a name. */
  dependentsOf(name: string): readonly Dependents[] {
    return this.named(name).flatMap((cache) => this.#cascade.of(cache) ?? []);
  }

  /** Every cache. */
  get all(): readonly KeyedCache[] {
    return [...this.#caches.values()].flat();
  }

  /** What a name on the wire stands for here. */
  kindOf(name: string): "cache" | "group" | "unknown" {
    if (this.#groups.has(name)) return "group";
    if (this.#caches.has(name)) return "cache";
    return this.#unknownNames.isGroup(name) ? "group" : "unknown";
  }

  /** The names of the groups that it expands. */
  get groupNames(): readonly string[] {
    return [...this.#groups.keys()];
  }

  /** Whether it was given names of which it can't tell whether they are groups'. */
  get hasUnjudged(): boolean {
    return this.#unknownNames.isPending;
  }

  /**
   * Learns which names are groups'. What one stands for that isn't known here
   * can't be told, so that every cache is cleared.
   */
  judge(groups: ReadonlySet<string>): void {
    for (const group of this.#unknownNames.judge(groups)) {
      this.#clearFor(group);
    }
  }

  /** Names that were no groups' may be by now. */
  forgetJudged(): void {
    this.#unknownNames.forget();
  }

  /** Counts rows that ask for nothing beyond what has been applied. */
  contained(rows: number, unknown: number): void {
    this.#applied += rows;
    this.#unknown += unknown;
  }

  /**
   * Clears every cache, as what they should hold can't be known.
   *
   * @param cause Why, and whether what was there may still be served.
   */
  flush(cause: FlushCause = { reason: "it was asked for" }): void {
    this.#flushes += 1;
    this.flushed?.(cause);
    for (const caches of this.#caches.values()) {
      for (const cache of caches) cache.flush(cause.mayServeOld === true);
    }
    for (const cache of this.#plain) cache.cleared();
  }

  #cascadeFailed(cache: string, error: unknown): void {
    this.#unexpandable += 1;
    this.#logger("error", "dependent caches are not known: all cleared", {
      cache,
      error: messageOf(error),
    });
    this.flush({ reason: `what depends on cache "${cache}" is not known` });
  }

  #invalidate(name: string, key: readonly KeyPart[] | null): void {
    const caches = this.#caches.get(name);
    if (caches === undefined) return this.#miss(name, 1);
    for (const cache of caches) {
      if (key === null) cache.clear();
      else cache.invalidate(key);
    }
  }

  /** Nothing here has the name: it is another process's cache, or a group. */
  #miss(name: string, rows: number): void {
    this.#unknown += rows;
    if (this.#unknownNames.isGroup(name)) this.#clearFor(name);
  }

  #clearFor(group: string): void {
    this.#unexpandable += 1;
    this.#logger("warn", "cache group is not declared here: all cleared", {
      group,
    });
    this.flush({ reason: `cache group "${group}" is not declared here` });
  }

  #applyGroup(group: CacheGroup, key: readonly KeyPart[] | null): void {
    let expanded;
    try {
      expanded = expandGroup(group, key);
      for (const [name] of expanded) {
        this.#refuseGroup(`expand group "${group.name}"`, name);
      }
    } catch (error) {
      // What it stands for can't be known, so nothing may be kept.
      this.#unexpandable += 1;
      this.#logger("error", "cache group could not be expanded: all cleared", {
        group: group.name,
        error: messageOf(error),
      });
      const reason = `cache group "${group.name}" could not be expanded`;
      this.flush({ reason });
      return;
    }
    for (const [name, parts] of expanded) this.#invalidate(name, parts);
  }

  #refuseGroup(action: string, name: string): void {
    if (!this.#groups.has(name)) return;
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot ${action}: "${name}" is a cache group; name caches only`,
    );
  }
}

function refuseName(name: string, taken: string): never {
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot attach cache "${name}": ${taken} has that name; rename one`,
  );
}

/**
 * Loading entries anew, past every cache.
 *
 * @module
 */

import type { ReadonlyKysely } from "kysely/readonly";
import { type CacheSource, sourceOf } from "../caches/cache_sources.ts";
import type { CacheRegistry } from "../caches/cache_registry.ts";
import type { KeyedCache } from "../caches/keyed_cache.ts";
import { UncachedRegistry } from "../caches/uncached_registry.ts";
import type { Store, StoreClass } from "../store/store.ts";

/**
 * Finds what loads a cache's entries from the database alone: the same method
 * of a second store of the same class, none of whose caches keeps anything. So
 * what the method reads through other cached methods is read anew, too.
 */
export class Reloader<Database> {
  readonly #db: ReadonlyKysely<Database>;
  readonly #caches: CacheRegistry;
  readonly #classes: ReadonlyMap<object, StoreClass<Database, Store<Database>>>;
  readonly #twins = new Map<object, readonly KeyedCache[]>();

  /**
   * Constructs one.
   *
   * @param db What it reads.
   * @param caches The caches whose entries it loads.
   * @param classes The stores that they belong to, and the classes of these.
   */
  constructor(
    db: ReadonlyKysely<Database>,
    caches: CacheRegistry,
    classes: ReadonlyMap<object, StoreClass<Database, Store<Database>>>,
  ) {
    this.#db = db;
    this.#caches = caches;
    this.#classes = classes;
  }

  /** What loads a cache's entries; `undefined` if its arguments can't be had from a key. */
  loaderOf(cache: KeyedCache): CacheSource["load"] {
    const source = sourceOf(cache);
    if (source?.load === undefined) return undefined;
    const { owner } = source;
    const storeClass = this.#classes.get(owner);
    if (storeClass === undefined) return source.load;
    const place = this.#caches.named(cache.name)
      .filter((other) => sourceOf(other)?.owner === owner).indexOf(cache);
    const twin = this.#twinOf(owner, storeClass)
      .filter(({ name }) => name === cache.name)[place];
    // One that was made after its store: there is none beside it.
    return (twin && sourceOf(twin)?.load) ?? source.load;
  }

  #twinOf(
    owner: object,
    storeClass: StoreClass<Database, Store<Database>>,
  ): readonly KeyedCache[] {
    let created = this.#twins.get(owner);
    if (created === undefined) {
      const caches = new UncachedRegistry();
      try {
        new storeClass({ db: this.#db, caches });
      } catch {
        // A class that there can be one store of: what it has by then will do.
      }
      created = caches.created;
      this.#twins.set(owner, created);
    }
    return created;
  }
}

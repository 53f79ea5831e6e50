/**
 * Stores: the reads of an application, one class for every process.
 *
 * @module
 */

import type { ReadonlyKysely } from "kysely/readonly";
import { CACHES, type CachesOwner } from "../caches/cached.ts";
import type { CacheRegistry } from "../caches/cache_registry.ts";

/** What a store is attached to. Made by `attach`, never by users. */
export interface StoreContext<Database> {
  /** A Kysely that cannot write. */
  readonly db: ReadonlyKysely<Database>;
  /**
   * The caches of the process's writer store or slaved store.
   *
   * @internal
   */
  readonly caches: CacheRegistry;
}

/**
 * Reads of a database. Subclasses hold methods, cached or not; the same class
 * attaches to a `WriterStore` in the main process and to a `SlavedStore` in
 * workers.
 */
export abstract class Store<Database> implements CachesOwner {
  /** A Kysely that cannot write: by its type, and by its connection. */
  protected readonly db: ReadonlyKysely<Database>;
  /**
   * The registry that the cached methods belong to.
   *
   * @internal
   */
  readonly [CACHES]: CacheRegistry;

  /**
   * Called by `attach`; a subclass with a constructor of its own passes the
   * context on.
   *
   * @param context What the store is attached to.
   */
  constructor(context: StoreContext<Database>) {
    this.db = context.db;
    this[CACHES] = context.caches;
  }
}

/** A class of {@linkcode Store} that `attach` can make an object of. */
export type StoreClass<Database, S extends Store<Database>> = new (
  context: StoreContext<Database>,
) => S;

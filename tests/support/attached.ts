// Stores without a database, whose loads a test ends when it likes.

import type { CacheGroup } from "../../src/caches/cache_groups.ts";
import { CacheRegistry } from "../../src/caches/cache_registry.ts";
import type { CacheStats } from "../../src/caches/cache_stats.ts";
import type { Clock } from "../../src/runtime/clock.ts";
import type { Logger } from "../../src/runtime/logger.ts";
import { type Deferred, deferred } from "../../src/runtime/waiting.ts";
import { Store, type StoreClass } from "../../src/store/store.ts";
import { manualClock } from "./manual_clock.ts";

type NoDatabase = Record<never, never>;

/** A store whose methods call {@linkcode begin}. */
export class HeldStore extends Store<NoDatabase> {
  /** What was loaded, in order: its text, and its end. */
  readonly loads: [string, Deferred<string>][] = [];

  /** Begins a load that a test ends. */
  protected begin(...words: readonly unknown[]): Promise<string> {
    const load = deferred<string>();
    this.loads.push([words.map(String).join(" "), load]);
    return load.promise;
  }

  /** What was loaded so far. */
  get texts(): string[] {
    return this.loads.map(([text]) => text);
  }

  /** Ends a load, the last one by default. */
  end(value: string, index: number = this.loads.length - 1): void {
    this.loads[index]?.[1].resolve(value);
  }
}

/** A store, and what belongs to it. */
export interface Attached<S> {
  readonly store: S;
  readonly caches: CacheRegistry;
  /** What was logged: the messages, and their fields as JSON. */
  readonly logged: string[];
  /** What one cache counts. */
  stats(name: string): CacheStats | undefined;
}

/** Attaches a store to a registry of its own. */
export function attachStore<S extends Store<NoDatabase>>(
  storeClass: StoreClass<NoDatabase, S>,
  clock: Clock = manualClock(),
  groups: readonly CacheGroup[] = [],
): Attached<S> {
  const logged: string[] = [];
  const logger: Logger = (_level, message, fields) =>
    void logged.push(`${message} ${JSON.stringify(fields)}`);
  const caches = new CacheRegistry(groups, logger, clock);
  const store = new storeClass({ db: undefined as never, caches });
  const stats = (name: string) =>
    caches.cacheStats().find((each) => each.name === name);
  return { store, caches, logged, stats };
}

/** Lets all that is settled already be heard of. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

// The reader's parts as they are, with somebody who looks on: before a position
// moves, and once the history was checked.

import { CacheRegistry } from "../../src/caches/cache_registry.ts";
import type { KeyedCache } from "../../src/caches/keyed_cache.ts";
import {
  HistoryMarks,
  type HistoryMarksOptions,
} from "../../src/replication/history_marks.ts";
import {
  ReaderPosition,
  type ReadHolders,
} from "../../src/replication/reader_position.ts";
import type { Clock } from "../../src/runtime/clock.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import type { Holders } from "../../src/tokens/holders.ts";
import type { Token } from "../../src/tokens/token.ts";
import { rowGroup } from "./plan.ts";

/** Is told before anything changes. */
export interface Watcher {
  advancing(instance: string, token: number): void;
  resetting(instance: string, token: number): void;
}

export class WatchedPosition extends ReaderPosition {
  readonly #watcher: Watcher;

  constructor(clock: Clock, readHolders: ReadHolders, watcher: Watcher) {
    super(clock, readHolders);
    this.#watcher = watcher;
  }

  override advance(instance: string, token: Token): void {
    if (!this.contains(instance, token)) {
      this.#watcher.advancing(instance, token);
    }
    super.advance(instance, token);
  }

  override reset(instance: string, token: Token, holders?: Holders): void {
    this.#watcher.resetting(instance, token);
    super.reset(instance, token, holders);
  }
}

export class WatchedMarks extends HistoryMarks {
  readonly #timeline: () => number;
  readonly #checked: (instance: string, timeline: number) => void;

  constructor(
    options: HistoryMarksOptions,
    timeline: () => number,
    checked: (instance: string, timeline: number) => void,
  ) {
    super(options);
    this.#timeline = timeline;
    this.#checked = checked;
  }

  override async isInHistory(
    instance: string,
    reached: Token,
  ): Promise<boolean> {
    // It may be restored while this looks.
    const timeline = this.#timeline();
    const isInHistory = await super.isInHistory(instance, reached);
    // Else it starts over.
    if (isInHistory) this.#checked(instance, timeline);
    return isInHistory;
  }
}

/** Remembers its caches. */
export class WatchedCaches extends CacheRegistry {
  readonly byName = new Map<string, KeyedCache>();

  constructor() {
    super([rowGroup], silentLogger);
  }

  override register(cache: KeyedCache): void {
    this.byName.set(cache.name, cache);
    super.register(cache);
  }
}

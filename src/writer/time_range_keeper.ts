/**
 * Noting when events were committed, while a writer store is open.
 *
 * @module
 */

import type { Engine } from "../database/engine.ts";
import { addTimeRanges, TIME_RANGE_RECORDS } from "../log/time_ranges.ts";
import type { CancelTimer, Clock } from "../runtime/clock.ts";
import { messageOf } from "../runtime/errors.ts";
import type { Logger } from "../runtime/logger.ts";

/** How often, in ms, it looks whether the log has grown. */
const LOOK_INTERVAL_MS = 10_000;

/** What a keeper works with. */
export interface TimeRangeKeeperOptions<Database> {
  readonly engine: Engine<Database>;
  /** The last token that this process has taken. */
  readonly lastTaken: () => number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Adds time ranges to the log as it grows, until it is closed. */
export class TimeRangeKeeper<Database> {
  readonly #options: TimeRangeKeeperOptions<Database>;
  readonly #closing = new AbortController();
  readonly #cancelTimer: CancelTimer;
  /** What had been taken when it last added all there were. */
  #added = 0;
  #running: Promise<void> | undefined;

  /** Begins to keep. */
  constructor(options: TimeRangeKeeperOptions<Database>) {
    this.#options = options;
    this.#cancelTimer = options.clock.repeat(
      () => this.#look(),
      LOOK_INTERVAL_MS,
    );
  }

  /** Stops, after the range that is being added. */
  async close(): Promise<void> {
    this.#cancelTimer();
    this.#closing.abort();
    await this.#running;
  }

  #look(): void {
    const taken = this.#options.lastTaken();
    if (taken - this.#added < TIME_RANGE_RECORDS) return;
    this.#running ??= this.#add(taken).finally(() => this.#running = undefined);
  }

  async #add(taken: number): Promise<void> {
    const { engine, clock, logger } = this.#options;
    const { signal } = this.#closing;
    try {
      await addTimeRanges(engine, { clock, signal });
      this.#added = taken;
    } catch (error) {
      if (signal.aborted) return;
      logger("warn", "not noted when events were committed", {
        error: messageOf(error),
      });
    }
  }
}

/**
 * Keeping the log as short as it may be, while a writer store is open.
 *
 * @module
 */

import type { Engine } from "../database/engine.ts";
import { deleteCalls } from "../log/calls.ts";
import {
  DEFAULT_RETENTION,
  retainStream,
  type RetentionPolicies,
} from "../log/retention.ts";
import type { CancelTimer, Clock } from "../runtime/clock.ts";
import { environmentOf } from "../runtime/environment.ts";
import { messageOf } from "../runtime/errors.ts";
import { CALL_RETENTION_MS, RETENTION_INTERVAL_MS } from "../runtime/limits.ts";
import { type Logger, silentLogger } from "../runtime/logger.ts";
import type { WriterStoreOptions } from "./writer_options.ts";

/** What a keeper works with. */
export interface RetentionKeeperOptions<Database> {
  readonly engine: Engine<Database>;
  readonly policies: RetentionPolicies;
  /** How long answers to calls are kept, in ms. */
  readonly callRetentionMs: number;
  readonly intervalMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Deletes what need not be kept, every now and then, until it is closed. */
export class RetentionKeeper<Database> {
  readonly #options: RetentionKeeperOptions<Database>;
  readonly #closing = new AbortController();
  readonly #cancelTimer: CancelTimer;
  #running: Promise<void> | undefined;

  /** Begins to keep. */
  constructor(options: RetentionKeeperOptions<Database>) {
    this.#options = options;
    this.#cancelTimer = options.clock.repeat(
      () => void this.#retain(),
      options.intervalMs,
    );
  }

  /** Stops, after the chunk that is being deleted. */
  async close(): Promise<void> {
    this.#cancelTimer();
    this.#closing.abort();
    await this.#running;
  }

  #retain(): void {
    this.#running ??= this.#run().finally(() => this.#running = undefined);
  }

  async #run(): Promise<void> {
    const { engine, policies, callRetentionMs, clock, logger } = this.#options;
    const { signal } = this.#closing;
    const all = { ...DEFAULT_RETENTION, ...policies };
    for (const [stream, policy] of Object.entries(all)) {
      if (policy === "forever") continue;
      try {
        const { deleted, floor } = await retainStream(engine, stream, policy, {
          clock,
          signal,
        });
        if (deleted > 0) {
          logger("debug", "old records deleted", { stream, deleted, floor });
        }
      } catch (error) {
        if (signal.aborted) return;
        logger("warn", "old records not deleted", {
          stream,
          error: messageOf(error),
        });
      }
    }
    try {
      await deleteCalls(engine, clock.wallMs() - callRetentionMs, signal);
    } catch (error) {
      if (signal.aborted) return;
      logger("warn", "old calls not deleted", { error: messageOf(error) });
    }
  }
}

/** Keeps a writer's log as short as its options say; `undefined` if it need not. */
export function keepRetained<Database>(
  engine: Engine<Database>,
  options: WriterStoreOptions,
): RetentionKeeper<Database> | undefined {
  const { retention = {}, retentionIntervalMs = RETENTION_INTERVAL_MS } =
    options;
  if (retentionIntervalMs === 0) return undefined;
  return new RetentionKeeper({
    engine,
    policies: retention,
    callRetentionMs: options.callRetentionMs ?? CALL_RETENTION_MS,
    intervalMs: retentionIntervalMs,
    clock: environmentOf(options).clock,
    logger: options.logger ?? silentLogger,
  });
}

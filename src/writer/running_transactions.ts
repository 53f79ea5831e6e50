/**
 * How many transactions run, and waiting until none does.
 *
 * @module
 */

import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import { type Deferred, deferred, soon } from "../runtime/waiting.ts";

/** Counts transactions from their first attempt to their end. */
export class RunningTransactions {
  readonly #clock: Clock;
  #running = 0;
  /** Those that wait for what is done alone. */
  #held = 0;
  #alone: Deferred<void> | undefined;
  #idle: Deferred<void> | undefined;

  /** Constructs one that counts none. */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether none runs. */
  get isIdle(): boolean {
    return this.#running === 0;
  }

  /** One begins: at once, unless something is done alone. */
  enter(): Promise<void> | undefined {
    if (this.#alone !== undefined) return this.#wait();
    this.#running += 1;
    return undefined;
  }

  /** It has ended. */
  leave(): void {
    this.#running -= 1;
    if (this.#running === 0) this.#idle?.resolve();
  }

  /** Resolves once none runs any more. Call it when no other can begin. */
  async drain(): Promise<void> {
    while (this.#running > 0 || this.#held > 0) {
      if (this.#alone !== undefined) await this.#alone.promise;
      else await this.#whenIdle();
    }
  }

  /**
   * Does something while none runs: those that run are waited for, those that
   * come wait.
   *
   * @param action What is done, for the error: `project "totals"`.
   * @param timeoutMs How long, in ms, to wait for those that run.
   * @throws {HeadwaterError} `DATABASE_BUSY` if they take longer.
   */
  async alone<Value>(
    action: string,
    timeoutMs: number,
    work: () => Promise<Value>,
  ): Promise<Value> {
    while (this.#alone !== undefined) await this.#alone.promise;
    const alone = this.#alone = deferred<void>();
    try {
      if (this.#running > 0) {
        await soon(this.#whenIdle(), this.#clock, timeoutMs);
      }
      if (this.#running > 0) throw busyError(action, this.#running, timeoutMs);
      return await work();
    } finally {
      this.#alone = undefined;
      alone.resolve();
    }
  }

  async #wait(): Promise<void> {
    this.#held += 1;
    while (this.#alone !== undefined) await this.#alone.promise;
    this.#held -= 1;
    this.#running += 1;
  }

  async #whenIdle(): Promise<void> {
    while (this.#running > 0) {
      const idle = this.#idle ??= deferred();
      await idle.promise;
      if (this.#idle === idle) this.#idle = undefined;
    }
  }
}

function busyError(
  action: string,
  running: number,
  timeoutMs: number,
): HeadwaterError {
  return new HeadwaterError(
    "DATABASE_BUSY",
    `Cannot ${action}: it waits until no transaction of this store runs, and ` +
      `${running} still did after ${timeoutMs} ms; call it outside of any ` +
      "transaction's function, before the application begins to write",
  );
}

/**
 * Beginning the loads of one cache.
 *
 * @module
 */

import type { Clock } from "../runtime/clock.ts";
import type { CheckedLimits } from "./cache_options.ts";
import { LoadGate } from "./load_gate.ts";
import { beginLoad } from "./load_scope.ts";

/** When a load began; of one that waits, when it was asked for. */
export interface LoadTime {
  beganMs: number;
}

/** Begins loads, at once or once there is room, and notes when. */
export class LoadRunner {
  readonly #gate: LoadGate | undefined;
  readonly #clock: Clock;

  /** Constructs one that runs nothing. */
  constructor(name: string, limits: CheckedLimits, clock: Clock) {
    this.#gate = LoadGate.of(name, limits);
    this.#clock = clock;
  }

  /** How many loads wait. */
  get queued(): number {
    return this.#gate?.queued ?? 0;
  }

  /** The time of a load that is asked for now. */
  now(): LoadTime {
    return { beganMs: this.#clock.monotonicMs() };
  }

  /**
   * Begins a load, at once if few enough run.
   *
   * @param start Begins it.
   * @param time Is told when it begins.
   * @param signal Takes it out of the line, if it waits yet.
   * @throws {HeadwaterError} `OVERLOADED` if too many wait.
   */
  run<Value>(
    start: () => Promise<Value>,
    time: LoadTime | undefined,
    signal?: AbortSignal | undefined,
  ): Promise<Value> {
    if (this.#gate === undefined) return beginLoad(start);
    return this.#gate.run(() => {
      if (time !== undefined) time.beganMs = this.#clock.monotonicMs();
      return beginLoad(start);
    }, signal);
  }
}

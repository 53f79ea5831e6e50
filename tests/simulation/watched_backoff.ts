// Promise 9, for the network: who does not get through asks ever more rarely.

import type { Clock, SimulatedNetwork } from "../../src/testing/mod.ts";
import { MAX_BACKOFF_MS, MIN_BACKOFF_MS } from "../../src/runtime/limits.ts";
import type { Transport } from "../../src/transport/transport.ts";
import { Violation } from "./violation.ts";

/** Counts attempts to connect since a reader was last live. */
export class WatchedBackoff {
  readonly #clock: Clock;
  readonly #broken: (error: unknown) => void;
  #attempts = 0;
  #lastMs = 0;

  constructor(clock: Clock, broken: (error: unknown) => void) {
    this.#clock = clock;
    this.#broken = broken;
  }

  /** The reader has caught up: its next pause may be a first one. */
  live(): void {
    this.#attempts = 0;
  }

  /** A transport whose attempts are looked at. */
  watch(
    network: SimulatedNetwork,
    place: { readonly host: string; readonly address: string },
    isShared: boolean,
  ): Transport {
    const transport = isShared
      ? network.channel(place)
      : network.transport(place);
    return {
      listen: transport.listen,
      connect: (accept) => {
        this.#attempt(place.host);
        return transport.connect(accept);
      },
    };
  }

  #attempt(host: string): void {
    const nowMs = this.#clock.monotonicMs();
    const pauseMs = nowMs - this.#lastMs;
    // Half of it is jitter.
    const leastMs = this.#attempts === 0 ? 0 : Math.min(
      MAX_BACKOFF_MS,
      MIN_BACKOFF_MS * Math.E ** (this.#attempts - 1),
    ) / 2;
    if (pauseMs < leastMs - 1) {
      this.#broken(
        new Violation(
          9,
          `${host} connects again after ${pauseMs} ms, at attempt ` +
            `${this.#attempts + 1}; ${leastMs} ms are the least`,
        ),
      );
    }
    this.#attempts += 1;
    this.#lastMs = nowMs;
  }
}

// A process of the simulation: it can be stopped, go on, and die; and its wall
// clock can be wrong. Whatever it waits for, it waits for on its own clock.

import type {
  CancelTimer,
  Clock,
  SeededRandom,
  SimulatedNetwork,
  VirtualClock,
} from "../../src/testing/mod.ts";

/** How often a turn of the event loop takes long enough for others to act. */
const SLOW_TURN = 0.25;

export class SimulatedProcess implements Clock {
  readonly name: string;
  readonly random: SeededRandom;
  readonly #clock: VirtualClock;
  readonly #network: SimulatedNetwork;
  readonly #timers = new Set<CancelTimer>();
  #isAlive = true;
  #isPaused = false;
  #held: (() => void)[] = [];
  #wallAheadMs = 0;

  constructor(
    name: string,
    clock: VirtualClock,
    network: SimulatedNetwork,
    random: SeededRandom,
  ) {
    this.name = name;
    this.#clock = clock;
    this.#network = network;
    this.random = random;
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  wallMs(): number {
    return this.#clock.wallMs() + this.#wallAheadMs;
  }

  monotonicMs(): number {
    return this.#clock.monotonicMs();
  }

  schedule(action: () => void, delayMs: number): CancelTimer {
    let isCancelled = false;
    const cancelTimer = this.#clock.schedule(() => {
      this.#timers.delete(cancelTimer);
      this.#run(() => isCancelled || action());
    }, delayMs);
    this.#timers.add(cancelTimer);
    return () => {
      isCancelled = true;
      cancelTimer();
      this.#timers.delete(cancelTimer);
    };
  }

  repeat(action: () => void, intervalMs: number): CancelTimer {
    const cancel = this.#clock.repeat(() => {
      // As a timer does that comes due while it can't run: once, not often.
      if (!this.#isPaused) this.#run(action);
    }, intervalMs);
    this.#timers.add(cancel);
    return () => {
      cancel();
      this.#timers.delete(cancel);
    };
  }

  nextTurn(action: () => void): void {
    const isSlow = this.random.chance(SLOW_TURN);
    this.schedule(action, isSlow ? this.random.within([0, 3]) : 0);
  }

  /** Resolves after some time of this process's; never, if it dies before. */
  wait(ms: number): Promise<void> {
    return new Promise((resolve) => void this.schedule(resolve, ms));
  }

  jump(ms: number): void {
    this.#wallAheadMs += ms;
  }

  pause(): void {
    this.#isPaused = true;
    this.#network.pause(this.name);
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#network.resume(this.name);
    for (const action of this.#held.splice(0)) this.#clock.schedule(action, 0);
  }

  /** Dies on the spot. */
  kill(): void {
    this.#isAlive = false;
    this.#held = [];
    for (const cancel of this.#timers) cancel();
    this.#timers.clear();
    this.#network.crash(this.name);
  }

  #run(action: () => void): void {
    if (!this.#isAlive) return;
    if (this.#isPaused) this.#held.push(() => this.#run(action));
    else action();
  }
}

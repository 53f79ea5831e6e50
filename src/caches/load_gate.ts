/**
 * How many loads of one cache run at a time.
 *
 * @module
 */

import { HeadwaterError } from "../runtime/errors.ts";
import { type Deferred, deferred } from "../runtime/waiting.ts";

import type { CheckedLimits } from "./cache_options.ts";

/** Options of {@linkcode LoadGate}. */
export interface LoadGateOptions {
  /** The cache's name, for the error. */
  readonly name: string;
  readonly maxConcurrentLoads: number;
  readonly maxQueuedLoads: number;
}

interface Queued {
  readonly start: () => Promise<unknown>;
  readonly loading: Deferred<unknown>;
  /** Until it begins, or nobody wants it any more. */
  isWaiting: boolean;
}

/** Begins so many loads at once; the others wait, in order. */
export class LoadGate {
  readonly #options: LoadGateOptions;
  /** From {@linkcode #head} on; what is before it has begun. */
  #queue: Queued[] = [];
  #head = 0;
  #left = 0;
  #running = 0;

  /** Constructs a gate that nobody is at. */
  constructor(options: LoadGateOptions) {
    this.#options = options;
  }

  /** The gate of a cache; `undefined` if it has no limit. */
  static of(name: string, limits: CheckedLimits): LoadGate | undefined {
    const { maxConcurrentLoads, maxQueuedLoads } = limits;
    return maxConcurrentLoads === undefined
      ? undefined
      : new LoadGate({ name, maxConcurrentLoads, maxQueuedLoads });
  }

  /** How many loads wait. */
  get queued(): number {
    return this.#queue.length - this.#head - this.#left;
  }

  /**
   * Begins a load, at once if few enough run.
   *
   * @param start Begins it.
   * @param signal Takes it out of the line, if it waits yet.
   * @returns The load's promise.
   * @throws {HeadwaterError} `OVERLOADED` if too many wait; what `start` throws,
   *   if it is called at once.
   */
  run<Value>(
    start: () => Promise<Value>,
    signal?: AbortSignal | undefined,
  ): Promise<Value> {
    const { name, maxConcurrentLoads, maxQueuedLoads } = this.#options;
    if (this.#running < maxConcurrentLoads) return this.#begin(start);
    if (this.queued >= maxQueuedLoads) {
      throw new HeadwaterError(
        "OVERLOADED",
        `Cannot load an entry of cache "${name}": ${this.#running} loads run ` +
          `and ${maxQueuedLoads} wait; try again later, or raise ` +
          "maxConcurrentLoads or maxQueuedLoads",
      );
    }
    const loading = deferred<unknown>();
    const queued = { start, loading, isWaiting: true };
    this.#queue.push(queued);
    if (signal !== undefined) {
      const leave = () => this.#leave(queued, signal.reason);
      signal.addEventListener("abort", leave, { once: true });
      const stay = () => signal.removeEventListener("abort", leave);
      loading.promise.then(stay, stay);
    }
    return loading.promise as Promise<Value>;
  }

  #leave(queued: Queued, reason: unknown): void {
    if (!queued.isWaiting) return;
    queued.isWaiting = false;
    this.#left += 1;
    queued.loading.reject(reason);
    if (this.#left * 2 <= this.#queue.length - this.#head) return;
    this.#queue = this.#queue.slice(this.#head)
      .filter(({ isWaiting }) => isWaiting);
    this.#head = 0;
    this.#left = 0;
  }

  #begin<Value>(start: () => Promise<Value>): Promise<Value> {
    const end = () => {
      this.#running -= 1;
      this.#next();
    };
    // Before: it may begin others.
    this.#running += 1;
    try {
      const loading = start();
      loading.then(end, end);
      return loading;
    } catch (error) {
      this.#running -= 1;
      throw error;
    }
  }

  #next(): void {
    while (this.#running < this.#options.maxConcurrentLoads) {
      const next = this.#queue[this.#head];
      if (next === undefined) return;
      this.#head += 1;
      if (this.#head > 1_000 && this.#head * 2 > this.#queue.length) {
        this.#queue = this.#queue.slice(this.#head);
        this.#head = 0;
      } else if (this.#head === this.#queue.length) {
        this.#queue.length = 0;
        this.#head = 0;
      }
      if (!next.isWaiting) {
        this.#left -= 1;
        continue;
      }
      next.isWaiting = false;
      try {
        next.loading.resolve(this.#begin(next.start));
      } catch (error) {
        next.loading.reject(error);
      }
    }
  }
}

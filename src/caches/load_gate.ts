/**
 * How many loads of one cache run at a time.
 *
 * @module
 */

import { HeadwaterError } from "../runtime/errors.ts";
import { type Deferred, deferred } from "../runtime/waiting.ts";

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
}

/** Begins so many loads at once; the others wait, in order. */
export class LoadGate {
  readonly #options: LoadGateOptions;
  /** From {@linkcode #head} on; what is before it has begun. */
  #queue: Queued[] = [];
  #head = 0;
  #running = 0;

  /** Constructs a gate that nobody is at. */
  constructor(options: LoadGateOptions) {
    this.#options = options;
  }

  /** How many loads wait. */
  get queued(): number {
    return this.#queue.length - this.#head;
  }

  /**
   * Begins a load, at once if few enough run.
   *
   * @returns The load's promise.
   * @throws {HeadwaterError} `OVERLOADED` if too many wait; what `start` throws,
   *   if it is called at once.
   */
  run<Value>(start: () => Promise<Value>): Promise<Value> {
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
    this.#queue.push({ start, loading });
    return loading.promise as Promise<Value>;
  }

  #begin<Value>(start: () => Promise<Value>): Promise<Value> {
    const loading = start();
    this.#running += 1;
    const end = () => {
      this.#running -= 1;
      this.#next();
    };
    loading.then(end, end);
    return loading;
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
      try {
        next.loading.resolve(this.#begin(next.start));
      } catch (error) {
        next.loading.reject(error);
      }
    }
  }
}

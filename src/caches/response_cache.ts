/**
 * One answer for all who ask at the same time, and for a while after.
 *
 * @module
 */

import { AbortGroup } from "../runtime/abort_group.ts";
import { requireBounds } from "../runtime/bounds.ts";
import { type CancelTimer, type Clock, systemClock } from "../runtime/clock.ts";
import { MAX_RESPONSES } from "../runtime/limits.ts";
import { deferred } from "../runtime/waiting.ts";
import type { PlainKey } from "./plain_key.ts";

/** Options of {@linkcode ResponseCache}. */
export interface ResponseCacheOptions<Key extends PlainKey, Value> {
  /**
   * How long a result is kept after its call has ended, in ms; 0 to share calls
   * that run and keep nothing.
   *
   * @default {0}
   */
  readonly keepMs?: number | undefined;

  /**
   * How long a call runs on while nobody waits for it, in ms, before it is
   * aborted. Without it calls are never aborted: for work that must be done once
   * it has begun, or whose result is worth having later.
   *
   * @default {for ever}
   */
  readonly abortAfterMs?: number | undefined;

  /**
   * Entries that it may hold, running calls included. Beyond, the result that
   * was kept longest goes; if all are running, the call that began first is not
   * shared any more.
   *
   * @default {10000}
   */
  readonly maxEntries?: number | undefined;

  /**
   * Whether a result is kept. If it throws, the call fails.
   *
   * @default {every result is}
   */
  readonly shouldKeep?: ((value: Value, key: Key) => boolean) | undefined;

  /**
   * Tells the time.
   *
   * @default {the machine's}
   */
  readonly clock?: Clock | undefined;
}

/** What a response cache has done so far. */
export interface ResponseCacheStats {
  /** Results it keeps, and calls that run and are shared. */
  readonly entries: number;
  /** Calls that run and are shared. */
  readonly running: number;
  /** Callers that were given a result, or a call, that was there. */
  readonly hits: number;
  /** Callers whose call was made. */
  readonly misses: number;
  /** Calls that were aborted, as nobody waited for them. */
  readonly aborted: number;
}

/** A call that runs. */
interface RunningCall<Value> {
  readonly promise: Promise<Value>;
  readonly controller: AbortController;
  waiters: number;
  isOver: boolean;
  cancelAbort: CancelTimer | undefined;
}

interface KeptResult<Value> {
  readonly value: Value;
  readonly untilMs: number;
}

/**
 * Shares expensive answers: whoever asks while a call for the same key runs, or
 * for `keepMs` after, is given that call's result.
 *
 * - A rejection reaches all who wait, and is not kept.
 * - Each caller has a signal of its own, which ends its wait only.
 * - What is invalidated while its call runs is given to those who wait for it,
 *   and never kept.
 * - The value is shared by all callers: treat it as read-only.
 *
 * It is not told of writes: for answers that may be `keepMs` old. What must not
 * be is a matter for `@cached`.
 *
 * @example One call for two
 * ```ts
 * import { equal } from "node:assert/strict";
 * import { ResponseCache } from "headwater/caches";
 *
 * let calls = 0;
 * const reports = new ResponseCache<string, number>({ keepMs: 5_000 });
 * const build = () => Promise.resolve(calls += 1);
 * const [first, second] = await Promise.all([
 *   reports.get("today", build),
 *   reports.get("today", build),
 * ]);
 * equal(first + second, 2);
 * ```
 */
export class ResponseCache<Key extends PlainKey, Value> {
  readonly #keepMs: number;
  readonly #abortAfterMs: number | undefined;
  readonly #maxEntries: number;
  readonly #shouldKeep: (value: Value, key: Key) => boolean;
  readonly #clock: Clock;
  readonly #aborts = new AbortGroup();
  readonly #running = new Map<Key, RunningCall<Value>>();
  /** In the order that they end in: all are kept for as long. */
  readonly #kept = new Map<Key, KeptResult<Value>>();
  #hits = 0;
  #misses = 0;
  #aborted = 0;

  /**
   * Constructs an empty cache.
   *
   * @param options How long results are kept, and how many.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for a bound that can't be.
   */
  constructor(options: ResponseCacheOptions<Key, Value> = {}) {
    requireBounds("create a response cache", options);
    const { keepMs = 0, maxEntries = MAX_RESPONSES } = options;
    this.#keepMs = keepMs;
    this.#maxEntries = maxEntries;
    this.#abortAfterMs = options.abortAfterMs;
    this.#shouldKeep = options.shouldKeep ?? (() => true);
    this.#clock = options.clock ?? systemClock;
  }

  /** What it has done so far. */
  get stats(): ResponseCacheStats {
    this.#expire();
    return {
      entries: this.#running.size + this.#kept.size,
      running: this.#running.size,
      hits: this.#hits,
      misses: this.#misses,
      aborted: this.#aborted,
    };
  }

  /**
   * The answer for a key: one that is kept, that of a call which runs, or that
   * of a new call.
   *
   * @param key What is asked for.
   * @param call Makes the answer. Its signal is aborted once nobody has waited
   *   for longer than `abortAfterMs`.
   * @param options The caller's own signal.
   * @throws Whatever the call throws or rejects with.
   * @throws The signal's reason, once it is aborted.
   */
  async get(
    key: Key,
    call: (signal: AbortSignal) => Value | Promise<Value>,
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Value> {
    signal?.throwIfAborted();
    this.#expire();
    const kept = this.#kept.get(key);
    if (kept !== undefined) {
      this.#hits += 1;
      return kept.value;
    }
    const running = this.#running.get(key);
    if (running === undefined) this.#misses += 1;
    else this.#hits += 1;
    return await this.#wait(key, running ?? this.#start(key, call), signal);
  }

  /** Forgets what is known of a key. A call that runs goes on for those who wait for it. */
  invalidate(key: Key): void {
    this.#kept.delete(key);
    this.#running.delete(key);
  }

  /** Forgets everything, as {@linkcode invalidate} does. */
  clear(): void {
    this.#kept.clear();
    this.#running.clear();
  }

  #start(
    key: Key,
    call: (signal: AbortSignal) => Value | Promise<Value>,
  ): RunningCall<Value> {
    const controller = new AbortController();
    const run = async () => {
      const value = await call(controller.signal);
      const isKept = this.#keepMs > 0 && this.#shouldKeep(value, key);
      this.#end(key, running, isKept ? { value } : undefined);
      return value;
    };
    const running: RunningCall<Value> = {
      promise: run(),
      controller,
      waiters: 0,
      isOver: false,
      cancelAbort: undefined,
    };
    // Those who wait are told; that nobody does any more is no reason to crash.
    running.promise.catch(() => this.#end(key, running, undefined));
    this.#running.set(key, running);
    this.#makeRoom();
    return running;
  }

  #end(
    key: Key,
    running: RunningCall<Value>,
    result: { readonly value: Value } | undefined,
  ): void {
    running.isOver = true;
    running.cancelAbort?.();
    // It has been invalidated, or given up: what it says is not kept.
    if (this.#running.get(key) !== running) return;
    this.#running.delete(key);
    if (result === undefined) return;
    const untilMs = this.#clock.monotonicMs() + this.#keepMs;
    this.#kept.set(key, { value: result.value, untilMs });
  }

  async #wait(
    key: Key,
    running: RunningCall<Value>,
    signal: AbortSignal | undefined,
  ): Promise<Value> {
    running.waiters += 1;
    running.cancelAbort?.();
    running.cancelAbort = undefined;
    try {
      if (signal === undefined) return await running.promise;
      return await this.#untilAborted(running.promise, signal);
    } finally {
      running.waiters -= 1;
      if (running.waiters === 0 && !running.isOver) this.#leave(key, running);
    }
  }

  /** A promise's value, or the reason of a signal that is aborted before. */
  async #untilAborted(
    promise: Promise<Value>,
    signal: AbortSignal,
  ): Promise<Value> {
    const aborted = deferred<never>();
    const forget = this.#aborts.add(
      signal,
      () => aborted.reject(signal.reason),
    );
    try {
      return await Promise.race([promise, aborted.promise]);
    } finally {
      forget();
    }
  }

  /** Nobody waits any more: the call is given a while to find someone. */
  #leave(key: Key, running: RunningCall<Value>): void {
    if (this.#abortAfterMs === undefined) return;
    running.cancelAbort = this.#clock.schedule(() => {
      // Whoever asks from now on must not be given what was aborted.
      if (this.#running.get(key) === running) this.#running.delete(key);
      this.#aborted += 1;
      running.controller.abort();
    }, this.#abortAfterMs);
  }

  #expire(): void {
    if (this.#kept.size === 0) return;
    const nowMs = this.#clock.monotonicMs();
    for (const [key, { untilMs }] of this.#kept) {
      if (untilMs > nowMs) return;
      this.#kept.delete(key);
    }
  }

  #makeRoom(): void {
    if (this.#running.size + this.#kept.size <= this.#maxEntries) return;
    const from = this.#kept.size > 0 ? this.#kept : this.#running;
    for (const key of from.keys()) {
      from.delete(key);
      return;
    }
  }
}

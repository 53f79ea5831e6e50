/**
 * One answer for all who ask at the same time, and for a while after.
 *
 * @module
 */

import { AbortGroup } from "../runtime/abort_group.ts";
import { requireBounds } from "../runtime/bounds.ts";
import { type CancelTimer, type Clock, systemClock } from "../runtime/clock.ts";
import { MAX_RESPONSES } from "../runtime/limits.ts";
import { type OptionNames, requireNames } from "../runtime/option_names.ts";
import { deferred } from "../runtime/waiting.ts";
import { EntryOrder, NOWHERE } from "./entry_order.ts";
import { PlainBounds } from "./plain_bounds.ts";
import {
  placeOf,
  PLAIN_OPTIONS,
  type PlainCacheOptions,
} from "./plain_cache.ts";
import type { PlainKey } from "./plain_key.ts";
import { takePart } from "./plain_member.ts";
import { PlainTally } from "./plain_tally.ts";
import { bytesOfPlain } from "./size_of.ts";

/** What a kept result takes besides its key and its value. */
const RESULT_BYTES = 150;

/** Options of {@linkcode ResponseCache}. */
export interface ResponseCacheOptions<Key extends PlainKey, Value>
  extends PlainCacheOptions {
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

/** The names of {@linkcode ResponseCacheOptions}. */
export const RESPONSE_OPTIONS: OptionNames<
  ResponseCacheOptions<PlainKey, unknown>
> = {
  ...PLAIN_OPTIONS,
  keepMs: true,
  abortAfterMs: true,
  maxEntries: true,
  shouldKeep: true,
  clock: true,
};

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
  readonly beganMs: number;
  waiters: number;
  isOver: boolean;
  cancelAbort: CancelTimer | undefined;
}

interface KeptResult<Key, Value> {
  readonly key: Key;
  readonly value: Value;
  readonly untilMs: number;
  slot: number;
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
  readonly #bounds: PlainBounds<"maxEntries">;
  readonly #tally: PlainTally;
  /** Who was used when, of a cache that shares memory. */
  readonly #order: EntryOrder<KeptResult<Key, Value>> | undefined;
  readonly #shouldKeep: (value: Value, key: Key) => boolean;
  readonly #clock: Clock;
  readonly #aborts = new AbortGroup();
  readonly #running = new Map<Key, RunningCall<Value>>();
  /** In the order that they end in: all are kept for as long. */
  readonly #kept = new Map<Key, KeptResult<Key, Value>>();
  #aborted = 0;
  #loading = 0;

  /**
   * Constructs an empty cache.
   *
   * @param options How long results are kept, and how many.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for a bound or a name that can't be.
   */
  constructor(options: ResponseCacheOptions<Key, Value> = {}) {
    requireNames("create a response cache", RESPONSE_OPTIONS, options);
    requireBounds("create a response cache", options);
    const place = placeOf("create a response cache", options);
    const { keepMs = 0, maxEntries = MAX_RESPONSES } = options;
    this.#keepMs = keepMs;
    const bounds = { maxEntries };
    this.#bounds = new PlainBounds(bounds, place?.factor, options.fixedSize);
    this.#abortAfterMs = options.abortAfterMs;
    this.#shouldKeep = options.shouldKeep ?? (() => true);
    this.#clock = options.clock ?? systemClock;
    this.#tally = new PlainTally(place?.name);
    if (place === undefined) return;
    if (place.memory !== undefined) {
      this.#order = new EntryOrder(place.memory, (kept) => this.#evict(kept));
    }
    takePart(place, {
      bounds: this.#bounds,
      tally: this.#tally,
      memory: this.#order,
      entries: () => this.stats.entries,
      loading: () => this.#loading,
      makeRoom: () => this.#makeRoom(),
      clear: () => this.clear(),
      isTold: false,
    });
  }

  /** What it has done so far. */
  get stats(): ResponseCacheStats {
    this.#expire();
    return {
      entries: this.#running.size + this.#kept.size,
      running: this.#running.size,
      hits: this.#tally.hits,
      misses: this.#tally.misses,
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
      this.#order?.use(kept);
      this.#tally.hit(key);
      return kept.value;
    }
    const running = this.#running.get(key);
    if (running === undefined) this.#tally.miss(key);
    else this.#tally.hit(key);
    return await this.#wait(key, running ?? this.#start(key, call), signal);
  }

  /** Forgets what is known of a key. A call that runs goes on for those who wait for it. */
  invalidate(key: Key): void {
    const kept = this.#kept.get(key);
    if (kept !== undefined) this.#drop(kept);
    const isRunning = this.#running.delete(key);
    if (kept !== undefined || isRunning) this.#tally.invalidated([key], 1);
  }

  /** Forgets everything, as {@linkcode invalidate} does. */
  clear(): void {
    const entries = this.#kept.size + this.#running.size;
    this.#kept.clear();
    this.#running.clear();
    this.#order?.clear();
    this.#tally.invalidated(null, entries);
  }

  #start(
    key: Key,
    call: (signal: AbortSignal) => Value | Promise<Value>,
  ): RunningCall<Value> {
    const controller = new AbortController();
    const beganMs = this.#clock.monotonicMs();
    const run = async () => {
      const value = await call(controller.signal);
      const isKept = this.#keepMs > 0 && this.#shouldKeep(value, key);
      this.#end(key, running, isKept ? { value } : undefined);
      return value;
    };
    const running: RunningCall<Value> = {
      promise: run(),
      controller,
      beganMs,
      waiters: 0,
      isOver: false,
      cancelAbort: undefined,
    };
    // Those who wait are told; that nobody does any more is no reason to crash.
    running.promise.catch(() => this.#end(key, running, undefined, false));
    this.#loading += 1;
    this.#running.set(key, running);
    this.#makeRoom();
    return running;
  }

  #end(
    key: Key,
    running: RunningCall<Value>,
    result: { readonly value: Value } | undefined,
    isLoaded = true,
  ): void {
    running.isOver = true;
    running.cancelAbort?.();
    const nowMs = this.#clock.monotonicMs();
    this.#loading -= 1;
    this.#tally.loaded(key, nowMs - running.beganMs, isLoaded);
    // It has been invalidated, or given up: what it says is not kept.
    if (this.#running.get(key) !== running) {
      if (isLoaded) this.#tally.notKept(key);
      return;
    }
    this.#running.delete(key);
    if (result === undefined) return;
    const { value } = result;
    const untilMs = nowMs + this.#keepMs;
    const bytes = this.#order && bytesOfPlain(RESULT_BYTES, key, value);
    const kept = { key, value, untilMs, slot: NOWHERE };
    if (bytes !== undefined && this.#order?.canHold(bytes) === false) {
      this.#tally.evicted(key);
      return;
    }
    this.#kept.set(key, kept);
    if (bytes !== undefined) this.#order?.add(kept, bytes);
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
    for (const kept of this.#kept.values()) {
      if (kept.untilMs > nowMs) return;
      this.#drop(kept);
      this.#tally.expirations += 1;
    }
  }

  #makeRoom(): void {
    const { maxEntries } = this.#bounds.now;
    for (const kept of this.#kept.values()) {
      if (this.#running.size + this.#kept.size <= maxEntries) return;
      this.#evict(kept);
    }
    for (const key of this.#running.keys()) {
      if (this.#running.size <= maxEntries) return;
      this.#running.delete(key);
      this.#tally.evicted(key);
    }
  }

  #drop(kept: KeptResult<Key, Value>): void {
    this.#kept.delete(kept.key);
    this.#order?.remove(kept);
  }

  #evict(kept: KeptResult<Key, Value>): void {
    this.#drop(kept);
    this.#tally.evicted(kept.key);
  }
}

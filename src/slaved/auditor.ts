/**
 * Comparing what is cached with the database, in the background.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { inspect, isDeepStrictEqual } from "node:util";
import { type CachedMethod, cacheNameOf } from "../caches/cached_method.ts";
import type { CacheRegistry } from "../caches/cache_registry.ts";
import type { CacheSource } from "../caches/cache_sources.ts";
import { peekEntry } from "../caches/entry_parts.ts";
import type { KeyedCache } from "../caches/keyed_cache.ts";
import type { Session } from "../database/engine.ts";
import { readEnds } from "../log/instances.ts";
import type { Tracer } from "../replication/key_trace.ts";
import type { ReaderPosition } from "../replication/reader_position.ts";
import type { CancelTimer, Clock } from "../runtime/clock.ts";
import { HeadwaterError, messageOf, quote } from "../runtime/errors.ts";
import { callListener } from "../runtime/listeners.ts";
import {
  AUDIT_BUDGET_PER_SECOND,
  AUDIT_SAMPLE_RATE,
  WAIT_TIMEOUT_MS,
} from "../runtime/limits.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Random } from "../runtime/random.ts";
import { auditDifferences } from "../telemetry/channels.ts";
import type { Position } from "../tokens/position.ts";
import type {
  Audit,
  AuditDifference,
  AuditOptions,
  AuditStats,
} from "./audit_options.ts";
import { EntrySampler, type SampledEntry } from "./entry_sampler.ts";

/** What an auditor works with. */
export interface AuditorParts {
  readonly caches: CacheRegistry;
  readonly tracer: Tracer;
  readonly position: ReaderPosition;
  /** Reads the log where it is written: of no replica. */
  readonly session: Session;
  /** What loads a cache's entries from the database alone. */
  readonly loaderOf: (cache: KeyedCache) => CacheSource["load"];
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** The shortest time, in ms, between two looks at the budget. */
const MIN_INTERVAL_MS = 10;
const PENDING: unique symbol = Symbol("pending");

/**
 * Reads entries anew, and says which are wrong.
 *
 * An entry that differs is not wrong yet: the value read anew may contain a
 * write that this process is still to hear of. Whatever it contains has a token
 * that is in the log by then; so the log's end is read *after* the value, and
 * once this process has reached it, every write that the value contains has been
 * applied, and has invalidated what it had to. An entry that is still the very
 * same load then is older than a token that was reached: that must not be.
 *
 * It can't err the other way, either: the entry had been loaded before the value
 * was read anew, from the same database, so that it isn't newer.
 */
export class Auditor implements Audit {
  readonly #parts: AuditorParts;
  readonly #options: AuditOptions;
  readonly #sampler: EntrySampler;
  readonly #closing = new AbortController();
  readonly #cancel: CancelTimer;
  /** Entries that were reported: once is enough. */
  readonly #reported = new WeakSet<Promise<unknown>>();
  /** Makes digests of guessable values no help to guess them. */
  readonly #salt: string;
  readonly #onAbort = (): void => void this.close();
  #allowance = 0;
  #running: Promise<void> | undefined;
  #checked = 0;
  #differing = 0;
  #behind = 0;
  #skipped = 0;

  /**
   * Begins an audit.
   *
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for a rate or a budget that can't
   *   be, or a cache that there isn't; `NOT_CACHED` for a method without a cache.
   */
  constructor(parts: AuditorParts, options: AuditOptions) {
    const {
      sampleRate = AUDIT_SAMPLE_RATE,
      budgetPerSecond = AUDIT_BUDGET_PER_SECOND,
      signal,
    } = options;
    requireOption("sampleRate", sampleRate, sampleRate > 0 && sampleRate <= 1);
    requireOption(
      "budgetPerSecond",
      budgetPerSecond,
      budgetPerSecond > 0 && Number.isFinite(budgetPerSecond),
    );
    this.#parts = parts;
    this.#options = options;
    this.#salt = parts.random.uuid();
    const nameOf = (cache: string | CachedMethod) => {
      const name = cacheNameOf(cache, "audit");
      requireCache(name, parts.caches.all);
      return name;
    };
    const wanted = options.caches && new Set(options.caches.map(nameOf));
    const except = new Set(options.except?.map(nameOf));
    const caches = () =>
      parts.caches.all.filter((cache) =>
        (wanted?.has(cache.name) ?? true) && !except.has(cache.name) &&
        parts.loaderOf(cache) !== undefined
      );
    this.#sampler = new EntrySampler(caches, parts.random, sampleRate);
    const intervalMs = Math.max(MIN_INTERVAL_MS, 1_000 / budgetPerSecond);
    const share = budgetPerSecond * intervalMs / 1_000;
    this.#cancel = parts.clock.repeat(() => this.#tick(share), intervalMs);
    if (signal?.aborted) this.#onAbort();
    else signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** Whether it has ended. */
  get isClosed(): boolean {
    return this.#closing.signal.aborted;
  }

  get stats(): AuditStats {
    const [checked, differing] = [this.#checked, this.#differing];
    return {
      checked,
      differing,
      behind: this.#behind,
      skipped: this.#skipped,
      nines: checked === 0 ? 0 : Math.log10(checked / Math.max(1, differing)),
    };
  }

  async close(): Promise<void> {
    this.#cancel();
    this.#closing.abort();
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    await this.#running;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #tick(share: number): void {
    // What was not used is not saved up: a slow database gets no rush.
    this.#allowance = Math.min(this.#allowance + share, Math.max(1, share));
    if (this.#running !== undefined) return;
    const running = this.#run().finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
  }

  async #run(): Promise<void> {
    while (this.#allowance >= 1 && !this.isClosed) {
      const entry = this.#sampler.next();
      if (entry === undefined) return;
      this.#allowance -= 1;
      try {
        await this.#check(entry);
      } catch (error) {
        if (this.isClosed) return;
        this.#skipped += 1;
        const fields = { cache: entry.cache.name, error: messageOf(error) };
        this.#parts.logger("debug", "entry not audited", fields);
      }
    }
  }

  async #check(entry: SampledEntry): Promise<void> {
    const { session, loaderOf, position } = this.#parts;
    const { cache, key, promise } = entry;
    const { timeoutMs = WAIT_TIMEOUT_MS } = this.#options;
    const { signal } = this.#closing;
    if (this.#reported.has(promise)) return;
    const cached = await Promise.race([promise, Promise.resolve(PENDING)]);
    const load = loaderOf(cache);
    if (cached === PENDING || load === undefined) {
      this.#skipped += 1;
      return;
    }
    const database = await unlessAborted(load(key), signal);
    if (isDeepStrictEqual(cached, database)) {
      this.#checked += 1;
      return;
    }
    const ends = await unlessAborted(readEnds(session), signal);
    const reached = await position.waitFor(
      new Map(ends.map(({ name, token }) => [name, token])),
      { signal, timeoutMs },
    );
    this.#checked += 1;
    if (peekEntry(cache.entries, key) !== promise) this.#behind += 1;
    else this.#report(entry, [cached, database], reached.position);
  }

  #report(
    { cache, key, promise }: SampledEntry,
    values: readonly [cached: unknown, database: unknown],
    position: Position,
  ): void {
    const { tracer, logger } = this.#parts;
    const { onDifference, showValues = false } = this.#options;
    this.#differing += 1;
    this.#reported.add(promise);
    const [cached, database] = showValues
      ? values
      : values.map((value) => this.#digest(value));
    const trace = tracer.whyOf([cache], key);
    const difference: AuditDifference = {
      cache: cache.name,
      key,
      cached,
      database,
      position,
      trace,
    };
    const fields = { ...difference, position: [...position] };
    logger("error", "cached entry differs from the database", {
      ...fields,
      trace: String(trace),
    });
    if (auditDifferences.isHeard) {
      const told = { cache: cache.name, key, trace: String(trace) };
      auditDifferences.publish(told);
    }
    callListener(
      () => onDifference?.(difference),
      (error) =>
        logger("error", "onDifference failed", { error: messageOf(error) }),
    );
  }

  #digest(value: unknown): string {
    const text = inspect(value, { depth: 20, sorted: true });
    return createHash("sha256").update(`${this.#salt} ${text}`).digest("hex")
      .slice(0, 16);
  }
}

function requireCache(name: string, known: readonly KeyedCache[]): void {
  if (known.some((cache) => cache.name === name)) return;
  const names = [...new Set(known.map((cache) => cache.name))];
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot audit cache ${
      quote(name)
    }: no attached store has it; the caches are ` +
      (names.join(", ") || "none"),
  );
}

function requireOption(name: string, value: number, isValid: boolean): void {
  if (isValid) return;
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot audit: ${name} is ${value}; give a number above 0` +
      (name === "sampleRate" ? ", at most 1" : ""),
  );
}

/** What a promise gives, unless a signal is aborted before. */
function unlessAborted<Value>(
  promise: Promise<Value>,
  signal: AbortSignal,
): Promise<Value> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    const end = () => signal.removeEventListener("abort", abort);
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(end);
  });
}

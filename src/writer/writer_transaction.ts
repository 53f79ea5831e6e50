/**
 * What a transaction of a writer store can do.
 *
 * @module
 */

import type { Transaction } from "kysely";
import type { CacheGroup } from "../caches/cache_groups.ts";
import { expandGroup } from "../caches/cache_groups.ts";
import { type CachedMethod, cacheNameOf } from "../caches/cached_method.ts";
import type { CacheRegistry } from "../caches/cache_registry.ts";
import { checkKey } from "../caches/keyed_cache.ts";
import type { WriteSession } from "../database/engine.ts";
import { readVersion, type StoredEvent } from "../log/append.ts";
import { formatCachesRow } from "../protocol/caches_row.ts";
import { formatRdataPrefix } from "../protocol/codec.ts";
import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import { encodeJson, type JsonValue, requireJson } from "../runtime/json.ts";
import type { Random } from "../runtime/random.ts";
import {
  cachesStream,
  eventsStream,
  type KeyPart,
} from "../streams/builtin_streams.ts";
import { encodeRow } from "../streams/rows.ts";
import type { Stream } from "../streams/stream.ts";
import type { StreamRegistry } from "../streams/stream_registry.ts";
import type { Token } from "../tokens/token.ts";

/** An event to append. */
export interface EventInput {
  /** What happened: `renamed`. */
  readonly type: string;
  /** With what. */
  readonly data?: JsonValue | undefined;
  /** Beside what: who asked for it, and why. */
  readonly metadata?: JsonValue | undefined;
}

/**
 * What an aggregate's version must be for events to be appended: a number;
 * `"none"` for an aggregate without events; `"exists"` for one with some;
 * `"any"` for no check.
 */
export type ExpectedVersion = number | "any" | "none" | "exists";

/** Options of {@linkcode WriterTransaction.append}. */
export interface AppendOptions {
  /**
   * The version that the aggregate must have.
   *
   * @default {"any"}
   */
  readonly expectedVersion?: ExpectedVersion | undefined;
}

/** An append met an aggregate at another version than its writer had seen. */
export class VersionConflictError extends HeadwaterError {
  /** The class's name, as it stands in stack traces. */
  override readonly name: string = "VersionConflictError";
  /** The aggregate. */
  readonly aggregate: string;
  /** The version that was expected. */
  readonly expectedVersion: ExpectedVersion;
  /** The version that it has. */
  readonly actualVersion: number;

  /** Made by `txn.append`. */
  constructor(
    aggregate: string,
    expectedVersion: ExpectedVersion,
    actualVersion: number,
  ) {
    super(
      "VERSION_CONFLICT",
      `Cannot append to aggregate "${aggregate}": expected version ` +
        `${expectedVersion}, but it has ${actualVersion}; read it again, and decide anew`,
    );
    this.aggregate = aggregate;
    this.expectedVersion = expectedVersion;
    this.actualVersion = actualVersion;
  }
}

/** Bounds of one transaction. */
export interface TransactionLimits {
  readonly maxRows: number;
  readonly maxBytes: number;
  readonly maxLineBytes: number;
}

/** What a transaction works with. */
export interface WriterTransactionOptions<Database> {
  readonly session: WriteSession<Database>;
  readonly instance: string;
  readonly streams: StreamRegistry;
  readonly caches: CacheRegistry;
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: TransactionLimits;
}

/**
 * One transaction: the data through {@linkcode db}, the log through the
 * other methods. Both commit, or neither.
 */
export class WriterTransaction<Database> {
  /** The transaction, through Kysely. */
  readonly db: Transaction<Database>;
  readonly #options: WriterTransactionOptions<Database>;
  readonly #rows = new Map<string, string[]>();
  readonly #events: StoredEvent[] = [];
  readonly #invalidations: NamedKey[] = [];
  readonly #versions = new Map<string, number>();
  readonly #afterCommit: (() => void)[] = [];
  readonly #afterRollback: (() => void)[] = [];
  #rowCount = 0;
  #byteCount = 0;
  #hasEnded = false;

  /** Made by `WriterStore.transaction`. */
  constructor(options: WriterTransactionOptions<Database>) {
    this.#options = options;
    this.db = options.session.db;
  }

  /**
   * Writes a row of a stream.
   *
   * @param stream The stream, or its name.
   * @param row What the stream's schema describes.
   * @throws {HeadwaterError} `ROW_INVALID` with the path of what is wrong,
   *   `STREAM_UNKNOWN`, `ROW_TOO_LONG` or `TRANSACTION_TOO_LARGE`.
   */
  write<Row>(stream: Stream<Row> | string, row: Row): void {
    this.#requireOpen("write a row");
    const name = typeof stream === "string" ? stream : stream.name;
    const known = this.#options.streams.get(name);
    if (name === cachesStream.name || name === eventsStream.name) {
      throw new HeadwaterError(
        "INVALID_ARGUMENT",
        `Cannot write rows of stream "${name}" directly; ` +
          "use txn.invalidate… or txn.append",
      );
    }
    this.#add(name, encodeRow(known, row));
  }

  /**
   * Appends events to an aggregate.
   *
   * @param aggregate The aggregate's id: `user:1`.
   * @param events What happened, in order; at least one.
   * @param options The version that the aggregate must have.
   * @returns The aggregate's version after it: the number of its events.
   * @throws {VersionConflictError} `VERSION_CONFLICT` if it has another version.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` or `ROW_INVALID` for what can't be an event.
   */
  async append(
    aggregate: string,
    events: readonly EventInput[],
    options: AppendOptions = {},
  ): Promise<number> {
    this.#requireOpen("append events");
    checkAppend(aggregate, events, options);
    const { session, random } = this.#options;
    const before = this.#versions.get(aggregate) ??
      await readVersion(session, aggregate);
    const { expectedVersion = "any" } = options;
    if (!isExpected(before, expectedVersion)) {
      throw new VersionConflictError(aggregate, expectedVersion, before);
    }
    let version = before;
    for (const { type, data = null, metadata = null } of events) {
      version += 1;
      const event = {
        aggregate,
        version,
        type,
        eventId: random.uuid(),
        data: encodeJson(data),
        metadata: encodeJson(metadata),
      };
      this.#add(eventsStream.name, eventRow(event));
      this.#events.push(event);
    }
    this.#versions.set(aggregate, version);
    return version;
  }

  /**
   * Invalidates one entry of a cached method, in every process.
   *
   * @param method The method, of an attached store or of its class; or its cache's name.
   * @param key The arguments of the entry.
   * @throws {HeadwaterError} `NOT_CACHED` if it has no cache, `KEY_INVALID` for what can't be a key.
   */
  invalidate<Args extends readonly KeyPart[]>(
    method: CachedMethod<Args> | string,
    key: Readonly<Args>,
  ): void {
    const name = cacheNameOf(method);
    checkKey(name, key);
    this.#invalidate(name, key);
  }

  /**
   * Invalidates every entry of a cached method, in every process.
   *
   * @throws {HeadwaterError} `NOT_CACHED` if it has no cache.
   */
  invalidateAll(method: CachedMethod | string): void {
    this.#invalidate(cacheNameOf(method), null);
  }

  /**
   * Invalidates what a cache group stands for, in every process.
   *
   * @param group The group, or its name.
   * @param key The group's key.
   * @throws {HeadwaterError} `GROUP_UNKNOWN`, or `KEY_INVALID` if the key isn't the group's.
   */
  invalidateGroup<Key extends readonly KeyPart[]>(
    group: CacheGroup<Key> | string,
    key: Key,
  ): void {
    const name = typeof group === "string" ? group : group.name;
    checkKey(name, key);
    // Expanded once here, so that a key that can't be is refused at the border.
    expandGroup(this.#options.caches.group(name), key);
    this.#invalidate(name, key);
  }

  /** Calls `callback` once the transaction is durable, and its caches are invalidated. */
  afterCommit(callback: () => void): void {
    this.#requireOpen("add a callback");
    this.#afterCommit.push(callback);
  }

  /** Calls `callback` if the transaction is rolled back. */
  afterRollback(callback: () => void): void {
    this.#requireOpen("add a callback");
    this.#afterRollback.push(callback);
  }

  /** For the writer store: what is to be recorded, once the function is done. */
  end(): TransactionOutcome {
    this.#hasEnded = true;
    return {
      rows: this.#rows,
      events: this.#events,
      invalidations: this.#invalidations,
      afterCommit: this.#afterCommit,
      afterRollback: this.#afterRollback,
    };
  }

  #invalidate(name: string, key: readonly KeyPart[] | null): void {
    this.#requireOpen("invalidate a cache");
    const now = Math.round(this.#options.clock.wallMs());
    this.#add(cachesStream.name, formatCachesRow(name, key, now));
    // A copy: the caller may use its array again.
    this.#invalidations.push({ name, key: key && [...key] });
  }

  #add(stream: string, row: string): void {
    const { limits, instance } = this.#options;
    // Rows and prefixes are ASCII: their length is their size.
    const lineBytes =
      formatRdataPrefix(stream, instance, LONGEST_TOKEN).length +
      row.length;
    if (lineBytes > limits.maxLineBytes) {
      throw new HeadwaterError(
        "ROW_TOO_LONG",
        `Cannot write row of stream "${stream}": it takes a line of ${lineBytes} ` +
          `bytes, and maxLineBytes is ${limits.maxLineBytes}; write smaller rows`,
      );
    }
    if (
      this.#rowCount + 1 > limits.maxRows ||
      this.#byteCount + row.length > limits.maxBytes
    ) {
      throw new HeadwaterError(
        "TRANSACTION_TOO_LARGE",
        `Cannot write more than ${limits.maxRows} rows or ${limits.maxBytes} ` +
          "bytes of rows in one transaction; split it",
      );
    }
    this.#rowCount += 1;
    this.#byteCount += row.length;
    const rows = this.#rows.get(stream);
    if (rows === undefined) this.#rows.set(stream, [row]);
    else rows.push(row);
  }

  #requireOpen(action: string): void {
    if (!this.#hasEnded) return;
    throw new HeadwaterError(
      "TRANSACTION_ENDED",
      `Cannot ${action}: the transaction has ended; await everything within it`,
    );
  }
}

/** A cache's name or a group's, and one of its keys; `null` is the whole cache. */
interface NamedKey {
  readonly name: string;
  readonly key: readonly KeyPart[] | null;
}

/** What a transaction leaves to be recorded, and to be called. */
export interface TransactionOutcome {
  readonly rows: ReadonlyMap<string, readonly string[]>;
  readonly events: readonly StoredEvent[];
  /** What the rows of the `caches` stream say, for the writer's own caches. */
  readonly invalidations: readonly NamedKey[];
  readonly afterCommit: readonly (() => void)[];
  readonly afterRollback: readonly (() => void)[];
}

const LONGEST_TOKEN = Number.MAX_SAFE_INTEGER as Token;
const MAX_NAME_LENGTH = 512;

/** The texts in it are JSON by now: they are put together, not encoded twice. */
function eventRow(event: StoredEvent): string {
  const { aggregate, version, type, eventId, data, metadata } = event;
  return `[${encodeJson(aggregate)},${version},${encodeJson(type)},` +
    `"${eventId}",${data},${metadata}]`;
}

function isExpected(version: number, expected: ExpectedVersion): boolean {
  switch (expected) {
    case "any":
      return true;
    case "none":
      return version === 0;
    case "exists":
      return version > 0;
    default:
      return version === expected;
  }
}

function checkAppend(
  aggregate: unknown,
  events: readonly EventInput[],
  { expectedVersion = "any" }: AppendOptions,
): void {
  checkText(aggregate, "aggregate");
  if (!Array.isArray(events) || events.length === 0) {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot append to aggregate "${aggregate}": give an array of at least one event`,
    );
  }
  const isVersion = typeof expectedVersion === "number"
    ? Number.isSafeInteger(expectedVersion) && expectedVersion >= 0
    : ["any", "none", "exists"].includes(expectedVersion);
  if (!isVersion) {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot append to aggregate "${aggregate}": expectedVersion is ` +
        `${expectedVersion}; give a version, "any", "none" or "exists"`,
    );
  }
  for (const [index, { type, data, metadata }] of events.entries()) {
    checkText(type, `type of event ${index + 1}`);
    const subject = `event "${type}" of aggregate "${aggregate}"`;
    if (data !== undefined) requireJson(data, `data of ${subject}`);
    if (metadata !== undefined) requireJson(metadata, `metadata of ${subject}`);
  }
}

function checkText(value: unknown, subject: string): void {
  if (
    typeof value === "string" && value !== "" && value.length <= MAX_NAME_LENGTH
  ) return;
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot append events: the ${subject} is ${
      typeof value === "string" ? `${value.length} characters long` : value
    }; give a text of 1 to ${MAX_NAME_LENGTH} characters`,
  );
}

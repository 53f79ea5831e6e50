/**
 * Following a writer without its database.
 *
 * @module
 */

import { ReplicationClient } from "../replication/client.ts";
import type { KeepAliveOptions } from "../replication/keep_alive.ts";
import type { Batch } from "../replication/transaction_applier.ts";
import { systemClock } from "../runtime/clock.ts";
import { HeadwaterError, quote } from "../runtime/errors.ts";
import {
  MAX_LINE_BYTES,
  MAX_ROWS_PER_TRANSACTION,
  MAX_TRANSACTION_BYTES,
} from "../runtime/limits.ts";
import { type Logger, silentLogger } from "../runtime/logger.ts";
import { systemRandom } from "../runtime/random.ts";
import type { Token } from "../tokens/token.ts";
import { connector } from "../transport/open_transport.ts";

/** What a writer says of a stream's place. */
export interface StreamPosition {
  /** The stream's name. */
  readonly stream: string;
  /** Who writes it. */
  readonly instance: string;
  /** The place that it told before. */
  readonly previous: Token;
  /** The place where it is: no row of the stream lies between. */
  readonly token: Token;
}

/** Options of {@linkcode follow}. */
export interface FollowOptions extends KeepAliveOptions {
  /** Where the writer listens: `tcp://HOST:PORT`. */
  readonly replicate: string;

  /**
   * Is given each batch, in the order it was sent. The writer is held up while
   * the promise it returns is pending.
   */
  readonly onBatch: (batch: Batch) => void | Promise<void>;

  /** Is given each position. */
  readonly onPosition?:
    | ((position: StreamPosition) => void | Promise<void>)
    | undefined;

  /**
   * The streams to be given. They need no declaration: rows are any JSON.
   *
   * @default {all}
   */
  readonly streams?: readonly string[] | undefined;

  /**
   * What this process is called in the writer's logs.
   *
   * @default {"follower"}
   */
  readonly name?: string | undefined;

  /**
   * The name that the writer's server must have.
   *
   * @default {any}
   */
  readonly serverName?: string | undefined;

  /**
   * The longest line that is taken, in bytes.
   *
   * @default {1048576}
   */
  readonly maxLineBytes?: number | undefined;

  /**
   * Takes what there is to say.
   *
   * @default {nothing is said}
   */
  readonly logger?: Logger | undefined;
}

/** A writer being followed. */
export interface Following extends AsyncDisposable {
  /** How many connections there have been so far. */
  readonly connections: number;
  /** Disconnects for good. */
  close(): Promise<void>;
}

/**
 * Gives the rows that a writer sends while it is connected, and connects again
 * whenever it is lost. Without the database there is no catch-up: what is
 * written while it is away is not given. To have everything, and caches, use
 * `SlavedStore`.
 *
 * @param options Whom to follow, and what to do with the rows.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for an address that can't be.
 *
 * @example Usage
 * ```ts
 * import { follow } from "headwater";
 *
 * const following = follow({
 *   replicate: "tcp://127.0.0.1:8823",
 *   onBatch: ({ stream, token, rows }) => console.log(stream, token, rows),
 * });
 * await following.close();
 * ```
 */
export function follow(options: FollowOptions): Following {
  const { maxLineBytes = MAX_LINE_BYTES } = options;
  const client = new ReplicationClient({
    pingIntervalMs: options.pingIntervalMs,
    silenceTimeoutMs: options.silenceTimeoutMs,
    connect: connector(options.replicate, systemClock, { maxLineBytes }),
    receiver: new BatchReceiver(options),
    name: options.name ?? "follower",
    serverName: options.serverName,
    clock: systemClock,
    random: systemRandom,
    logger: options.logger ?? silentLogger,
  });
  client.open();
  const close = () => client.close();
  return {
    get connections() {
      return client.connections;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Gathers each stream's batches for themselves: foreign writers count each stream apart. */
class BatchReceiver {
  readonly #options: FollowOptions;
  readonly #batches = new Map<string, string[]>();
  #rows = 0;
  #chars = 0;

  constructor(options: FollowOptions) {
    this.#options = options;
  }

  /** Nothing is fetched, so whoever is connected has all there will be. */
  get isLive(): boolean {
    return true;
  }

  row(
    stream: string,
    instance: string,
    token: Token | undefined,
    row: string,
  ): void | Promise<void> {
    const { streams, onBatch } = this.#options;
    if (streams !== undefined && !streams.includes(stream)) return;
    const key = `${stream} ${instance}`;
    const rows = this.#batches.get(key) ?? [];
    rows.push(row);
    this.#count(row);
    if (token === undefined) {
      this.#batches.set(key, rows);
      return;
    }
    this.#batches.delete(key);
    if (this.#batches.size === 0) this.#forget();
    return onBatch({ stream, instance, token, rows: rows.map(parseRow) });
  }

  position(
    stream: string,
    instance: string,
    previous: Token,
    token: Token,
  ): void | Promise<void> {
    this.#batches.delete(`${stream} ${instance}`);
    const { streams, onPosition } = this.#options;
    if (streams !== undefined && !streams.includes(stream)) return;
    return onPosition?.({ stream, instance, previous, token });
  }

  disconnected(): void {
    this.#forget();
  }

  #forget(): void {
    this.#batches.clear();
    this.#rows = 0;
    this.#chars = 0;
  }

  #count(row: string): void {
    this.#rows += 1;
    this.#chars += row.length;
    if (
      this.#rows <= MAX_ROWS_PER_TRANSACTION &&
      this.#chars <= MAX_TRANSACTION_BYTES
    ) return;
    throw new HeadwaterError(
      "TRANSACTION_TOO_LARGE",
      `Cannot take in batches of more than ${MAX_ROWS_PER_TRANSACTION} rows or ` +
        `${MAX_TRANSACTION_BYTES} characters; write smaller ones`,
    );
  }
}

function parseRow(row: string): unknown {
  try {
    return JSON.parse(row);
  } catch {
    throw new HeadwaterError(
      "LINE_INVALID",
      `failed to parse row (${quote(row)})`,
    );
  }
}

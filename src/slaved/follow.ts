/**
 * Following a writer without its database.
 *
 * @module
 */

import { ReplicationClient } from "../replication/client.ts";
import {
  KEEP_ALIVE_OPTIONS,
  type KeepAliveOptions,
  requireKeepAlive,
} from "../replication/keep_alive.ts";
import type { Batch } from "../replication/stream_subscription.ts";
import { requireBounds } from "../runtime/bounds.ts";
import {
  ENVIRONMENT_OPTIONS,
  type EnvironmentOptions,
} from "../runtime/environment.ts";
import { HeadwaterError, messageOf } from "../runtime/errors.ts";
import {
  MAX_FOLLOWED_STREAMS,
  MAX_ROWS_PER_TRANSACTION,
  MAX_TRANSACTION_BYTES,
} from "../runtime/limits.ts";
import { type Logger, withSafeLogger } from "../runtime/logger.ts";
import { type OptionNames, requireNames } from "../runtime/option_names.ts";
import { parseRow } from "../streams/rows.ts";
import type { Token } from "../tokens/token.ts";
import { openTransport } from "../transport/open_transport.ts";
import type { Address, TlsOptions } from "../transport/transport.ts";
import { UntoldStreams } from "./untold_streams.ts";
import { connectingOf, transportOptionsOf } from "./upstream_options.ts";

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

/** A batch, and its rows as they came. */
export interface FollowedBatch extends Batch {
  /**
   * The rows' JSON, one text each, as the writer wrote it: whole numbers beyond
   * 2^53 and others that JavaScript has no number for are in it unchanged.
   */
  readonly texts: readonly string[];
}

/** Options of {@linkcode follow}. */
export interface FollowOptions extends KeepAliveOptions, EnvironmentOptions {
  /**
   * Where the writer listens: `tcp://HOST:PORT`, `tls://HOST:PORT`, `unix:PATH`,
   * `memory:NAME`, a `MessagePort` that a writer or a relay serves, or a
   * transport; several, where several write. `redis://HOST:PORT` for writers
   * that publish there: the channel is `serverName`, or what `?channel=NAME`
   * says.
   */
  readonly replicate: Address | readonly Address[];

  /** What `tls:` and `rediss:` trust, and how this process shows who it is. */
  readonly tls?: TlsOptions | undefined;

  /**
   * Is given each batch, in the order it was sent. The writer is held up while
   * the promise it returns is pending. What it throws is logged, and the next
   * batch is given.
   */
  readonly onBatch: (batch: FollowedBatch) => void | Promise<void>;

  /** Is given each position. */
  readonly onPosition?:
    | ((position: StreamPosition) => void | Promise<void>)
    | undefined;

  /**
   * The streams to be given. They need no declaration: rows are any JSON. Of one
   * that no writer tells of a warning is logged.
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
   * How often Redis is asked whether it is there, in ms, and how long it may
   * take to answer. One that doesn't is connected to again.
   *
   * @default {30000}
   */
  readonly redisPingIntervalMs?: number | undefined;

  /**
   * The first pause before connecting again, in ms; each next is e times longer.
   *
   * @default {100}
   */
  readonly minBackoffMs?: number | undefined;

  /**
   * The longest pause before connecting again, in ms.
   *
   * @default {2000}
   */
  readonly maxBackoffMs?: number | undefined;

  /** Closes it. */
  readonly signal?: AbortSignal | undefined;

  /**
   * Takes what there is to say.
   *
   * @default {nothing is said}
   */
  readonly logger?: Logger | undefined;
}

/** The names of {@linkcode FollowOptions}. */
export const FOLLOW_OPTIONS: OptionNames<FollowOptions> = {
  ...KEEP_ALIVE_OPTIONS,
  ...ENVIRONMENT_OPTIONS,
  replicate: true,
  tls: true,
  onBatch: true,
  onPosition: true,
  streams: true,
  name: true,
  serverName: true,
  maxLineBytes: true,
  redisPingIntervalMs: true,
  minBackoffMs: true,
  maxBackoffMs: true,
  signal: true,
  logger: true,
};

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
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for an option that can't be.
 *
 * @example Usage
 * ```ts
 * import { follow } from "headwater/slaved";
 *
 * const following = follow({
 *   replicate: "tcp://127.0.0.1:8823",
 *   onBatch: ({ stream, token, rows }) => console.log(stream, token, rows),
 * });
 * await following.close();
 * ```
 */
export function follow(options: FollowOptions): Following {
  requireNames("follow a writer", FOLLOW_OPTIONS, options);
  options = withSafeLogger(options);
  requireBounds("follow a writer", options);
  requireKeepAlive("follow a writer", options);
  const { signal } = options;
  const connecting = connectingOf(options);
  const { clock, logger } = connecting;
  const transport = transportOptionsOf(options);
  const untold = new UntoldStreams({ wanted: options.streams, clock, logger });
  const clients = [options.replicate].flat().map((address) =>
    new ReplicationClient({
      ...connecting,
      transport: openTransport(address, clock, transport),
      receiver: new BatchReceiver(options, logger, untold),
      name: options.name ?? "follower",
    })
  );
  const close = async () => {
    signal?.removeEventListener("abort", close);
    untold.close();
    await Promise.all(clients.map((client) => client.close()));
  };
  if (!signal?.aborted) {
    signal?.addEventListener("abort", close);
    for (const client of clients) client.open();
  }
  return {
    get connections() {
      return clients.reduce((sum, { connections }) => sum + connections, 0);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Rows of a batch that has not ended. */
interface OpenBatch {
  readonly rows: string[];
  chars: number;
}

/** Gathers each stream's batches for themselves: foreign writers count each stream apart. */
class BatchReceiver {
  readonly #options: FollowOptions;
  readonly #logger: Logger;
  readonly #untold: UntoldStreams;
  readonly #batches = new Map<string, OpenBatch>();
  /** What was given last on this connection, by stream and instance. */
  readonly #given = new Map<string, Token>();
  /** Rows and characters of all that has not ended. */
  #rows = 0;
  #chars = 0;
  #isLive = false;

  constructor(options: FollowOptions, logger: Logger, untold: UntoldStreams) {
    this.#options = options;
    this.#logger = logger;
    this.#untold = untold;
  }

  /** Nothing is fetched: whoever is told something has all there will be. */
  get isLive(): boolean {
    return this.#isLive;
  }

  row(
    stream: string,
    instance: string,
    token: Token | undefined,
    row: string,
  ): void | Promise<void> {
    this.#isLive = true;
    if (!this.#isWanted(stream)) return;
    const key = `${stream} ${instance}`;
    this.#add(key, row);
    if (token === undefined) return;
    this.#untold.told(stream);
    // A foreign writer may end its lines with a carriage return.
    const texts = this.#take(key).map((text) => text.trim());
    const last = this.#given.get(key);
    // Told twice, as a writer may.
    if (last !== undefined && token <= last) return;
    this.#remember(key, token);
    const rows = texts.map(parseRow);
    const batch = { stream, instance, token, rows, texts };
    return this.#call(this.#options.onBatch, batch);
  }

  position(
    stream: string,
    instance: string,
    previous: Token,
    token: Token,
  ): void | Promise<void> {
    this.#isLive = true;
    this.#untold.told(stream);
    const key = `${stream} ${instance}`;
    this.#take(key);
    const last = this.#given.get(key);
    // A writer that was started over counts from an earlier place.
    if (last !== undefined && token < last) this.#given.set(key, token);
    const { onPosition } = this.#options;
    if (onPosition === undefined || !this.#isWanted(stream)) return;
    return this.#call(onPosition, { stream, instance, previous, token });
  }

  disconnected(): void {
    this.#batches.clear();
    this.#given.clear();
    this.#rows = 0;
    this.#chars = 0;
    this.#isLive = false;
  }

  /** The one that has been silent longest goes: at worst a batch is given twice. */
  #remember(key: string, token: Token): void {
    this.#given.delete(key);
    if (this.#given.size >= MAX_FOLLOWED_STREAMS) {
      const oldest = this.#given.keys().next();
      if (!oldest.done) this.#given.delete(oldest.value);
    }
    this.#given.set(key, token);
  }

  #isWanted(stream: string): boolean {
    return this.#options.streams?.includes(stream) ?? true;
  }

  #add(key: string, row: string): void {
    const batch = this.#batches.get(key) ?? { rows: [], chars: 0 };
    this.#batches.set(key, batch);
    batch.rows.push(row);
    batch.chars += row.length;
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

  /** Ends a batch, and gives its rows. */
  #take(key: string): readonly string[] {
    const batch = this.#batches.get(key);
    if (batch === undefined) return [];
    this.#batches.delete(key);
    this.#rows -= batch.rows.length;
    this.#chars -= batch.chars;
    return batch.rows;
  }

  /** Stays synchronous where the user's function does. */
  #call<Told>(
    tell: (told: Told) => void | Promise<void>,
    told: Told,
  ): void | Promise<void> {
    try {
      const running = tell(told);
      if (running === undefined) return;
      // Whatever it is that a function written without types has returned.
      return Promise.resolve(running).catch((error) => this.#failed(error));
    } catch (error) {
      this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    this.#logger("error", "what follows the writer failed", {
      error: messageOf(error),
    });
  }
}

/**
 * One connection to a writer for all threads of a process.
 *
 * @module
 */

import {
  KEEP_ALIVE_OPTIONS,
  type KeepAliveOptions,
  requireKeepAlive,
} from "../replication/keep_alive.ts";
import { Relay as LineRelay, type RelayStats } from "../replication/relay.ts";
import { requireAboveZero, requireBounds } from "../runtime/bounds.ts";
import {
  ENVIRONMENT_OPTIONS,
  type EnvironmentOptions,
} from "../runtime/environment.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import {
  MAX_CONNECTIONS,
  MAX_OUTBOX_BYTES,
  MAX_PRESENT_USERS,
  PRESENCE_GRACE_MS,
  PRESENCE_TIMEOUT_MS,
} from "../runtime/limits.ts";
import { type Logger, withSafeLogger } from "../runtime/logger.ts";
import { type OptionNames, requireNames } from "../runtime/option_names.ts";
import { openTransport } from "../transport/open_transport.ts";
import type {
  Address,
  Listener,
  ThreadPort,
  TlsOptions,
} from "../transport/transport.ts";
import { connectingOf, transportOptionsOf } from "./upstream_options.ts";

/** Options of {@linkcode openRelay}. */
export interface RelayOptions extends KeepAliveOptions, EnvironmentOptions {
  /** Where the writer listens: as `SlavedStore`'s, but one. */
  readonly replicate: Address;

  /** What `tls:` and `rediss:` trust, and how this process shows who it is. */
  readonly tls?: TlsOptions | undefined;

  /**
   * What this process is called in the writer's logs.
   *
   * @default {"relay"}
   */
  readonly name?: string | undefined;

  /**
   * The name that the writer's server must have.
   *
   * @default {any}
   */
  readonly serverName?: string | undefined;

  /**
   * The longest line that is taken, in bytes. A thread that sends a longer one is
   * disconnected, and no other: give 16,384 here where the writer is
   * `synapseCompatible`, or what its own `maxLineBytes` is, if that is less than
   * the default.
   *
   * @default {1048576}
   */
  readonly maxLineBytes?: number | undefined;

  /**
   * Bytes that may wait for one thread. Beyond, it is disconnected, and catches
   * up from the log.
   *
   * @default {16777216}
   */
  readonly maxOutboxBytes?: number | undefined;

  /**
   * Readers at a time.
   *
   * @default {10000}
   */
  readonly maxConnections?: number | undefined;

  /**
   * How long a thread whose connection was lost keeps its present users, in ms.
   *
   * @default {10000}
   */
  readonly presenceGraceMs?: number | undefined;

  /**
   * How long a thread that says nothing at all keeps its present users, in ms:
   * above 0.
   * One that has pinged is disconnected after `silenceTimeoutMs`.
   *
   * @default {300000}
   */
  readonly presenceTimeoutMs?: number | undefined;

  /**
   * Users, by thread and device, whose presence is told at a time. Further ones
   * are not told of.
   *
   * @default {100000}
   */
  readonly maxPresentUsers?: number | undefined;

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

  /**
   * Takes what there is to say.
   *
   * @default {nothing is said}
   */
  readonly logger?: Logger | undefined;
}

/** The names of {@linkcode RelayOptions}. */
export const RELAY_OPTIONS: OptionNames<RelayOptions> = {
  ...KEEP_ALIVE_OPTIONS,
  ...ENVIRONMENT_OPTIONS,
  replicate: true,
  tls: true,
  name: true,
  serverName: true,
  maxLineBytes: true,
  maxOutboxBytes: true,
  maxConnections: true,
  presenceGraceMs: true,
  presenceTimeoutMs: true,
  maxPresentUsers: true,
  redisPingIntervalMs: true,
  minBackoffMs: true,
  maxBackoffMs: true,
  logger: true,
};

/** One connection to a writer, for all threads of a process. */
export interface Relay extends AsyncDisposable {
  /** What it has done so far. */
  readonly stats: RelayStats;

  /**
   * Serves a thread: its end of the channel is what its `SlavedStore`
   * replicates over.
   *
   * @param port This end of a `MessageChannel`.
   * @throws {HeadwaterError} `LISTEN_FAILED` if it is served already; `CLOSED`.
   */
  serve(port: ThreadPort): Promise<void>;

  /** Disconnects from the writer, and every thread. */
  close(): Promise<void>;
}

/**
 * Connects to a writer once, for any number of worker threads: each gets the
 * writer's lines over a port, and has a `SlavedStore` of its own. One that
 * can't keep up is disconnected, and holds up no other.
 *
 * @param options Whom to follow.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for an option that can't be.
 *
 * @example Usage
 * ```ts
 * import { MessageChannel, Worker } from "node:worker_threads";
 * import { openRelay } from "headwater/slaved";
 *
 * const relay = openRelay({ replicate: "tcp://127.0.0.1:8823" });
 * const { port1, port2 } = new MessageChannel();
 * await relay.serve(port1);
 * new Worker(new URL("./worker.js", import.meta.url), {
 *   workerData: { replicate: port2 }, // SlavedStore.connect({ replicate, … })
 *   transferList: [port2],
 * });
 * ```
 */
export function openRelay(options: RelayOptions): Relay {
  requireNames("open a relay", RELAY_OPTIONS, options);
  options = withSafeLogger(options);
  requireBounds("open a relay", options);
  requireKeepAlive("open a relay", options);
  const { presenceTimeoutMs } = options;
  requireAboveZero("open a relay", { presenceTimeoutMs });
  const connecting = connectingOf(options);
  const { clock } = connecting;
  const transport = transportOptionsOf(options);
  const relay = new LineRelay({
    ...connecting,
    transport: openTransport(options.replicate, clock, transport),
    name: options.name ?? "relay",
    maxOutboxBytes: options.maxOutboxBytes ?? MAX_OUTBOX_BYTES,
    maxConnections: options.maxConnections ?? MAX_CONNECTIONS,
    presence: {
      graceMs: options.presenceGraceMs ?? PRESENCE_GRACE_MS,
      timeoutMs: options.presenceTimeoutMs ?? PRESENCE_TIMEOUT_MS,
      maxUsers: options.maxPresentUsers ?? MAX_PRESENT_USERS,
    },
  });
  const listeners: Listener[] = [];
  let closing: Promise<void> | undefined;
  const close = async () => {
    for (const listener of listeners) await listener.close();
    await relay.close();
  };
  relay.open();
  return {
    get stats() {
      return relay.stats;
    },
    async serve(port) {
      if (closing !== undefined) throw closedError();
      const listener = await openTransport(port, clock, transport)
        .listen((connection) => relay.accept(connection));
      listeners.push(listener);
      // It may have been closed meanwhile.
      if (closing !== undefined) await listener.close();
    },
    close: () => closing ??= close(),
    [Symbol.asyncDispose]: () => closing ??= close(),
  };
}

function closedError(): HeadwaterError {
  return new HeadwaterError(
    "CLOSED",
    "Cannot serve a port: the relay is closed; open another",
  );
}

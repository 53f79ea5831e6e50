/**
 * What options say of the connection to a writer, whoever it is that connects.
 *
 * @module
 */

import type { KeepAliveOptions } from "../replication/keep_alive.ts";
import type { Clock } from "../runtime/clock.ts";
import {
  environmentOf,
  type EnvironmentOptions,
} from "../runtime/environment.ts";
import { MAX_LINE_BYTES } from "../runtime/limits.ts";
import { type Logger, silentLogger } from "../runtime/logger.ts";
import type { Random } from "../runtime/random.ts";
import type { TransportOptions } from "../transport/transport.ts";

/** Options of a slaved store, a relay and a follower, as far as they are alike. */
export interface UpstreamOptions
  extends
    Omit<TransportOptions, "maxLineBytes">,
    KeepAliveOptions,
    EnvironmentOptions {
  readonly maxLineBytes?: number | undefined;
  readonly minBackoffMs?: number | undefined;
  readonly maxBackoffMs?: number | undefined;
}

/** How a connection to a writer is made, kept, and made again. */
export interface Connecting extends KeepAliveOptions {
  readonly serverName: string | undefined;
  readonly minBackoffMs: number | undefined;
  readonly maxBackoffMs: number | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** How lines travel. */
export function transportOptionsOf(
  {
    maxLineBytes = MAX_LINE_BYTES,
    tls,
    serverName,
    redisPingIntervalMs,
    logger = silentLogger,
  }: UpstreamOptions,
): TransportOptions {
  return { maxLineBytes, tls, serverName, redisPingIntervalMs, logger };
}

/** How the connection is to be had. */
export function connectingOf(options: UpstreamOptions): Connecting {
  return {
    serverName: options.serverName,
    minBackoffMs: options.minBackoffMs,
    maxBackoffMs: options.maxBackoffMs,
    pingIntervalMs: options.pingIntervalMs,
    silenceTimeoutMs: options.silenceTimeoutMs,
    ...environmentOf(options),
    logger: options.logger ?? silentLogger,
  };
}

/**
 * A channel of Redis, over a client of the user's own.
 *
 * @module
 */

import { systemClock } from "../runtime/clock.ts";
import { MAX_LINE_BYTES } from "../runtime/limits.ts";
import type { Logger } from "../runtime/logger.ts";
import { type OptionNames, requireNames } from "../runtime/option_names.ts";
import { systemRandom } from "../runtime/random.ts";
import type { RedisConnector } from "./redis_client.ts";
import { redisTransport } from "./redis_transport.ts";
import type { Transport } from "./transport.ts";

/** Options of {@linkcode redisChannel}. */
export interface RedisChannelOptions {
  /**
   * The channel's name: by convention, the server's.
   *
   * @default {"headwater"}
   */
  readonly channel?: string | undefined;

  /**
   * The longest message that is taken, in bytes.
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

/** The names of {@linkcode RedisChannelOptions}. */
export const REDIS_CHANNEL_OPTIONS: OptionNames<RedisChannelOptions> = {
  channel: true,
  maxLineBytes: true,
  logger: true,
};

/**
 * What `redis://` stands for, with a client of your own: of a cluster, of
 * sentinels, or of another package than `redis`. Give it as `listen` to
 * writers and as `replicate` to readers.
 *
 * @param connector Makes a connection each time it is called.
 * @param options The channel, and bounds.
 */
export function redisChannel(
  connector: RedisConnector,
  options: RedisChannelOptions = {},
): Transport {
  requireNames("use Redis", REDIS_CHANNEL_OPTIONS, options);
  const { channel = "headwater", maxLineBytes = MAX_LINE_BYTES, logger } =
    options;
  return redisTransport(
    { connector, channel, url: `a Redis client, channel ${channel}` },
    { clock: systemClock, random: systemRandom, maxLineBytes, logger },
  );
}

/**
 * The reading side alone, for a process that loads no writer.
 *
 * @module
 */

export { follow } from "./follow.ts";
export type { Following, FollowOptions, StreamPosition } from "./follow.ts";
export { SlavedStore } from "./slaved_store.ts";
export type { SlavedStats } from "./slaved_stats.ts";
export type { SlavedStoreOptions } from "./slaved_options.ts";
export { redisChannel } from "../transport/redis_channel.ts";
export type { RedisChannelOptions } from "../transport/redis_channel.ts";
export type {
  RedisClient,
  RedisConnector,
  RedisMessage,
} from "../transport/redis_client.ts";

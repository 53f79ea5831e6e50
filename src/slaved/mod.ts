/**
 * The reading side alone, for a process that loads no writer.
 *
 * @module
 */

export { follow } from "./follow.ts";
export type {
  FollowedBatch,
  Following,
  FollowOptions,
  StreamPosition,
} from "./follow.ts";
export type {
  CommandFields,
  CommandHandler,
  CommandSender,
  HandledKind,
  SendOptions,
  SlavedKind,
  Unregister,
} from "../replication/command_bus.ts";
export type { SlavedPresence } from "../replication/presence_reporter.ts";
export { openRelay } from "./open_relay.ts";
export type { Relay, RelayOptions } from "./open_relay.ts";
export type {
  Audit,
  AuditDifference,
  AuditOptions,
  AuditStats,
} from "./audit_options.ts";
export type { JournalOptions } from "../replication/invalidation_journal.ts";
export type { KeyTrace } from "../replication/key_trace.ts";
export type {
  InvalidatedBy,
  InvalidationTrace,
} from "../replication/row_search.ts";
export type { LoadRecord } from "../caches/load_log.ts";
export type { ReachedKey } from "../caches/invalidation_reach.ts";
export type { CachesRow, EventsRow } from "../streams/builtin_streams.ts";
export { SlavedStore } from "./slaved_store.ts";
export type { SlavedState, SlavedStats } from "./slaved_stats.ts";
export type {
  CallOptions,
  CallResult,
  WriterHttpOptions,
} from "./writer_calls.ts";
export type { SlavedSubscribeOptions, Unsubscribe } from "./subscribing.ts";
export type {
  ResetHandler,
  StreamReset,
} from "../replication/ephemeral_streams.ts";
export type { SlavedStoreOptions } from "./slaved_options.ts";
export type { DatabaseOptions } from "../database/open_database.ts";
export type { PostgresOptions } from "../database/postgres_client.ts";
export type { SqliteOptions, Synchronous } from "../database/sqlite_engine.ts";
export type { TableNameOptions } from "../database/table_names.ts";
export type { SlavedCaches } from "./slaved_caches.ts";
export type { SlavedCommands } from "./slaved_commands.ts";
export type { StreamOptions } from "../streams/stream.ts";
export type { EventReads } from "../events/event_reads.ts";
export type { EnvironmentOptions } from "../runtime/environment.ts";
export type { KeepAliveOptions } from "../replication/keep_alive.ts";
export type { DeclarationOptions } from "../store/declarations.ts";
export type { StoreClass } from "../store/store.ts";
export type { RelayStats } from "../replication/relay.ts";
export type {
  AcceptConnection,
  Address,
  Connection,
  ConnectionHandler,
  Listener,
  ThreadPort,
  TlsOptions,
  Transport,
} from "../transport/transport.ts";
export type { CatchUpProgress } from "../replication/catch_up_progress.ts";
export type { InstanceLag } from "../replication/lag_meter.ts";
export type {
  WaitOutcome,
  WaitReached,
  WaitTimedOut,
} from "../replication/reader_position.ts";
export type {
  HandlerFailure,
  RetryPolicy,
  SubscribeOptions,
} from "../replication/stream_subscription.ts";
export type { WaitForOptions } from "../replication/wait_for.ts";
export { redisChannel } from "../transport/redis_channel.ts";
export type { RedisChannelOptions } from "../transport/redis_channel.ts";
export type {
  RedisClient,
  RedisConnector,
  RedisMessage,
} from "../transport/redis_client.ts";

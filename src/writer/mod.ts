/**
 * The writing side alone, for a process that loads no reader.
 *
 * @module
 */

export { WriterStore } from "./writer_store.ts";
export type { JournalOptions } from "../replication/invalidation_journal.ts";
export type { KeyTrace } from "../replication/key_trace.ts";
export type {
  InvalidatedBy,
  InvalidationTrace,
} from "../replication/row_search.ts";
export type { LoadRecord } from "../caches/load_log.ts";
export type { ReachedKey } from "../caches/invalidation_reach.ts";
export type { CachesRow, EventsRow } from "../streams/builtin_streams.ts";
export type { StreamerStats } from "../replication/streamer_options.ts";
export type { WriterStats } from "./writer_stats.ts";
export type { EndpointOptions } from "./endpoint_options.ts";
export type { WriterStoreOptions } from "./writer_options.ts";
export type { DatabaseOptions } from "../database/open_database.ts";
export type { PostgresOptions } from "../database/postgres_client.ts";
export type { SqliteOptions, Synchronous } from "../database/sqlite_engine.ts";
export type { TableNameOptions } from "../database/table_names.ts";
export type { WriterCaches } from "./writer_caches.ts";
export type { WriterCommands } from "./writer_commands.ts";
export type { StreamOptions } from "../streams/stream.ts";
export type { EventReads } from "../events/event_reads.ts";
export type { EnvironmentOptions } from "../runtime/environment.ts";
export type { KeepAliveOptions } from "../replication/keep_alive.ts";
export type { DeclarationOptions } from "../store/declarations.ts";
export type { StoreClass } from "../store/store.ts";
export { VersionConflictError } from "../events/version_conflict.ts";
export type { ExpectedVersion } from "../events/version_conflict.ts";
export type { AppendOptions } from "./event_appender.ts";
export type { CallHandler } from "./exposed_calls.ts";
export type { CancelTimer, Clock } from "../runtime/clock.ts";
export type { Random } from "../runtime/random.ts";
export type { TransactionRunOptions, Work } from "./transaction_runner.ts";
export type { Isolation } from "../database/engine.ts";
export type { ReadRowsOptions } from "./read_rows.ts";
export type {
  CommandFields,
  CommandHandler,
  CommandSender,
  HandledKind,
  SendOptions,
  Unregister,
  WriterKind,
} from "../replication/command_bus.ts";
export type { DisconnectReason } from "../replication/connected_reader.ts";
export type {
  Presence,
  PresenceChange,
  PresentSession,
  StopListening,
} from "../replication/presence.ts";
export { WriterTransaction } from "./writer_transaction.ts";
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
export { redisChannel } from "../transport/redis_channel.ts";
export type { RedisChannelOptions } from "../transport/redis_channel.ts";
export type {
  RedisClient,
  RedisConnector,
  RedisMessage,
} from "../transport/redis_client.ts";

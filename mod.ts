/**
 * A storage engine for services of more than one process: every write is
 * recorded in a log under a token, and every process's caches follow that log.
 * A reader that has reached token T never returns anything older than T.
 *
 * @module
 */

export { cached } from "./src/caches/cached.ts";
export { cachesStream, eventsStream } from "./src/streams/builtin_streams.ts";
export { defineAggregate } from "./src/events/aggregate.ts";
export { defineCacheGroup } from "./src/caches/cache_groups.ts";
export { defineStream } from "./src/streams/stream.ts";
export { HeadwaterError } from "./src/runtime/errors.ts";
export { SlavedStore } from "./src/slaved/slaved_store.ts";
export { stderrLogger } from "./src/runtime/logger.ts";
export { Store } from "./src/store/store.ts";
export { VersionConflictError } from "./src/events/version_conflict.ts";
export { WaitTimeoutError } from "./src/replication/reader_position.ts";
export { WriterStore } from "./src/writer/writer_store.ts";

// Through the doors: TypeScript names what it infers of these in a user's
// declarations, `AggregateKind` say, by a door that it has met.
export type {
  CachedOptions,
  CacheGroup,
  CacheStats,
  Invalidation,
} from "./src/caches/mod.ts";
export type { EventInput } from "./src/events/mod.ts";
export type {} from "./src/protocol/mod.ts";
export type { SlavedStoreOptions } from "./src/slaved/mod.ts";
export type { ExpectedVersion, WriterStoreOptions } from "./src/writer/mod.ts";

export type {
  Batch,
  StreamHandler,
} from "./src/replication/stream_subscription.ts";
export type { Commit, Position, WaitTarget } from "./src/tokens/position.ts";
export type { ErrorCode } from "./src/runtime/errors.ts";
export type { JsonValue } from "./src/runtime/json.ts";
export type { KeyPart } from "./src/streams/builtin_streams.ts";
export type { Logger, LogLevel } from "./src/runtime/logger.ts";
export type { RowOf, Stream } from "./src/streams/stream.ts";
export type { RowPage } from "./src/writer/read_rows.ts";
export type { SlavedStats } from "./src/slaved/slaved_stats.ts";
export type { StoreContext } from "./src/store/store.ts";
export type { Token } from "./src/tokens/token.ts";
export type { WaitOptions } from "./src/runtime/waiting.ts";
export type { WriterStats } from "./src/writer/writer_stats.ts";
export type { WriterTransaction } from "./src/writer/writer_transaction.ts";

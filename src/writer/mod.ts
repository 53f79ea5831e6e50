/**
 * The writing side alone, for a process that loads no reader.
 *
 * @module
 */

export { WriterStore } from "./writer_store.ts";
export type { WriterStats } from "./writer_stats.ts";
export type { WriterStoreOptions } from "./writer_options.ts";
export { VersionConflictError } from "./event_appender.ts";
export type { AppendOptions, ExpectedVersion } from "./event_appender.ts";
export type { CancelTimer, Clock } from "../runtime/clock.ts";
export type { Random } from "../runtime/random.ts";
export type { TransactionRunOptions } from "./transaction_runner.ts";
export { WriterTransaction } from "./writer_transaction.ts";

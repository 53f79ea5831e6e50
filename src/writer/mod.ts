/**
 * The writing side alone, for a process that loads no reader.
 *
 * @module
 */

export { WriterStore } from "./writer_store.ts";
export type { WriterStats, WriterStoreOptions } from "./writer_store.ts";
export {
  VersionConflictError,
  WriterTransaction,
} from "./writer_transaction.ts";
export type {
  AppendOptions,
  EventInput,
  ExpectedVersion,
} from "./writer_transaction.ts";

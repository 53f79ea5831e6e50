/**
 * The writing side alone, for a process that loads no reader.
 *
 * @module
 */

export { WriterStore } from "./writer_store.ts";
export type { WriterStats } from "./writer_store.ts";
export type { WriterStoreOptions } from "./writer_options.ts";
export {
  VersionConflictError,
  WriterTransaction,
} from "./writer_transaction.ts";
export type {
  AppendOptions,
  EventInput,
  ExpectedVersion,
} from "./writer_transaction.ts";

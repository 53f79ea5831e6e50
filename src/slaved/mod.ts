/**
 * The reading side alone, for a process that loads no writer.
 *
 * @module
 */

export { SlavedStore } from "./slaved_store.ts";
export type { SlavedStats, SlavedStoreOptions } from "./slaved_store.ts";

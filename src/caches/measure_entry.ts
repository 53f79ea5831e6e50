/**
 * Counting what a loaded entry takes.
 *
 * @module
 */

import { messageOf } from "../runtime/errors.ts";
import type { Logger } from "../runtime/logger.ts";
import type { CheckedLimits } from "./cache_options.ts";
import type { EntryKey, EntryTable } from "./entry_table.ts";
import type { KeyArgument } from "./key_parts.ts";
import { bytesOf } from "./size_of.ts";

/** An entry whose load has ended. */
export interface LoadedEntry {
  /** The cache's name. */
  readonly name: string;
  readonly key: EntryKey;
  readonly parts: readonly KeyArgument[];
  readonly value: unknown;
}

/** Keeps a loaded entry with its bytes; drops it if they can't be known. */
export function measureEntry(
  entries: EntryTable,
  { name, key, parts, value }: LoadedEntry,
  limits: CheckedLimits,
  logger: Logger,
): Promise<unknown> {
  // lru-cache measures anew only what is another object.
  const promise = Promise.resolve(value);
  try {
    entries.set(key, promise, bytesOf(name, limits, parts, value));
  } catch (error) {
    entries.delete(key);
    const fields = { cache: name, error: messageOf(error) };
    logger("error", "entry not kept: no size", fields);
  }
  return promise;
}

/**
 * What a dictionary cache holds, and what that takes.
 *
 * @module
 */

import type { Ordered } from "./entry_order.ts";
import { bytesOfPlain } from "./size_of.ts";

/** What a dictionary takes that something is known of. */
const DICTIONARY_BYTES = 230;
/** What all of one takes besides its values, and a sub-key by itself. */
const FULL_BYTES = 230;
const PART_BYTES = 350;

/** All that is known of one key. */
export interface Dictionary<Key, SubKey, Value> {
  /** The key. */
  readonly key: Key;
  /** All of it, if that is known. */
  full: Entry<Key, SubKey, Value> | undefined;
  /** What is known by itself. */
  readonly parts: Map<SubKey, Entry<Key, SubKey, Value>>;
}

/** What goes by itself. */
export interface Entry<Key, SubKey, Value> extends Ordered {
  /** What it is a part of. */
  readonly owner: Dictionary<Key, SubKey, Value>;
  /** Of one sub-key: its value, or none; of a full dictionary: all of them. */
  readonly values: ReadonlyMap<SubKey, Value>;
  /** `undefined` for a full dictionary. */
  readonly subKey: { readonly is: SubKey } | undefined;
}

/** How much of `maxEntries` an entry is. */
export function weightOf({ values }: Entry<unknown, unknown, unknown>): number {
  return Math.max(1, values.size);
}

/** What an entry takes; the first of a dictionary brings what all of them need. */
export function bytesOf(
  { owner, values, subKey }: Entry<unknown, unknown, unknown>,
): number {
  const { key, full, parts } = owner;
  const isFirst = parts.size + (full === undefined ? 0 : 1) === 1;
  const shared = isFirst ? bytesOfPlain(DICTIONARY_BYTES, key, 0) : 0;
  if (subKey === undefined) return bytesOfPlain(shared + FULL_BYTES, 0, values);
  const [value] = values.values();
  return bytesOfPlain(shared + PART_BYTES, subKey.is, value);
}

/** Whether nothing is known of a dictionary. */
export function isEmpty<Key, SubKey, Value>(
  { full, parts }: Dictionary<Key, SubKey, Value>,
): boolean {
  return full === undefined && parts.size === 0;
}

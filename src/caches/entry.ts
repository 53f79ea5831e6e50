/**
 * One entry of a cache.
 *
 * @module
 */

import type { EpochMark } from "./epoch_marks.ts";
import type { KeyArgument } from "./key_parts.ts";
import type { TrieKey } from "./key_trie.ts";
import type { Linked } from "./recency.ts";

/** A single part stands for itself; `null`, longer and empty lists for their trie key. */
export type EntryKey = NonNullable<KeyArgument> | TrieKey<Entry>;

/** A promise by its key, in the order of use; or a mark in that order. */
export class Entry implements Linked<Entry> {
  readonly key: EntryKey | EpochMark;
  promise: Promise<unknown> | undefined;
  /** What it takes, where that is counted. */
  bytes: number;
  newer: Entry = this;
  older: Entry = this;

  /** Constructs one that stands nowhere yet. */
  constructor(
    key: EntryKey | EpochMark,
    promise: Promise<unknown> | undefined,
    bytes: number,
  ) {
    this.key = key;
    this.promise = promise;
    this.bytes = bytes;
  }
}

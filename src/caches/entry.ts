/**
 * What names an entry within its cache.
 *
 * @module
 */

import type { KeyArgument } from "./key_parts.ts";
import type { TrieKey } from "./key_trie.ts";

/** A single part stands for itself; `null`, longer and empty lists for their trie key. */
export type EntryKey = NonNullable<KeyArgument> | TrieKey;

/**
 * The argument list that an entry's key stands for.
 *
 * @module
 */

import type { EntryKey } from "./entry_table.ts";
import type { KeyArgument } from "./key_parts.ts";
import type { TrieKey } from "./key_trie.ts";

/** The argument list of an entry. A copy, which keeps nothing of the cache alive. */
export function partsOf(key: EntryKey): KeyArgument[] {
  if (typeof key !== "object") return [key];
  const parts: KeyArgument[] = [];
  let node: TrieKey = key;
  while (node.parent !== undefined) {
    parts.unshift(node.part);
    node = node.parent;
  }
  return parts;
}

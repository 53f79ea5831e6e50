/**
 * The argument list that an entry's key stands for.
 *
 * @module
 */

import type { EntryKey } from "./entry.ts";
import type { EntryTable } from "./entry_table.ts";
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

/** The entry of an argument list, which is not thereby used or counted. */
export function peekEntry(
  entries: EntryTable,
  parts: readonly KeyArgument[],
): Promise<unknown> | undefined {
  const key = entries.find(parts);
  return key === undefined ? undefined : entries.peek(key);
}

/**
 * Goes over entries, in the order of their use. If they change meanwhile, some
 * may be left out, or met twice.
 *
 * @param isWanted Is asked at each entry.
 * @returns Argument lists; `undefined` for those that aren't wanted.
 */
export function* walkEntries(
  entries: EntryTable,
  isOldestFirst: boolean,
  isWanted: () => boolean,
): Generator<readonly KeyArgument[] | undefined, void> {
  for (const key of entries.keys(isOldestFirst)) {
    yield isWanted() ? partsOf(key) : undefined;
  }
}

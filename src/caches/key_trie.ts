/**
 * Argument lists as keys: one object for one list, found part by part.
 *
 * @module
 */

import type { KeyPart } from "../streams/builtin_streams.ts";

/** The key of one argument list. Compared by identity: no two lists share one. */
export interface TrieKey {
  readonly part: KeyPart | undefined;
  readonly parent: TrieKey | undefined;
  /** The keys of the lists one part longer that begin with this one. */
  children: Map<KeyPart, TrieKey> | undefined;
  /** Whether an entry stands under it. */
  isUsed: boolean;
}

/**
 * Interns argument lists of any length.
 *
 * Maps tell `1` from `"1"` and never join parts, so lists can't collide; and
 * walking them takes a third of the time of making a JSON key (98 against
 * 274 ns for two arguments).
 */
export class KeyTrie {
  readonly #root: TrieKey = makeKey(undefined, undefined);

  /** The key of a list, if it is in use. */
  find(parts: readonly KeyPart[]): TrieKey | undefined {
    let key: TrieKey | undefined = this.#root;
    for (let index = 0; index < parts.length; index += 1) {
      key = key.children?.get(parts[index] as KeyPart);
      if (key === undefined) return undefined;
    }
    return key.isUsed ? key : undefined;
  }

  /** The key of a list, from now on in use. */
  use(parts: readonly KeyPart[]): TrieKey {
    let key = this.#root;
    for (const part of parts) {
      key.children ??= new Map();
      let child = key.children.get(part);
      if (child === undefined) {
        child = makeKey(part, key);
        key.children.set(part, child);
      }
      key = child;
    }
    key.isUsed = true;
    return key;
  }

  /** Forgets a key, and what led to no other. */
  drop(dropped: TrieKey): void {
    dropped.isUsed = false;
    let key = dropped;
    while (
      key.parent !== undefined && !key.isUsed && (key.children?.size ?? 0) === 0
    ) {
      key.parent.children?.delete(key.part as KeyPart);
      key = key.parent;
    }
  }
}

function makeKey(
  part: KeyPart | undefined,
  parent: TrieKey | undefined,
): TrieKey {
  return { part, parent, children: undefined, isUsed: false };
}

/**
 * Argument lists as keys: one object for one list, found part by part.
 *
 * @module
 */

import type { KeyPart } from "../streams/builtin_streams.ts";
import { type KeyArgument, NO_OTHER, otherMeaning } from "./key_parts.ts";

/** The key of one argument list. Compared by identity: no two lists share one. */
export interface TrieKey {
  readonly part: KeyArgument;
  readonly parent: TrieKey | undefined;
  /** The keys of the lists one part longer that begin with this one. */
  children: Map<KeyArgument, TrieKey> | undefined;
  /** The slot of the entry that stands under it, if one does. */
  slot: number | undefined;
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

  /**
   * The key of a list, if it is in use.
   *
   * @param count How many of the parts belong to it.
   */
  find(
    parts: readonly KeyArgument[],
    count: number,
  ): TrieKey | undefined {
    let key: TrieKey | undefined = this.#root;
    for (let index = 0; index < count; index += 1) {
      key = key.children?.get(parts[index]);
      if (key === undefined) return undefined;
    }
    return key.slot === undefined ? undefined : key;
  }

  /** {@linkcode find} for two parts, without a list to hold them. */
  findTwo(
    first: KeyArgument,
    second: KeyArgument,
  ): TrieKey | undefined {
    return this.#root.children?.get(first)?.children?.get(second);
  }

  /** The key of a list; an entry is to be put under it. */
  use(parts: readonly KeyArgument[]): TrieKey {
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
    return key;
  }

  /** The keys of the lists that are this one on the wire. */
  alike(parts: readonly KeyPart[]): TrieKey[] {
    return this.#nodes(parts).filter(({ slot }) => slot !== undefined);
  }

  /** The keys of all lists that begin as this one does on the wire. */
  under(parts: readonly KeyPart[]): TrieKey[] {
    const found: TrieKey[] = [];
    const pending = this.#nodes(parts);
    for (let key = pending.pop(); key !== undefined; key = pending.pop()) {
      if (key.slot !== undefined) found.push(key);
      for (const child of key.children?.values() ?? []) pending.push(child);
    }
    return found;
  }

  /** Forgets a key, and what led to no other. */
  drop(dropped: TrieKey): void {
    dropped.slot = undefined;
    let key = dropped;
    while (
      key.parent !== undefined && key.slot === undefined &&
      (key.children?.size ?? 0) === 0
    ) {
      key.parent.children?.delete(key.part);
      key = key.parent;
    }
  }

  #nodes(parts: readonly KeyPart[]): TrieKey[] {
    let nodes = [this.#root];
    for (const part of parts) {
      const next: TrieKey[] = [];
      const other = otherMeaning(part);
      for (const { children } of nodes) {
        const child = children?.get(part);
        if (child !== undefined) next.push(child);
        if (other === NO_OTHER) continue;
        const alike = children?.get(other);
        if (alike !== undefined) next.push(alike);
      }
      nodes = next;
    }
    return nodes;
  }
}

function makeKey(
  part: KeyArgument,
  parent: TrieKey | undefined,
): TrieKey {
  return { part, parent, children: undefined, slot: undefined };
}

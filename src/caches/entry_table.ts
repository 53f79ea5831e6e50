/**
 * The entries of one cache: an LRU of promises, by argument list.
 *
 * @module
 */

import { LRUCache } from "lru-cache";
import type { KeyPart } from "../streams/builtin_streams.ts";
import {
  countParts,
  flatten,
  type KeyArgument,
  otherMeaning,
} from "./key_parts.ts";
import { KeyTrie, type TrieKey } from "./key_trie.ts";

/** A single part stands for itself; `null`, longer and empty lists for their trie key. */
export type EntryKey = NonNullable<KeyArgument> | TrieKey;

/** How much a table may hold. */
export interface TableBounds {
  readonly maxEntries: number | undefined;
  /** `undefined`: bytes are not counted. */
  readonly maxBytes: number | undefined;
  /** Whether entries are found by the beginning of their list, too. */
  readonly isTree: boolean;
}

/** Finds promises by argument list; the least recently used goes first. */
export class EntryTable {
  readonly #isTree: boolean;
  readonly #evicted: (key: EntryKey) => void;
  #bounds: TableBounds;
  #trie = new KeyTrie();
  #entries: LRUCache<EntryKey, Promise<unknown>>;
  /** Whether two entries may be alike on the wire. */
  #isAmbiguous = false;

  /**
   * Constructs an empty table.
   *
   * @param bounds How much it may hold: entries, bytes, or both.
   * @param evicted Is called for each entry that goes for lack of room.
   */
  constructor(bounds: TableBounds, evicted: (key: EntryKey) => void) {
    this.#bounds = bounds;
    this.#isTree = bounds.isTree;
    this.#evicted = evicted;
    this.#entries = this.#create();
  }

  /** How many entries there are. */
  get size(): number {
    return this.#entries.size;
  }

  /** Bytes of them all, where they are counted. */
  get bytes(): number | undefined {
    return this.#countsBytes ? this.#entries.calculatedSize : undefined;
  }

  /** Whether a single part of the wire can name one entry only, and by itself. */
  get isPlain(): boolean {
    return !this.#isAmbiguous && !this.#isTree;
  }

  /** The key of an argument list, if there can be an entry. */
  find(parts: readonly KeyArgument[]): EntryKey | undefined {
    const single = parts.length === 1 && !this.#isTree ? parts[0] : null;
    return single ?? this.#findInTrie(parts);
  }

  /** The key of an argument list, from now on in use: an entry must follow. */
  use(parts: readonly KeyArgument[]): EntryKey {
    const kept = parts.slice(0, countParts(parts)).map(flatten);
    this.#isAmbiguous ||= kept.some(isAmbiguous);
    const single = kept.length === 1 && !this.#isTree ? kept[0] : null;
    return single ?? this.#trie.use(kept);
  }

  /** The keys that a list from the wire names; of a tree, those that begin so. */
  named(parts: readonly KeyPart[]): readonly EntryKey[] {
    if (this.#isTree) return this.#trie.under(parts);
    if (this.#isAmbiguous) return this.#alike(parts);
    const key = this.find(parts);
    return key === undefined ? [] : [key];
  }

  /** An entry, which is thereby used. */
  get(key: EntryKey): Promise<unknown> | undefined {
    return this.#entries.get(key);
  }

  /** An entry, as it lies there. */
  peek(key: EntryKey): Promise<unknown> | undefined {
    return this.#entries.peek(key);
  }

  /** The keys, in the order of their use. Entries may come and go meanwhile. */
  keys(isOldestFirst: boolean): IterableIterator<EntryKey> {
    return isOldestFirst ? this.#entries.rkeys() : this.#entries.keys();
  }

  /** Whether this very promise is the entry. */
  holds(key: EntryKey, promise: Promise<unknown>): boolean {
    return this.#entries.peek(key) === promise;
  }

  /**
   * Keeps an entry.
   *
   * @param bytes What it takes; of no account where bytes are not counted.
   */
  set(key: EntryKey, promise: Promise<unknown>, bytes: number): void {
    if (!this.#countsBytes) {
      this.#entries.set(key, promise);
      return;
    }
    this.#entries.set(key, promise, { size: bytes });
    if (this.#entries.has(key)) return;
    // Larger than all the room: lru-cache says only that it was replaced.
    this.#evicted(key);
    if (isTrieKey(key)) this.#trie.drop(key);
  }

  /** Drops an entry; says whether there was one. */
  delete(key: EntryKey): boolean {
    return this.#entries.delete(key);
  }

  /** Drops every entry. */
  clear(): void {
    // In place it would go over all of them, one by one.
    this.#entries = this.#create();
    this.#trie = new KeyTrie();
  }

  /** Changes how much it may hold; what there is no room for goes. */
  resize(bounds: Omit<TableBounds, "isTree">): void {
    const kept = this.#entries.dump();
    this.#bounds = { ...bounds, isTree: this.#isTree };
    this.#entries = this.#create();
    this.#entries.load(kept);
  }

  get #countsBytes(): boolean {
    return this.#bounds.maxBytes !== undefined;
  }

  #create(): LRUCache<EntryKey, Promise<unknown>> {
    const { maxEntries, maxBytes } = this.#bounds;
    const dispose = (
      _promise: Promise<unknown>,
      key: EntryKey,
      reason: LRUCache.DisposeReason,
    ) => {
      if (reason === "evict") this.#evicted(key);
      if (reason !== "set" && isTrieKey(key)) this.#trie.drop(key);
    };
    return new LRUCache(
      maxEntries === undefined
        ? { maxSize: maxBytes ?? 1, dispose }
        : maxBytes === undefined
        ? { max: maxEntries, dispose }
        : { max: maxEntries, maxSize: maxBytes, dispose },
    );
  }

  #findInTrie(parts: readonly KeyArgument[]): EntryKey | undefined {
    const count = countParts(parts);
    const single = count === 1 && !this.#isTree ? parts[0] : null;
    return single ?? this.#trie.find(parts, count);
  }

  #alike(parts: readonly KeyPart[]): EntryKey[] {
    const [part = null] = parts;
    if (parts.length !== 1 || part === null) return this.#trie.alike(parts);
    const other = otherMeaning(part);
    return typeof other === "bigint" ? [part, other] : [part];
  }
}

function isTrieKey(key: EntryKey): key is TrieKey {
  return typeof key === "object" && key !== null;
}

function isAmbiguous(part: KeyArgument): boolean {
  return part === undefined || typeof part === "bigint";
}

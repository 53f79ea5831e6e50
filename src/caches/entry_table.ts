/**
 * The entries of one cache: an LRU of promises, by argument list.
 *
 * @module
 */

import { LRUCache } from "lru-cache";
import type { KeyPart } from "../streams/builtin_streams.ts";
import { EpochMark, EpochMarks, MARK_VALUE, MAX_MARKS } from "./epoch_marks.ts";
import {
  countParts,
  flatten,
  type KeyArgument,
  otherMeaning,
} from "./key_parts.ts";
import { KeyTrie, type TrieKey } from "./key_trie.ts";
import type { MemoryBudget, MemoryMember } from "./memory_budget.ts";

/** A single part stands for itself; `null`, longer and empty lists for their trie key. */
export type EntryKey = NonNullable<KeyArgument> | TrieKey;

/** What the cache's own order is made of: entries, and marks between them. */
type TableKey = EntryKey | EpochMark;

/** How much a table may hold. */
export interface TableBounds {
  readonly maxEntries: number | undefined;
  /** `undefined`: bytes are not counted. */
  readonly maxBytes: number | undefined;
  /** Whether entries are found by the beginning of their list, too. */
  readonly isTree: boolean;
}

/** What a table tells its cache, and asks it. */
export interface TableOwner {
  /** An entry went for lack of room. */
  readonly evicted: () => void;
  /** How often the cache has had what it was asked for. */
  readonly hits: () => number;
}

/** Finds promises by argument list; the least recently used goes first. */
export class EntryTable implements MemoryMember {
  readonly #isTree: boolean;
  readonly #owner: TableOwner;
  readonly #memory: MemoryBudget | undefined;
  readonly #marks = new EpochMarks();
  #bounds: TableBounds;
  #trie = new KeyTrie();
  #entries: LRUCache<TableKey, Promise<unknown>>;
  /** Whether two entries may be alike on the wire. */
  #isAmbiguous = false;
  #isRetired = false;
  /** How often an entry was set. */
  #sets = 0;
  /** Bytes that the memory's budget has been told of. */
  #told = 0;

  /**
   * Constructs an empty table.
   *
   * @param bounds How much it may hold: entries, bytes, or both.
   * @param owner Whose it is.
   * @param memory What it shares with others; then bytes must be counted.
   */
  constructor(
    bounds: TableBounds,
    owner: TableOwner,
    memory?: MemoryBudget | undefined,
  ) {
    this.#bounds = bounds;
    this.#isTree = bounds.isTree;
    this.#owner = owner;
    this.#memory = memory;
    this.#entries = this.#create();
    memory?.join(this);
    this.#marks.restart(memory?.epoch ?? 0);
  }

  /** How many entries there are. */
  get size(): number {
    return this.#entries.size - this.#marks.size;
  }

  /** Bytes of them all; 0 where they are not counted. */
  get bytes(): number {
    // A mark takes a byte, as lru-cache has it.
    return this.countsBytes
      ? this.#entries.calculatedSize - this.#marks.size
      : 0;
  }

  /** Whether {@linkcode bytes} are counted. */
  get countsBytes(): boolean {
    return this.#bounds.maxBytes !== undefined;
  }

  /** Of which epoch what would go next is. */
  get oldestEpoch(): number {
    return this.#marks.oldest;
  }

  /** Whether it is only emptied. */
  get isRetired(): boolean {
    return this.#isRetired;
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

  /** An entry, which is not used by that. */
  peek(key: EntryKey): Promise<unknown> | undefined {
    return this.#entries.peek(key);
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
    if (!this.countsBytes) {
      this.#entries.set(key, promise);
      return;
    }
    if (this.#memory !== undefined && this.size === 0) {
      for (const mark of this.#marks.all) this.#entries.delete(mark);
      this.#marks.restart(this.#memory.epoch);
    }
    // What is larger than all the room must not empty it first.
    const size = this.#memory?.canHold(bytes) === false ? Infinity : bytes;
    this.#put(key, promise, size);
    if (this.#memory === undefined) return;
    this.#sets += 1;
    this.#trim();
    this.#tell();
    this.#memory.inserted(bytes);
  }

  /** Drops an entry; says whether there was one. */
  delete(key: EntryKey): boolean {
    const isDeleted = this.#entries.delete(key);
    if (this.#memory !== undefined) this.#tell();
    return isDeleted;
  }

  /** Drops every entry. */
  clear(): void {
    // In place it would go over all of them, one by one.
    this.#entries = this.#create();
    this.#trie = new KeyTrie();
    this.#marks.restart(this.#memory?.epoch ?? 0);
    this.#tell();
  }

  /** Changes how much it may hold; what there is no room for goes. */
  resize(bounds: Omit<TableBounds, "isTree">): void {
    const old = this.#entries;
    this.#bounds = { ...bounds, isTree: this.#isTree };
    this.#entries = this.#create();
    // Not dump(), which takes time by the square of the entries.
    for (const key of old.rkeys()) {
      const promise = old.peek(key) as Promise<unknown>;
      this.#put(key, promise, old.info(key)?.size);
    }
    this.#trim();
    this.#tell();
  }

  /** Its entries may all go now for others' sake: nothing is added to it any more. */
  retire(): void {
    this.#isRetired = true;
  }

  /** Gives its memory back. */
  close(): void {
    this.clear();
    this.#memory?.leave(this);
  }

  /** Drops what was used least recently: an entry, or a mark. */
  dropOldest(): void {
    this.#entries.pop();
    this.#tell();
  }

  /** Notes that what is used from now on is used in a later epoch. */
  beginEpoch(epoch: number): void {
    if (this.#isRetired || this.size === 0) return;
    const marked = this.#marks.begin(
      epoch,
      this.#sets + this.#owner.hits(),
    );
    if (marked === undefined) return;
    for (const mark of marked.removed) this.#entries.delete(mark);
    this.#entries.set(marked.added, MARK_VALUE, { size: 1 });
    this.#tell();
  }

  #put(key: TableKey, promise: Promise<unknown>, size = 0): void {
    if (!this.countsBytes) this.#entries.set(key, promise);
    else if (size <= (this.#bounds.maxBytes ?? 0)) {
      this.#entries.set(key, promise, { size });
    } else {
      this.#owner.evicted();
      const isKept = this.#entries.delete(key);
      if (!isKept && isTrieKey(key)) this.#trie.drop(key);
    }
  }

  /** Marks have places of their own, so that lru-cache doesn't count for itself. */
  #trim(): void {
    const { maxEntries } = this.#bounds;
    if (maxEntries === undefined || this.#memory === undefined) return;
    while (this.size > maxEntries) this.#entries.pop();
  }

  #tell(): void {
    if (this.#memory === undefined) return;
    const { bytes } = this;
    this.#memory.changed(bytes - this.#told);
    this.#told = bytes;
  }

  #create(): LRUCache<TableKey, Promise<unknown>> {
    const { maxEntries, maxBytes } = this.#bounds;
    const dispose = (
      _promise: Promise<unknown>,
      key: TableKey,
      reason: LRUCache.DisposeReason,
    ) => {
      if (key instanceof EpochMark) {
        if (reason === "evict") this.#marks.passed(key);
        return;
      }
      if (reason === "evict") this.#owner.evicted();
      if (reason !== "set" && isTrieKey(key)) this.#trie.drop(key);
    };
    const places = this.#memory === undefined ? 0 : MAX_MARKS + 1;
    return new LRUCache(
      maxEntries === undefined
        ? { maxSize: maxBytes ?? 1, dispose }
        : maxBytes === undefined
        ? { max: maxEntries, dispose }
        : { max: maxEntries + places, maxSize: maxBytes, dispose },
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

function isTrieKey(key: TableKey): key is TrieKey {
  return typeof key === "object" && key !== null && !(key instanceof EpochMark);
}

function isAmbiguous(part: KeyArgument): boolean {
  return part === undefined || typeof part === "bigint";
}

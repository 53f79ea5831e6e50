/**
 * The entries of one cache: an LRU of promises, by argument list.
 *
 * @module
 */

import type { KeyPart } from "../streams/builtin_streams.ts";
import { Entry, type EntryKey } from "./entry.ts";
import { EpochMark, EpochMarks } from "./epoch_marks.ts";
import {
  countParts,
  flatten,
  type KeyArgument,
  otherMeaning,
} from "./key_parts.ts";
import { KeyTrie, type TrieKey } from "./key_trie.ts";
import { Recency } from "./recency.ts";
import type { MemoryBudget, MemoryMember } from "./memory_budget.ts";

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
  readonly #markPlaces = new Map<EpochMark, Entry>();
  #bounds: TableBounds;
  /** By the only part of their keys. */
  #singles = new Map<NonNullable<KeyArgument>, Entry>();
  #trie = new KeyTrie<Entry>();
  readonly #recency = new Recency(new Entry("", undefined, 0));
  #size = 0;
  #bytes = 0;
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
    memory?.join(this);
    this.#restartMarks();
  }

  /** How many entries there are. */
  get size(): number {
    return this.#size;
  }

  /** Bytes of them all; 0 where they are not counted. */
  get bytes(): number {
    return this.#bytes;
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
    return this.#use(this.#at(key));
  }

  /** {@linkcode get} of a key of one part; `undefined` also if that is none by itself. */
  getOne(part: KeyArgument): Promise<unknown> | undefined {
    return this.#use(this.#singles.get(part as NonNullable<KeyArgument>));
  }

  /** {@linkcode get} of a key of two parts. */
  getTwo(
    first: KeyArgument,
    second: KeyArgument,
  ): Promise<unknown> | undefined {
    return this.#use(this.#trie.findTwo(first, second)?.entry);
  }

  /** An entry, which is not used by that. */
  peek(key: EntryKey): Promise<unknown> | undefined {
    return this.#at(key)?.promise;
  }

  /** Whether this very promise is the entry. */
  holds(key: EntryKey, promise: Promise<unknown>): boolean {
    return this.#at(key)?.promise === promise;
  }

  /**
   * Keeps an entry; what there is no room for goes.
   *
   * @param bytes What it takes; of no account where bytes are not counted.
   */
  set(key: EntryKey, promise: Promise<unknown>, bytes: number): void {
    if (this.#memory !== undefined && this.#size === 0) this.#restartMarks();
    const before = this.#at(key);
    if (!this.#canHold(bytes)) {
      this.#owner.evicted();
      if (before !== undefined) this.#remove(before);
      else if (isTrieKey(key)) this.#trie.drop(key);
    } else if (before === undefined) {
      this.#add(new Entry(key, promise, bytes), key);
    } else {
      this.#bytes += bytes - before.bytes;
      before.promise = promise;
      before.bytes = bytes;
      this.#recency.use(before);
    }
    this.#trim();
    if (this.#memory === undefined) return;
    this.#sets += 1;
    this.#tell();
    this.#memory.inserted(bytes);
  }

  /** Drops an entry; says whether there was one. */
  delete(key: EntryKey): boolean {
    const entry = this.#at(key);
    if (entry === undefined) return false;
    this.#remove(entry);
    this.#tell();
    return true;
  }

  /** {@linkcode delete} of a key of one part, of a plain table. */
  deleteOne(part: NonNullable<KeyArgument>): boolean {
    const entry = this.#singles.get(part);
    if (entry === undefined) return false;
    this.#singles.delete(part);
    this.#forget(entry);
    this.#tell();
    return true;
  }

  /** Drops every entry. */
  clear(): void {
    this.#restartMarks();
    this.#singles = new Map();
    this.#trie = new KeyTrie();
    this.#recency.clear();
    this.#size = 0;
    this.#bytes = 0;
    this.#tell();
  }

  /** Changes how much it may hold; what there is no room for goes. */
  resize(bounds: Omit<TableBounds, "isTree">): void {
    this.#bounds = { ...bounds, isTree: this.#isTree };
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
    this.#evict();
    this.#tell();
  }

  /** Notes that what is used from now on is used in a later epoch. */
  beginEpoch(epoch: number): void {
    if (this.#isRetired || this.#size === 0) return;
    const marked = this.#marks.begin(
      epoch,
      this.#sets + this.#owner.hits(),
    );
    if (marked === undefined) return;
    for (const mark of marked.removed) this.#removeMark(mark);
    const place = new Entry(marked.added, undefined, 0);
    this.#markPlaces.set(marked.added, place);
    this.#recency.add(place);
  }

  #at(key: EntryKey): Entry | undefined {
    return isTrieKey(key) ? key.entry : this.#singles.get(key);
  }

  #use(entry: Entry | undefined): Promise<unknown> | undefined {
    if (entry === undefined) return undefined;
    this.#recency.use(entry);
    return entry.promise;
  }

  #add(entry: Entry, key: EntryKey): void {
    if (isTrieKey(key)) key.entry = entry;
    else this.#singles.set(key, entry);
    this.#recency.add(entry);
    this.#size += 1;
    this.#bytes += entry.bytes;
  }

  #remove(entry: Entry): void {
    const { key } = entry;
    if (isTrieKey(key)) this.#trie.drop(key);
    else if (!(key instanceof EpochMark)) this.#singles.delete(key);
    this.#forget(entry);
  }

  #forget(entry: Entry): void {
    this.#recency.remove(entry);
    this.#size -= 1;
    this.#bytes -= entry.bytes;
  }

  /** What is larger than all the room must not empty it first. */
  #canHold(bytes: number): boolean {
    return !this.countsBytes ||
      (bytes <= (this.#bounds.maxBytes ?? 0) &&
        this.#memory?.canHold(bytes) !== false);
  }

  #trim(): void {
    const { maxEntries = Infinity, maxBytes = Infinity } = this.#bounds;
    while (
      this.#size > maxEntries ||
      (this.#bytes > maxBytes && this.countsBytes)
    ) this.#evict();
  }

  #evict(): void {
    const { oldest } = this.#recency;
    if (oldest === undefined) return;
    if (oldest.key instanceof EpochMark) {
      this.#removeMark(oldest.key);
      this.#marks.passed(oldest.key);
      return;
    }
    this.#remove(oldest);
    this.#owner.evicted();
  }

  #removeMark(mark: EpochMark): void {
    const place = this.#markPlaces.get(mark);
    if (place !== undefined) this.#recency.remove(place);
    this.#markPlaces.delete(mark);
  }

  #restartMarks(): void {
    for (const place of this.#markPlaces.values()) this.#recency.remove(place);
    this.#markPlaces.clear();
    this.#marks.restart(this.#memory?.epoch ?? 0);
  }

  #tell(): void {
    if (this.#memory === undefined) return;
    this.#memory.changed(this.#bytes - this.#told);
    this.#told = this.#bytes;
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

function isTrieKey(key: EntryKey | EpochMark): key is TrieKey<Entry> {
  return typeof key === "object" && key !== null && !(key instanceof EpochMark);
}

function isAmbiguous(part: KeyArgument): boolean {
  return part === undefined || typeof part === "bigint";
}

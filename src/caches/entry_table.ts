/**
 * The entries of one cache: an LRU of promises, by argument list.
 *
 * @module
 */

import type { KeyPart } from "../streams/builtin_streams.ts";
import type { EntryKey } from "./entry.ts";
import { EpochMark, EpochMarks } from "./epoch_marks.ts";
import {
  countParts,
  flatten,
  isAmbiguous,
  type KeyArgument,
  otherMeaning,
} from "./key_parts.ts";
import { KeyTrie, type TrieKey } from "./key_trie.ts";
import { ANCHOR, Recency } from "./recency.ts";
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
  readonly evicted: (key: EntryKey) => void;
  /** How often the cache has had what it was asked for. */
  readonly hits: () => number;
}

/** Finds promises by argument list; the least recently used goes first. */
export class EntryTable implements MemoryMember {
  readonly #isTree: boolean;
  readonly #owner: TableOwner;
  #memory: MemoryBudget | undefined;
  readonly #marks = new EpochMarks();
  #bounds: TableBounds;
  /** Slots, by the only part of their entries' keys. */
  #singles = new Map<NonNullable<KeyArgument>, number>();
  #trie = new KeyTrie();
  readonly #recency = new Recency();
  /** By slot, as the two that follow. */
  #promises: (Promise<unknown> | undefined)[] = [undefined];
  #keys: (EntryKey | EpochMark | undefined)[] = [undefined];
  /** What entries take; empty where that is not counted. */
  #sizes: number[] = [];
  #size = 0;
  /**
   * Slots whose entries were invalidated: what was asked for is most often asked
   * for again, and finds its place in the map. They go before any entry does,
   * and are among `maxEntries`; where bytes are counted there are none.
   */
  #vacant = 0;
  #bytes = 0;
  /** Whether two entries may be alike on the wire. */
  #isAmbiguous = false;
  #isRetired = false;
  #isClosed = false;
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
    return this.#use(this.#slotOf(key));
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
    return this.#use(this.#trie.findTwo(first, second)?.slot);
  }

  /** An entry, which is not used by that. */
  peek(key: EntryKey): Promise<unknown> | undefined {
    return this.#promises[this.#slotOf(key) ?? ANCHOR];
  }

  /**
   * The keys, in the order of their use. Entries may come and go meanwhile; it
   * ends at one that goes while it rests there.
   */
  *keys(isOldestFirst: boolean): Generator<EntryKey, void> {
    let slot = this.#recency.next(ANCHOR, isOldestFirst);
    while (slot !== ANCHOR) {
      const key = this.#keys[slot];
      if (key === undefined) return;
      if (this.#isTaken(slot)) {
        yield key as EntryKey;
        if (!this.#isTaken(slot) || this.#keys[slot] !== key) return;
      }
      slot = this.#recency.next(slot, isOldestFirst);
    }
  }

  /** Whether this very promise is the entry. */
  holds(key: EntryKey, promise: Promise<unknown>): boolean {
    return this.peek(key) === promise;
  }

  /**
   * Keeps an entry; what there is no room for goes.
   *
   * @param bytes What it takes; of no account where bytes are not counted.
   */
  set(key: EntryKey, promise: Promise<unknown>, bytes: number): void {
    if (this.#memory !== undefined && this.#size === 0) this.#restartMarks();
    const before = this.#slotOf(key);
    if (!this.#canHold(bytes)) {
      this.#owner.evicted(key);
      if (before !== undefined) this.#remove(before);
      else if (isTrieKey(key)) this.#trie.drop(key);
    } else {
      const slot = before ?? this.#add(key);
      if (!this.#isTaken(slot)) {
        this.#size += 1;
        if (before !== undefined) this.#vacant -= 1;
      }
      this.#promises[slot] = promise;
      this.#recency.use(slot);
      if (this.countsBytes) {
        this.#bytes += bytes - (this.#sizes[slot] ?? 0);
        this.#sizes[slot] = bytes;
      }
    }
    this.#trim();
    if (this.#memory === undefined) return;
    this.#sets += 1;
    this.#tell();
    this.#memory.inserted(bytes);
  }

  /** Drops an entry; says whether there was one. */
  delete(key: EntryKey): boolean {
    const slot = this.#slotOf(key);
    if (slot === undefined || !this.#isTaken(slot)) return false;
    this.#remove(slot);
    this.#tell();
    return true;
  }

  /** {@linkcode delete} of a key of one part, of a plain table. */
  deleteOne(part: NonNullable<KeyArgument>): boolean {
    const slot = this.#singles.get(part);
    if (slot === undefined || !this.#isTaken(slot)) return false;
    if (this.countsBytes) return this.delete(part);
    this.#promises[slot] = undefined;
    this.#recency.demote(slot);
    this.#size -= 1;
    this.#vacant += 1;
    return true;
  }

  /** Drops every entry. */
  clear(): void {
    this.#restartMarks();
    this.#singles = new Map();
    this.#trie = new KeyTrie();
    this.#recency.clear();
    this.#promises = [undefined];
    this.#keys = [undefined];
    this.#sizes = [];
    this.#size = 0;
    this.#vacant = 0;
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

  /** Gives its memory back; nothing is kept any more. */
  close(): void {
    this.clear();
    this.#memory?.leave(this);
    this.#memory = undefined;
    this.#isClosed = true;
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
    const slot = marked.added.slot = this.#recency.add();
    this.#keys[slot] = marked.added;
    this.#promises[slot] = undefined;
  }

  #slotOf(key: EntryKey): number | undefined {
    if (!isTrieKey(key)) return this.#singles.get(key);
    const { slot } = key;
    // A key of before the table was cleared leads nowhere any more.
    return slot !== undefined && this.#keys[slot] === key ? slot : undefined;
  }

  #use(slot: number | undefined): Promise<unknown> | undefined {
    if (slot === undefined) return undefined;
    const promise = this.#promises[slot];
    if (promise !== undefined) this.#recency.use(slot);
    return promise;
  }

  #isTaken(slot: number): boolean {
    return this.#promises[slot] !== undefined;
  }

  #add(key: EntryKey): number {
    const slot = this.#recency.add();
    this.#keys[slot] = key;
    if (isTrieKey(key)) key.slot = slot;
    else this.#singles.set(key, slot);
    return slot;
  }

  #remove(slot: number): void {
    const key = this.#keys[slot];
    if (key === undefined || key instanceof EpochMark) return;
    if (isTrieKey(key)) this.#trie.drop(key);
    else this.#singles.delete(key);
    if (this.#isTaken(slot)) this.#size -= 1;
    else this.#vacant -= 1;
    this.#recency.remove(slot);
    this.#keys[slot] = undefined;
    this.#promises[slot] = undefined;
    if (!this.countsBytes) return;
    this.#bytes -= this.#sizes[slot] ?? 0;
    this.#sizes[slot] = 0;
  }

  /** What is larger than all the room must not empty it first. */
  #canHold(bytes: number): boolean {
    if (!this.countsBytes) return !this.#isClosed;
    return bytes <= (this.#bounds.maxBytes ?? 0) && !this.#isClosed &&
      this.#memory?.canHold(bytes) !== false;
  }

  #trim(): void {
    const { maxEntries = Infinity, maxBytes = Infinity } = this.#bounds;
    while (
      this.#size + this.#vacant > maxEntries ||
      (this.#bytes > maxBytes && this.countsBytes)
    ) this.#evict();
  }

  #evict(): void {
    const slot = this.#recency.oldest;
    const key = this.#keys[slot];
    if (key === undefined) return;
    if (key instanceof EpochMark) {
      this.#removeMark(key);
      this.#marks.passed(key);
      return;
    }
    const isEntry = this.#isTaken(slot);
    this.#remove(slot);
    if (isEntry) this.#owner.evicted(key);
  }

  #removeMark({ slot }: EpochMark): void {
    this.#recency.remove(slot);
    this.#keys[slot] = undefined;
  }

  #restartMarks(): void {
    const marks = this.#marks.restart(this.#memory?.epoch ?? 0);
    for (const mark of marks) this.#removeMark(mark);
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

function isTrieKey(key: EntryKey | EpochMark): key is TrieKey {
  return typeof key === "object" && key !== null && !(key instanceof EpochMark);
}

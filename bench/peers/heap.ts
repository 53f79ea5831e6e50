/**
 * Memory by entry: fills one cache and prints the bytes that each entry takes.
 * Run with `--expose-gc`, then `ours` or `lru-cache`, and the entries.
 *
 * @module
 */

import process from "node:process";
import { cached, Store, WriterStore } from "headwater";
import { LRUCache } from "lru-cache";
import { MAX_ENTRIES, userOf } from "../support/cached_store.ts";
import { nextTurn } from "../support/measure.ts";
import type { Database } from "../support/store.ts";

/** Values that take no memory of their own. */
class Lengths extends Store<Database> {
  @cached({ maxEntries: MAX_ENTRIES })
  getLength(id: string): Promise<number> {
    return Promise.resolve(id.length);
  }
}

interface Cache {
  fill(key: string): Promise<unknown>;
  entries(): number;
}

const [kind, entries] = [process.argv[2], Number(process.argv[3])];
await using writer = await WriterStore.open<Database>({
  database: "sqlite::memory:",
});
const before = await settledBytes();
const cache = kind === "ours" ? openOurs() : openRaw();
for (let key = 0; key < entries; key += 1) await cache.fill(userOf(key));
const bytes = (await settledBytes() - before) / entries;
console.log(JSON.stringify({ bytes, entries: cache.entries() }));

function openOurs(): Cache {
  const lengths = writer.attach(Lengths);
  return {
    fill: (key) => lengths.getLength(key),
    entries: () => writer.caches()[0]?.entries ?? 0,
  };
}

function openRaw(): Cache {
  const raw = new LRUCache<string, Promise<number>>({ max: MAX_ENTRIES });
  return {
    fill(key) {
      const loading = Promise.resolve(key.length);
      raw.set(key, loading);
      return loading;
    },
    entries: () => raw.size,
  };
}

/** What the heap holds, and arrays beside it, when what can go has gone. */
async function settledBytes(): Promise<number> {
  const { gc } = globalThis as { gc?: () => void };
  if (gc === undefined) throw new Error("run it with --expose-gc");
  for (let times = 0; times < 5; times += 1) {
    await nextTurn();
    gc();
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

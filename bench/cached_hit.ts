/**
 * (b) A cached hit, beside `lru-cache` by itself.
 *
 * @module
 */

import { WriterStore } from "headwater";
import { LRUCache } from "lru-cache";
import { compete, type Figure } from "./support/measure.ts";
import { type Database, keyOf, Names } from "./support/store.ts";
import type { Size } from "./main.ts";

const KEYS = 10_000;

/** Ns a hit: the promise returned, and the promise awaited. */
export async function benchCachedHit(size: Size): Promise<Figure[]> {
  await using writer = await WriterStore.open<Database>({
    database: "sqlite::memory:",
  });
  const names = writer.attach(Names);
  const raw = new LRUCache<string, Promise<string>>({ max: 200_000 });
  const keys = Array.from({ length: KEYS }, (_, key) => keyOf(key));
  for (const key of keys) {
    raw.set(key, names.getName(key));
    await names.getName(key);
  }
  // Others' strings than those stored, as they come with requests.
  const asked = shuffle(keys.map((_, key) => keyOf(key)));
  const hits = size.isShort ? 200_000 : 2_000_000;
  const rounds = size.isShort ? 5 : 15;
  const [timeOurs, timeRaw] = [hitTimer(), hitTimer()];
  const [awaitOurs, awaitRaw] = [awaitedTimer(), awaitedTimer()];
  return [
    await compete({
      name: "cached hit, before the await",
      unit: "ns",
      against: "lru-cache get",
      rounds,
      ours: () => timeOurs(hits, asked, (key) => names.getName(key)),
      baseline: () => timeRaw(hits, asked, (key) => raw.get(key)),
    }),
    await compete({
      name: "cached hit, awaited",
      unit: "ns",
      against: "lru-cache get of a promise, awaited",
      rounds,
      ours: () => awaitOurs(hits / 4, asked, (key) => names.getName(key)),
      baseline: () => awaitRaw(hits / 4, asked, (key) => raw.get(key)),
    }),
  ];
}

type Get = (key: string) => Promise<string> | undefined;

type Timer<Result> = (
  hits: number,
  keys: readonly string[],
  get: Get,
) => Result;

const LOOP = (found: string) =>
  `{
  let found = 0;
  const began = performance.now();
  for (let hit = 0, key = 0; hit < hits; hit += 1, key += 1) {
    if (key === keys.length) key = 0;
    if (${found} !== undefined) found += 1;
  }
  const ms = performance.now() - began;
  if (found !== hits) throw new Error("a miss");
  return ms * 1e6 / hits;
}`;

/**
 * A function of its own for each that is measured, so that no call site serves
 * two caches and pays for both shapes.
 */
function hitTimer(): Timer<number> {
  return compile(`(hits, keys, get) => ${LOOP("get(keys[key])")}`);
}

function awaitedTimer(): Timer<Promise<number>> {
  return compile(`async (hits, keys, get) => ${LOOP("await get(keys[key])")}`);
}

function compile<F>(source: string): F {
  return new Function(`return ${source}`)() as F;
}

function shuffle<Item>(items: readonly Item[]): Item[] {
  const shuffled = [...items];
  for (let index = shuffled.length - 1; index > 0; index -= 1) {
    const other = Math.floor(Math.random() * (index + 1));
    [shuffled[index], shuffled[other]] = [
      shuffled[other] as Item,
      shuffled[index] as Item,
    ];
  }
  return shuffled;
}

// What caches take of the heap, after garbage collection: of estimates, and
// after a long time. Told what to do by its arguments; says one JSON line.

import process from "node:process";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { budgetOf, CacheMemory } from "../../src/caches/cache_memory.ts";
import { KeyedCache } from "../../src/caches/keyed_cache.ts";
import { LoadLog } from "../../src/caches/load_log.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import { turn } from "../support/caches.ts";
import { type Seeded, seeded } from "../support/seeded.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Values, none of which shares anything with another. */
const SHAPES: Readonly<Record<string, (number: number) => unknown>> = {
  texts: (number) => flat(`${number}`.padEnd(200, "text")),
  "wide texts": (number) => flat(`${number}`.padEnd(200, "язык")),
  rows: (number) => ({
    id: flat(`@user${number}:example.com`),
    name: flat(`User number ${number}`),
    age: number % 90,
    score: number + 0.5,
    isAdmin: number % 2 === 0,
    created: new Date(number),
  }),
  lists: (number) =>
    Array.from({ length: 50 }, (_, index) => flat(`$event${number}${index}`)),
  maps: (number) =>
    new Map(
      Array.from({ length: 20 }, (_, index) => [flat(`${number} ${index}`), {
        index,
      }]),
    ),
  sets: (number) =>
    new Set(
      Array.from({ length: 50 }, (_, index) => flat(`${number} ${index}`)),
    ),
  bytes: (number) => new Uint8Array(2_000).fill(number),
  nothing: () => undefined,
};

/** A text in one piece: V8 keeps one that was put together in its parts. */
function flat(text: string): string {
  return JSON.parse(JSON.stringify(text)) as string;
}

async function used(): Promise<number> {
  for (let round = 0; round < 2; round += 1) {
    await turn();
    collect();
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const [task = "", operations = "0"] = process.argv.slice(2);
if (task === "estimates") {
  for (const shape of Object.keys(SHAPES)) await estimate(shape);
  await rememberLoads(2_000);
} else await churn(Number(operations), seeded(1));

/** Fills a cache of so many bytes; says how many it took. */
async function estimate(shape: string): Promise<void> {
  const make = SHAPES[shape] as (number: number) => unknown;
  const maxBytes = 4 * 1024 ** 2;
  const options = { name: "c", clock: systemClock, logger: silentLogger };
  const warm = new KeyedCache({ ...options, maxBytes: 1e6 });
  await fill(warm, make, 1e5);
  const before = await used();
  const cache = new KeyedCache({ ...options, maxBytes });
  await fill(cache, make, maxBytes);
  const grown = await used() - before;
  const { bytes } = cache.stats;
  process.stdout.write(
    `${JSON.stringify({ shape, grown, bytes, maxBytes })}\n`,
  );
}

/** Remembers loads by keys that were cut out of longer texts; says what they took. */
async function rememberLoads(loads: number): Promise<void> {
  const log = new LoadLog({
    clock: systemClock,
    position: () => new Map(),
    maxLoads: loads,
  });
  const before = await used();
  for (let number = 0; number < loads; number += 1) {
    const text = flat(`${number}`.padEnd(10_000, "text"));
    log.began("getUserById", [text.slice(0, 40)]);
  }
  const grown = await used() - before;
  const first = log.last("getUserById", ["0".padEnd(40, "text")]);
  process.stdout.write(
    `${JSON.stringify({ loads, grown, hasFirst: first !== undefined })}\n`,
  );
}

/** Until nearly so many bytes are there: filled, but not churned. */
async function fill(
  cache: KeyedCache,
  make: (number: number) => unknown,
  bytes: number,
): Promise<void> {
  for (let number = 0; (cache.stats.bytes ?? 0) < bytes * 0.97; number += 1) {
    void cache.load(
      [flat(`key ${number}`)],
      () => Promise.resolve(make(number)),
    );
    if (number % 16 === 0) await turn();
  }
}

/** Does everything to caches for long; says what they took, early and late. */
async function churn(operations: number, random: Seeded): Promise<void> {
  const memory = new CacheMemory("2MiB");
  const caches = [1, 2, 3].map((number) =>
    new KeyedCache({
      name: `c${number}`,
      clock: systemClock,
      logger: silentLogger,
      memory: budgetOf(memory),
      maxEntries: 5_000,
      tree: number === 2,
      ttlMs: number === 3 ? 5 : undefined,
      staleWhileRevalidateMs: number === 1 ? 5 : undefined,
      maxConcurrentLoads: number === 3 ? 4 : undefined,
    })
  );
  const load = (value: unknown, fails: boolean) =>
    fails ? Promise.reject(new RangeError("no")) : Promise.resolve(value);
  const samples: number[] = [];
  const batches = 8;
  for (let operation = 0; operation < operations; operation += 1) {
    const cache = random.pick(caches);
    const key = [`room ${random.below(500)}`, random.below(1_000_000)];
    const action = random.below(1_000);
    if (action < 900 && cache.get(key) === undefined) {
      const value = { key, text: "x".repeat(random.below(200)) };
      cache.load(key, () => load(value, action < 10)).catch(() => {});
    } else if (action < 990) {
      cache.invalidate(key.slice(0, 1 + random.below(2)));
    } else {
      const rare = random.below(500);
      if (rare === 0) cache.clear();
      if (rare === 1) cache.resize({ maxEntries: random.pick([2_500, 5_000]) });
    }
    if (operation % 64 === 0) await turn();
    if ((operation + 1) % Math.ceil(operations / batches) === 0) {
      samples.push(await used());
    }
  }
  process.stdout.write(`${JSON.stringify({ samples, ...memory.stats })}\n`);
}

// How much a cache may hold: entries, bytes, what an entry takes, and what is
// counted of it all.

import process from "node:process";
import t from "tap";
import { LoadTimes } from "../../src/caches/load_times.ts";
import { KeyedCache } from "../../src/caches/keyed_cache.ts";
import { estimateBytes } from "../../src/caches/size_of.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import { deferred } from "../../src/runtime/waiting.ts";
import { settled } from "../support/attached.ts";
import { keyedCache } from "../support/caches.ts";
import { manualClock } from "../support/manual_clock.ts";

const byLength = { sizeOf: (value: unknown) => String(value).length };

async function fill(cache: KeyedCache, ...values: string[]): Promise<void> {
  for (const value of values) {
    await cache.load([value.charAt(0)], () => Promise.resolve(value));
  }
  await settled();
}

const keysIn = (cache: KeyedCache, text: string) =>
  [...text].filter((key) => cache.get([key]) !== undefined).join("");

t.test("maxBytes: the least recently used go until the rest fits", async (t) => {
  const cache = keyedCache("c", { maxBytes: 10, ...byLength });
  await fill(cache, "aaaa", "bbbb");
  t.match(cache.stats, { bytes: 8, maxBytes: 10, maxEntries: undefined });
  void cache.get(["a"]);
  await fill(cache, "ccc");
  t.equal(keysIn(cache, "abc"), "ac");
  t.match(cache.stats, { entries: 2, bytes: 7, evictions: 1 });
  cache.invalidate(["a"]);
  t.match(cache.stats, { entries: 1, bytes: 3, evictions: 1 });
  cache.clear();
  t.match(cache.stats, { entries: 0, bytes: 0 });
});

t.test("maxBytes: what is larger than the cache is given, but not kept", async (t) => {
  for (const tree of [false, true]) {
    const cache = keyedCache("c", { maxBytes: 10, ...byLength, tree });
    await fill(cache, "aaaa");
    const large = "b".repeat(11);
    const load = cache.load(["b"], () => Promise.resolve(large));
    t.equal(cache.get(["b"]), load, "shared while it loads");
    t.equal(await load, large);
    await settled();
    t.equal(keysIn(cache, "ab"), "a", "and nothing had to go for it");
    t.match(cache.stats, { entries: 1, bytes: 4, evictions: 1 });
    cache.invalidate(["b"]);
    t.equal(cache.stats.invalidations, 0);
  }
});

t.test("maxBytes with maxEntries: both hold", async (t) => {
  const cache = keyedCache("c", { maxBytes: 10, maxEntries: 2, ...byLength });
  await fill(cache, "a", "b", "c");
  t.equal(keysIn(cache, "abc"), "bc");
  await fill(cache, "dddddddddd");
  t.equal(keysIn(cache, "abcd"), "d");
});

t.test("sizeOf is told the value and the key, once the value is there", async (t) => {
  const asked: unknown[] = [];
  const cache = keyedCache("c", {
    maxBytes: 1_000,
    sizeOf: (value, key) => {
      asked.push([value, ...key]);
      return 0.2;
    },
  });
  const { promise, resolve } = deferred<string>();
  void cache.load(["a", 1n], () => promise);
  t.same(asked, []);
  t.equal(cache.stats.bytes, 1, "what loads takes its place");
  resolve("A");
  await settled();
  t.same(asked, [["A", "a", 1n]]);
  t.equal(cache.stats.bytes, 1, "an entry takes 1 at least");
});

t.test("sizeOf that fails, or gives no size, costs its entry only", async (t) => {
  const sizes: [string, () => number][] = [
    ["bad luck", () => {
      throw new RangeError("bad luck");
    }],
    ["gave NaN", () => NaN],
    ["gave -1", () => -1],
    ["gave Infinity", () => Infinity],
    ["gave many", () => "many" as unknown as number],
  ];
  for (const [what, sizeOf] of sizes) {
    const logged: string[] = [];
    const cache = new KeyedCache({
      name: "users",
      maxBytes: 100,
      sizeOf: (value) => value === "bad" ? sizeOf() : 4,
      clock: manualClock(),
      logger: (level, message, fields) =>
        void logged.push(`${level} ${message} ${JSON.stringify(fields)}`),
    });
    await fill(cache, "a");
    t.equal(await cache.load(["b"], () => Promise.resolve("bad")), "bad");
    await settled();
    t.equal(keysIn(cache, "ab"), "a", what);
    t.match(cache.stats, { bytes: 4, entries: 1 });
    t.equal(logged.length, 1);
    t.match(logged[0], /^error entry not kept: no size .*"users"/);
    t.match(logged[0], what);
  }
});

t.test("a load that ends after its entry has gone is not measured", async (t) => {
  let asked = 0;
  const cache = keyedCache("c", { maxBytes: 100, sizeOf: () => asked += 1 });
  const { promise, resolve } = deferred<string>();
  void cache.load(["a"], () => promise);
  cache.invalidate(["a"]);
  resolve("A");
  await settled();
  t.equal(asked, 0);
  t.match(cache.stats, { entries: 0, bytes: 0, fenced: 1 });
});

t.test("estimateBytes() is near what V8 takes, and ends", (t) => {
  const cases: [unknown, number, number][] = [
    [undefined, 0, 0],
    [null, 0, 0],
    [true, 0, 0],
    [7, 0, 0],
    [1.5, 12, 16],
    ["x".repeat(1_000), 1_000, 1_050],
    ["ü".repeat(1_000), 1_000, 1_050],
    ["漢".repeat(1_000), 2_000, 2_050],
    [Array(1_000).fill(1), 8_000, 8_100],
    [new Uint8Array(4_096), 4_096, 4_300],
    [new ArrayBuffer(4_096), 4_096, 4_300],
    [{ a: 1, b: 2 }, 40, 64],
    [Array.from({ length: 10_000 }, () => ({ a: 1 })), 350_000, 450_000],
    [new Map([["a".repeat(500), "b".repeat(500)]]), 1_000, 1_200],
    [new Set(["a".repeat(500)]), 500, 700],
    [new Date(0), 40, 100],
    [12n, 16, 32],
  ];
  for (const [value, least, most] of cases) {
    const bytes = estimateBytes(value);
    t.ok(
      bytes >= least && bytes <= most,
      `${bytes} for ${String(value).slice(0, 20)}`,
    );
  }
  const ring: Record<string, unknown> = {};
  ring["self"] = [ring, ring];
  t.ok(estimateBytes(ring) > 0, "of what holds itself, too");
  t.end();
});

t.test("maxBytes without sizeOf: keys count as well as values", async (t) => {
  const cache = keyedCache("c", { maxBytes: "64KiB" });
  for (let number = 0; number < 20; number += 1) {
    const id = `${number}`.padEnd(4_000);
    await cache.load([id, "x"], () => Promise.resolve("x".repeat(4_000)));
  }
  await settled();
  const { entries, bytes = 0 } = cache.stats;
  t.equal(entries, 7, "8 KiB each, and their places");
  t.ok(bytes > 7 * 8_000 && bytes <= 65_536, String(bytes));
});

t.test("resize() takes effect at once, in both directions", async (t) => {
  for (const tree of [false, true]) {
    const cache = keyedCache("c", { maxEntries: 4, tree });
    await fill(cache, "a", "b", "c", "d");
    void cache.get(["a"]);
    cache.resize({ maxEntries: 2 });
    t.equal(keysIn(cache, "abcd"), "ad", "the least recently used went");
    t.match(cache.stats, { entries: 2, maxEntries: 2, evictions: 2 });
    cache.resize({ maxEntries: 3 });
    await fill(cache, "e", "f");
    t.match(cache.stats, { entries: 3, maxEntries: 3, evictions: 3 });
    cache.invalidate(["e"]);
    t.equal(keysIn(cache, "adef"), "df");
  }
});

t.test("resize() of bytes evicts what is too much, even a single entry", async (t) => {
  for (const tree of [false, true]) {
    const cache = keyedCache("c", { maxBytes: 10, tree, ...byLength });
    await fill(cache, "aaaaaa", "bbb");
    cache.resize({ maxBytes: 5 });
    t.equal(keysIn(cache, "ab"), "b");
    t.match(cache.stats, { entries: 1, bytes: 3, maxBytes: 5, evictions: 1 });
    cache.resize({ maxBytes: 2 });
    t.match(cache.stats, { entries: 0, bytes: 0, evictions: 2 });
    await fill(cache, "aa");
    t.equal(keysIn(cache, "ab"), "a");
  }
});

t.test("resize() keeps loads that run, and their fence", async (t) => {
  const cache = keyedCache("c", { maxEntries: 4, ttlMs: 100 });
  const load = deferred<string>();
  const other = deferred<string>();
  void cache.load(["a"], () => load.promise);
  void cache.load(["b"], () => other.promise);
  cache.resize({ maxEntries: 3 });
  t.equal(cache.get(["a"]), load.promise);
  cache.invalidate(["a"]);
  load.resolve("A");
  other.resolve("B");
  await settled();
  t.equal(keysIn(cache, "ab"), "b");
  t.equal(cache.stats.fenced, 1);
});

t.test("resize() refuses what is no bound, and changes nothing", async (t) => {
  const cache = keyedCache("c", { maxEntries: 4 });
  await fill(cache, "a", "b");
  for (
    const bounds of [{ maxEntries: 0 }, { maxBytes: "x" }, { maxBytes: 100 }]
  ) {
    t.throws(() => cache.resize(bounds), { code: "INVALID_ARGUMENT" });
    t.equal(keysIn(cache, "ab"), "ab");
    t.match(cache.stats, { maxEntries: 4, maxBytes: undefined });
  }
});

t.test("stats: loads that run, fail, and are fenced", async (t) => {
  const clock = manualClock();
  const cache = keyedCache("c", { maxEntries: 1 }, clock);
  t.match(cache.stats, {
    loading: 0,
    fenced: 0,
    failures: 0,
    loadMsP50: undefined,
    loadMsP99: undefined,
  });
  const loads = [1, 2, 3].map(() => deferred<number>());
  const [evicted, failing, kept] = loads;
  for (const [index, load] of loads.entries()) {
    const loading = cache.load([index], () => load.promise);
    loading.catch(() => {});
  }
  t.match(cache.stats, { loading: 3, entries: 1, evictions: 2, misses: 3 });
  clock.advance(10);
  evicted?.resolve(1);
  failing?.reject(new RangeError("no"));
  await settled();
  t.match(cache.stats, { loading: 1, fenced: 1, failures: 1 });
  clock.advance(990);
  kept?.resolve(3);
  await settled();
  const { loadMsP50 = 0, loadMsP99 = 0, ...rest } = cache.stats;
  t.match(rest, { loading: 0, fenced: 1, failures: 1, entries: 1, hits: 0 });
  t.ok(loadMsP50 > 8 && loadMsP50 < 12, String(loadMsP50));
  t.ok(loadMsP99 > 800 && loadMsP99 < 1_200, String(loadMsP99));
});

t.test("LoadTimes tells quantiles to a fifth, of any time", (t) => {
  const times = new LoadTimes();
  t.equal(times.quantile(0.5), undefined);
  for (let ms = 1; ms <= 1_000; ms += 1) times.add(ms);
  for (const [share, ms] of [[0.5, 500], [0.99, 990], [1, 1_000]] as const) {
    const told = times.quantile(share) ?? 0;
    t.ok(told > ms / 1.2 && told < ms * 1.2, `${told} for ${ms}`);
  }
  for (const ms of [0, -1, 1e12]) times.add(ms);
  t.equal(times.count, 1_003);
  t.ok((times.quantile(1) ?? 0) > 1e6);
  t.end();
});

t.test("KeyedCache refuses options that can't be", (t) => {
  const wrong: [object, string][] = [
    [{}, "maxEntries is undefined; give maxEntries, maxBytes or both"],
    [{ maxEntries: 1, ttlMs: 0 }, "ttlMs is 0; give a positive number of ms"],
    [{ maxEntries: 1, ttlMs: NaN }, "ttlMs is NaN; give a positive number"],
    [{ maxEntries: 1, ttlMs: "5" }, 'ttlMs is "5"; give a positive number'],
    [
      { maxEntries: 1, negative: { ttlMs: -1 } },
      "negative.ttlMs is -1; give a positive number of ms, or negative: false",
    ],
    [{ maxEntries: 1, negative: {} }, "negative.ttlMs is undefined"],
  ];
  const clock = manualClock();
  for (const [limits, message] of wrong) {
    const options = { name: "users", clock, logger: silentLogger, ...limits };
    t.throws(() => new KeyedCache(options), {
      code: "INVALID_ARGUMENT",
      message: new RegExp(
        `^Cannot create cache "users": ${message.replaceAll(".", "\\.")}`,
      ),
    }, message);
  }
  for (const maxBytes of [0, -5, NaN, "64 megabytes", ""]) {
    t.throws(() => keyedCache("users", { maxBytes }), {
      code: "INVALID_ARGUMENT",
      message: /as maxBytes of cache "users": give a positive number of bytes/,
    }, String(maxBytes));
  }
  t.end();
});

t.test("maxBytes keeps nothing of the keys of what was too large", async (t) => {
  const cache = keyedCache("c", { maxBytes: 5, sizeOf: () => 6, tree: true });
  const before = process.memoryUsage().heapUsed;
  for (let number = 0; number < 4_000; number += 1) {
    const id = `${number}`.padEnd(50_000);
    await cache.load([id, 1], () => Promise.resolve(1));
  }
  await settled();
  t.match(cache.stats, { entries: 0, evictions: 4_000 });
  const grown = process.memoryUsage().heapUsed - before;
  // Kept, they would take 200 MB.
  t.ok(grown < 150e6, `grown by ${grown} bytes`);
});

t.test("sizeOf may call the cache: what it has dropped stays dropped", async (t) => {
  for (const tree of [false, true]) {
    const cache: KeyedCache = keyedCache("c", {
      maxBytes: 100,
      tree,
      sizeOf: (value) => {
        if (value === "old") cache.invalidate(["a"]);
        return 1;
      },
    });
    t.equal(await cache.load(["a"], () => Promise.resolve("old")), "old");
    await settled();
    t.equal(cache.get(["a"]), undefined);
    t.match(cache.stats, { entries: 0, bytes: 0 });
    await fill(cache, "ab");
    t.equal(keysIn(cache, "a"), "a");
  }
});

t.test("estimateBytes looks at so many things only, of whatever kind", (t) => {
  let looked = 0;
  class Texts extends Set<string> {
    override get size(): number {
      return 1e6;
    }
    override *[Symbol.iterator](): SetIterator<string> {
      for (let item = 0; item < 1e6; item += 1) {
        looked += 1;
        yield "text";
      }
    }
  }
  t.ok(estimateBytes(new Texts()) > 1e6);
  t.ok(looked <= 2_000, `${looked} were looked at`);
  t.end();
});

// Caches that no stream invalidates, as caches of a store: one memory with those
// of methods, factors, figures and events.

import t from "tap";
import { CacheMemory } from "../../src/caches/cache_memory.ts";
import { ChangeCache } from "../../src/caches/change_cache.ts";
import { DictionaryCache } from "../../src/caches/dictionary_cache.ts";
import { ResponseCache } from "../../src/caches/response_cache.ts";
import { TtlCache } from "../../src/caches/ttl_cache.ts";
import { turn } from "../support/caches.ts";
import { manualClock } from "../support/manual_clock.ts";
import {
  bytesOf,
  fillers,
  hear,
  KIB,
  NAMES,
  openAll,
  openStore,
  range,
  readers,
} from "../support/plain_caches.ts";

for (const hot of NAMES) {
  t.test(`cacheMemory: what is used of ${hot} stays, what isn't of the others goes`, async (t) => {
    const all = openAll({ cacheMemory: "512KiB" });
    for (const key of range(100, 1)) await fillers[hot](all, key);
    const others = NAMES.filter((name) => name !== hot);
    for (const round of range(20, 0)) {
      for (const name of others) {
        for (const key of range(10, 1_000 + 10 * round)) {
          await fillers[name](all, key);
        }
      }
      const found = range(100, 1).filter((key) => readers[hot](all, key));
      t.equal(found.length, 100, `all are there in round ${round}`);
    }
    const { bytes = 0 } = all.stats(hot) ?? {};
    t.ok(bytes > 100 * KIB, `${bytes} bytes are hot`);
    t.ok(bytesOf(all) <= 512 * KIB, `${bytesOf(all)} bytes`);
    t.ok(bytesOf(all) > 500 * KIB, `${bytesOf(all)} bytes are used`);
    for (const name of others) {
      t.ok((all.stats(name)?.evictions ?? 0) > 50, `${name} gave way`);
    }
  });

  t.test(`cacheMemory: a cold cache, ${hot}, keeps its minimum`, async (t) => {
    const all = openAll({ cacheMemory: "512KiB" });
    for (const key of range(200, 1)) await fillers[hot](all, key);
    const other = hot === "method" ? "ttl" : "method";
    for (const key of range(1_000, 1)) await fillers[other](all, key);
    const { bytes = 0, entries } = all.stats(hot) ?? {};
    const minimum = 512 * KIB / 5 / 10;
    t.ok(bytes > minimum - 2 * KIB, `${bytes} bytes are left`);
    t.ok(bytes <= minimum, `only ${bytes} bytes are left`);
    t.ok(Number(entries) < 20 && Number(entries) > 4, `${entries} entries`);
  });
}

for (const other of ["ttl", "responses", "dictionaries"] as const) {
  t.test(`cacheMemory: changes and ${other} go by age, whichever is older`, async (t) => {
    const cacheMemory = new CacheMemory("512KiB", { minShare: 0 });
    const all = openAll({ cacheMemory });
    for (
      const [index, name] of [other, "changes", other, "changes"].entries()
    ) {
      const fill = fillers[name as typeof other | "changes"];
      for (const key of range(80, 1 + 100 * index)) await fill(all, key);
    }
    const has = (name: string) => Number(all.stats(name)?.bytes) / KIB;
    const [half, changed] = [has(other) / 2, has("changes") / 2];
    const isAbout = (bytes: number, wanted: number) =>
      t.ok(Math.abs(bytes - wanted) < 20, `${bytes} KiB, of ${wanted}`);
    // The first of the others go, then the first changes, then half of the rest.
    const wanted = 512 - (half / 2 + changed);
    for (let key = 0; has("method") < wanted; key += 1) {
      await all.method(key);
    }
    isAbout(has(other), half / 2);
    isAbout(has("changes"), changed);
  });
}

t.test("cacheMemory is resized while all of them are in use", async (t) => {
  const cacheMemory = new CacheMemory("1MiB");
  const all = openAll({ cacheMemory });
  for (const key of range(300, 1)) {
    for (const name of NAMES) await fillers[name](all, key);
  }
  t.equal(cacheMemory.stats.bytes, bytesOf(all), "it counts what they list");
  t.ok(bytesOf(all) > 1_000 * KIB && bytesOf(all) <= 1_024 * KIB);
  all.registry.resize({ cacheMemory: "64KiB" });
  t.ok(bytesOf(all) <= 64 * KIB, `${bytesOf(all)} bytes`);
  t.equal(cacheMemory.stats.bytes, bytesOf(all));
  for (const name of NAMES) {
    t.ok(Number(all.stats(name)?.entries) > 0, `${name} keeps some`);
  }
  all.registry.resize({ cacheMemory: "2MiB" });
  for (const key of range(300, 1)) {
    for (const name of NAMES) await fillers[name](all, key);
  }
  t.ok(bytesOf(all) > 1_200 * KIB, `${bytesOf(all)} bytes`);
  for (const name of ["ttl", "responses", "dictionaries"] as const) {
    for (const key of range(300, 1)) t.ok(readers[name](all, key));
  }
});

t.test("cacheMemory: what is larger than all of it isn't kept, and harms no other", async (t) => {
  const all = openAll({ cacheMemory: "16KiB" });
  const huge = "x".repeat(20 * KIB);
  for (const name of NAMES) await fillers[name](all, 1);
  all.ttl.set(2, huge);
  t.equal(await all.responses.get(2, () => huge), huge);
  all.dictionaries.update(0, 2, [["a", huge]]);
  all.dictionaries.update(0, 2, [["a", huge]], ["a"]);
  t.equal(all.ttl.get(2), undefined);
  t.match(all.dictionaries.get(2), { isFull: false, values: new Map() });
  for (const name of NAMES) {
    t.ok(readers[name](all, 1), `${name}'s is there`);
    t.match(all.stats(name), { entries: 1 });
  }
});

t.test("Whatever is dropped, what is counted is what is there", async (t) => {
  const cacheMemory = new CacheMemory("1MiB");
  const all = openAll({ cacheMemory });
  const { ttl, responses, dictionaries, changes, clock } = all;
  for (const key of range(20, 1)) {
    for (const name of NAMES) await fillers[name](all, key);
  }
  dictionaries.update(0, 1, [["a", "1"], ["b", "2"]]);
  ttl.set(1, "again");
  ttl.delete(2);
  responses.invalidate(1);
  dictionaries.invalidate(2);
  changes.allChanged(10);
  ttl.resize({ maxEntries: 5 });
  t.equal(cacheMemory.stats.bytes, bytesOf(all));
  clock.advance(60_000);
  t.match(all.stats("ttl"), { entries: 0, bytes: 0, expirations: 5 });
  t.match(all.stats("responses"), { entries: 0, bytes: 0, expirations: 19 });
  dictionaries.clear();
  changes.allChanged(1_000);
  for (const name of ["dictionaries", "changes"]) {
    t.match(all.stats(name), { entries: 0, bytes: 0 });
  }
  t.equal(cacheMemory.stats.bytes, all.stats("method")?.bytes);
});

t.test("A store that is closed has its memory back, and its caches keep nothing", async (t) => {
  const cacheMemory = new CacheMemory("1MiB");
  const all = openAll({ cacheMemory });
  for (const name of NAMES) await fillers[name](all, 1);
  t.match(cacheMemory.stats, { caches: 5 });
  all.registry.close();
  t.match(cacheMemory.stats, { caches: 0, bytes: 0 });
  for (const name of NAMES) {
    for (const key of range(3, 2)) await fillers[name](all, key);
    t.match(all.stats(name), { entries: 0 }, name);
  }
  t.match(cacheMemory.stats, { bytes: 0 });
  t.equal(all.changes.hasChanged("a", 3), true, "nothing is known");
});

t.test("Factors and new bounds are those of plain caches, too", (t) => {
  const { registry, store, stats } = openStore({
    cacheFactor: 0.5,
    cacheFactors: { responses: 3 },
  });
  const ttl = new TtlCache<number, number>({
    store,
    name: "ttl",
    ttlMs: 1,
    maxEntries: 10,
    maxSize: 100,
    clock: manualClock(),
  });
  new ResponseCache({ store, name: "responses", maxEntries: 10 });
  new DictionaryCache({ store, name: "dictionaries", maxEntries: 10 });
  const changes = new ChangeCache<number>({
    store,
    name: "changes",
    earliestKnown: 0,
    maxEntities: 10,
    maxPositions: 8,
  });
  const fixed = { store, name: "fixed", maxEntries: 10, fixedSize: true };
  new DictionaryCache(fixed);
  const bounds = () => registry.cacheStats().map((each) => each.maxEntries);
  t.same(bounds(), [5, 30, 5, 5, 10]);
  for (let key = 1; key <= 20; key += 1) {
    ttl.set(key, key);
    changes.changed(key, key);
  }
  t.match(stats("ttl"), { entries: 5, evictions: 15 });
  t.match(stats("changes"), { entries: 4, evictions: 16 });
  t.equal(changes.earliestKnown, 16);
  registry.resize({ cacheFactor: 2 });
  t.same(bounds(), [20, 30, 20, 20, 10]);
  for (let key = 1; key <= 40; key += 1) ttl.set(key, key);
  t.match(stats("ttl"), { entries: 20 });
  ttl.resize({ maxEntries: 3 });
  t.same(bounds()[0], 6, "what a cache is told itself is multiplied, too");
  registry.resize({
    caches: { ttl: { maxEntries: 1 }, fixed: { maxEntries: 4 } },
  });
  t.same(bounds(), [2, 30, 20, 20, 4]);
  t.match(stats("ttl"), { entries: 2 });
  for (
    const caches of [
      { ttl: { maxBytes: "1MiB" } },
      { ttl: { maxEntries: 0 } },
      { nobody: { maxEntries: 1 } },
    ]
  ) {
    t.throws(() => registry.resize({ caches, cacheFactor: 9 }), {
      code: "INVALID_ARGUMENT",
    });
  }
  t.same(bounds(), [2, 30, 20, 20, 4], "refused changes change nothing");
  t.end();
});

t.test("Each is listed with what it has done", async (t) => {
  const all = openAll();
  const { registry, responses, dictionaries, changes, ttl, clock } = all;
  t.same(registry.cacheStats().map(({ name }) => name), NAMES);
  ttl.set(1, "a");
  ttl.get(1);
  ttl.get(2);
  ttl.delete(1);
  const call = () => {
    clock.advance(20);
    return Promise.resolve("a");
  };
  await responses.get(1, call);
  await responses.get(1, call);
  await t.rejects(responses.get(2, () => Promise.reject(new TypeError("x"))));
  const late = responses.get(3, call);
  t.match(all.stats("responses"), { loading: 1 });
  responses.invalidate(3);
  await late;
  await turn();
  const { generation } = dictionaries;
  dictionaries.update(generation, 1, [["a", "1"], ["b", "2"]]);
  dictionaries.get(1);
  dictionaries.get(2);
  dictionaries.invalidate(1);
  dictionaries.update(generation, 1, []);
  changes.changed("a", 5);
  changes.hasChanged("a", 1);
  changes.allChanged(6);
  changes.hasChanged("a", 1);
  const plain = { bytes: undefined, maxBytes: undefined, evictions: 0 };
  t.match(registry.cacheStats().slice(1), [
    { ...plain, hits: 1, misses: 1, invalidations: 1, maxEntries: 10_000 },
    {
      ...plain,
      entries: 1,
      hits: 1,
      misses: 3,
      failures: 1,
      fenced: 1,
      invalidations: 1,
      loading: 0,
      loadMsP50: Number,
      loadMsP99: Number,
    },
    { ...plain, entries: 0, hits: 1, misses: 1, fenced: 1, invalidations: 2 },
    { ...plain, hits: 1, misses: 1, invalidations: 1, maxEntries: 100_000 },
  ]);
  const { loadMsP99 = 0 } = all.stats("responses") ?? {};
  t.ok(loadMsP99 > 15 && loadMsP99 < 25, `${loadMsP99} ms`);
});

t.test("Only a dictionary cache, which hears of writes by the store, is cleared with all", async (t) => {
  const all = openAll();
  for (const name of NAMES) await fillers[name](all, 1);
  const { generation } = all.dictionaries;
  all.registry.flush();
  const entries = all.registry.cacheStats().map((each) => each.entries);
  t.same(entries, [0, 1, 1, 0, 1]);
  t.equal(all.dictionaries.update(generation, 1, []), false, "it was fenced");
});

t.test("Names are a store's own", (t) => {
  const { store, registry } = openStore();
  const refused = { code: "INVALID_ARGUMENT" };
  const create = (options: object) => () => new DictionaryCache(options);
  t.throws(create({ store }), refused);
  t.throws(create({ store, name: "" }), refused);
  t.throws(create({ name: "a" }), refused);
  t.throws(create({ store, name: "people" }), refused);
  registry.create("method", { maxEntries: 1 });
  t.throws(create({ store, name: "method" }), refused);
  t.doesNotThrow(create({ store, name: "a" }));
  t.doesNotThrow(create({ store, name: "a" }), "as a store attached twice has");
  t.throws(() => registry.create("a", { maxEntries: 1 }), refused);
  t.same(registry.cacheStats().map(({ name }) => name), ["method", "a", "a"]);
  t.end();
});

t.test("A listener hears of what each does, and nothing of those that stand alone", async (t) => {
  const { ttl, responses, dictionaries, changes, registry } = openAll();
  const alone = new TtlCache<number, string>({ ttlMs: 1_000 });
  const take = hear(t);
  alone.get(1);
  ttl.get(1);
  ttl.set(1, "a");
  ttl.get(1);
  ttl.delete(1);
  ttl.delete(1);
  ttl.clear();
  t.same(take(), ["ttl miss 1", "ttl hit 1", "ttl invalidate 1"]);
  await responses.get(1, () => "a");
  await responses.get(1, () => "a");
  const late = responses.get(2, () => Promise.resolve("a"));
  responses.clear();
  await late;
  t.same(take(), [
    "responses miss 1",
    "responses load 1",
    "responses hit 1",
    "responses miss 2",
    "responses invalidate all",
    "responses load 2",
    "responses fenced 2",
  ]);
  dictionaries.update(0, 7, [["a", "1"]], ["a", "b"]);
  dictionaries.get(7, ["a"]);
  dictionaries.get(7, ["c"]);
  dictionaries.invalidate(7);
  dictionaries.update(0, 7, []);
  t.same(take(), [
    "dictionaries hit 7",
    "dictionaries miss 7",
    "dictionaries invalidate 7",
    "dictionaries fenced 7",
  ]);
  changes.changed("a", 5);
  changes.hasChanged("a", 1);
  changes.allChangedSince(1);
  changes.allChanged(5);
  changes.hasChanged("b", 1);
  t.same(take(), [
    "changes hit a",
    "changes hit ",
    "changes invalidate all",
    "changes miss b",
  ]);
  ttl.set(1, "a");
  ttl.set(2, "a");
  await responses.get(1, () => "a");
  await responses.get(2, () => "a");
  const { generation } = dictionaries;
  dictionaries.update(generation, 1, [["a", "1"]], ["a"]);
  dictionaries.update(generation, 1, [["a", "1"]]);
  changes.changed("a", 6);
  changes.changed("b", 7);
  take();
  const one = { maxEntries: 1 };
  registry.resize({
    caches: { ttl: one, responses: one, dictionaries: one, changes: one },
  });
  t.same(take(), [
    "ttl evict 1",
    "responses evict 1",
    "dictionaries evict 1,a",
    "changes evict a",
  ]);
});

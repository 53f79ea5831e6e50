// What a catch-up does to caches, against doing every row.

import fc from "fast-check";
import t from "tap";
import { z } from "zod";
import { defineCacheGroup } from "../../mod.ts";
import { CacheRegistry } from "../../src/caches/cache_registry.ts";
import { keyedCache } from "../support/caches.ts";
import { formatCachesRow } from "../../src/protocol/caches_row.ts";
import { readCachesRow } from "../../src/protocol/caches_row.ts";
import { Coalescer } from "../../src/replication/coalescer.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import type { KeyPart } from "../../src/streams/builtin_streams.ts";

const group = defineCacheGroup(
  "both",
  z.tuple([z.string()]),
  ([id]) => [["one", [id]], ["two", [id, 1]]],
) as never;

const KEYS: KeyPart[][] = [
  ["a"],
  ["b"],
  ['"'],
  ["é,]"],
  ["a", 1],
  ["b", 1],
  ["b", 2],
  [1],
  [null],
  [],
  ["]", 7],
];

function makeCaches() {
  const registry = new CacheRegistry([group], silentLogger);
  const caches = ["one", "two", 'odd "name'].map((name) => {
    const cache = keyedCache(name, { maxEntries: 1_000 });
    registry.register(cache);
    return cache;
  });
  const fill = () => {
    for (const cache of caches) {
      for (const key of KEYS) {
        if (cache.get(key) === undefined) {
          void cache.load(key, () => Promise.resolve(1));
        }
      }
    }
  };
  fill();
  return {
    registry,
    fill,
    kept: () =>
      caches.map((cache) => KEYS.map((key) => cache.get(key) !== undefined)),
  };
}

const rows = fc.array(
  fc.record({
    name: fc.constantFrom("one", "two", 'odd "name', "nobody's"),
    key: fc.oneof(
      { weight: 9, arbitrary: fc.constantFrom(...KEYS) },
      { weight: 1, arbitrary: fc.constant(null) },
    ),
    isGroup: fc.integer({ min: 0, max: 9 }),
  }).map(({ name, key, isGroup }) =>
    isGroup === 0
      ? formatCachesRow("both", ["a"], 17)
      : formatCachesRow(name, key, 17)
  ),
  { maxLength: 30 },
);

t.test("with keys enough to spare it leaves what doing every row leaves", (t) => {
  fc.assert(fc.property(rows, fc.nat(30), (all, cut) => {
    const ours = makeCaches();
    const coalescer = new Coalescer(ours.registry, 1_000);
    coalescer.apply(all.slice(0, cut).join("\n"));
    coalescer.apply(all.slice(cut).join("\n"));
    const plain = makeCaches();
    for (const row of all) readCachesRow(row, plain.registry);
    t.same(ours.kept(), plain.kept());
    t.same(ours.registry.stats, plain.registry.stats);
    return true;
  }));
  t.end();
});

t.test("beyond its bound it keeps nothing that doing every row drops", (t) => {
  fc.assert(
    fc.property(rows, fc.integer({ min: 1, max: 3 }), (all, maxKeys) => {
      const ours = makeCaches();
      new Coalescer(ours.registry, maxKeys).apply(all.join("\n"));
      const plain = makeCaches();
      for (const row of all) readCachesRow(row, plain.registry);
      const dropped = plain.kept();
      return ours.registry.stats.applied === plain.registry.stats.applied &&
        ours.kept().every((cache, at) =>
          cache.every((isKept, key) => !isKept || dropped[at]?.[key])
        );
    }),
  );
  t.end();
});

t.test("a key that is repeated is invalidated once, over all pages", (t) => {
  const { registry, fill, kept } = makeCaches();
  const coalescer = new Coalescer(registry, 10);
  coalescer.apply(formatCachesRow("one", ["a"], 1));
  t.equal(kept()[0]?.[0], false);
  fill();
  coalescer.apply(
    `${formatCachesRow("one", ["a"], 2)}\n${formatCachesRow("one", ["b"], 2)}`,
  );
  t.same(kept()[0]?.slice(0, 2), [true, false], "what was loaded since stays");
  t.equal(registry.stats.applied, 3);
  t.end();
});

t.test("above so many keys the cache is cleared, once, and the others are not", (t) => {
  const { registry, fill, kept } = makeCaches();
  const coalescer = new Coalescer(registry, 3);
  const row = (key: string) => formatCachesRow("one", [key], 1);
  coalescer.apply(["x1", "x2", "x3", "x1"].map(row).join("\n"));
  t.ok(kept()[0]?.every((isKept) => isKept), "three keys do not clear it");
  coalescer.apply(row("x4"));
  t.notOk(kept()[0]?.some((isKept) => isKept));
  t.ok(kept()[1]?.every((isKept) => isKept));
  fill();
  coalescer.apply([row("a"), formatCachesRow("one", null, 1)].join("\n"));
  t.ok(kept()[0]?.every((isKept) => isKept), "what was loaded since stays");
  t.equal(registry.stats.applied, 7);
  t.end();
});

t.test("a whole cache is cleared once", (t) => {
  const { registry, fill, kept } = makeCaches();
  const coalescer = new Coalescer(registry, 3);
  coalescer.apply(formatCachesRow("two", null, 1));
  t.notOk(kept()[1]?.some((isKept) => isKept));
  fill();
  coalescer.apply(formatCachesRow("two", ["a"], 1));
  t.ok(kept()[1]?.every((isKept) => isKept));
  t.end();
});

t.test("rows without a time, or of another shape, are done one by one", (t) => {
  const { registry, kept } = makeCaches();
  const coalescer = new Coalescer(registry, 1_000);
  coalescer.apply('["one",["b",1]]\n["one",["b",2]]\n["two",null]');
  t.same(kept()[0]?.slice(5, 7), [false, false]);
  t.notOk(kept()[1]?.some((isKept) => isKept));
  t.throws(() => coalescer.apply('{"a":1}'), {
    code: "LINE_INVALID",
    message: /^failed to parse row/,
  });
  t.end();
});

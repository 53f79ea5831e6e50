// What a catch-up does to caches, against doing every row.

import { memoryUsage } from "node:process";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import t from "tap";
import { z } from "zod";
import { defineCacheGroup } from "../../mod.ts";
import { CacheRegistry } from "../../src/caches/cache_registry.ts";
import { CACHES } from "../../src/caches/cached.ts";
import { cachedFunction } from "../../src/caches/cached_function.ts";
import { formatCachesRow } from "../../src/protocol/caches_row.ts";
import { readCachesRow } from "../../src/protocol/caches_row.ts";
import {
  formatRuns,
  toInvalidatedKey,
} from "../../src/protocol/invalidations.ts";
import { Coalescer } from "../../src/replication/coalescer.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import type { KeyPart } from "../../src/streams/builtin_streams.ts";
import { VirtualClock } from "../../src/testing/virtual_clock.ts";
import { turn } from "../support/caches.ts";

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

/** Caches that are full; which of them may serve what is old. */
function makeCaches(olds: readonly boolean[] = []) {
  const registry = new CacheRegistry([group], silentLogger, new VirtualClock());
  const caches = ["one", "two", 'odd "name'].map((name, index) =>
    registry.create(name, {
      maxEntries: 1_000,
      staleWhileRevalidateMs: olds[index] === true ? 1_000 : undefined,
      // What depends on it is set aside with it, and named with it.
      onInvalidate: (key) => name === "one" ? [['odd "name', key]] : [],
    })
  );
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
    /** What callers are given without a load, old or not. */
    served: () =>
      caches.map((cache) =>
        KEYS.map((key) =>
          (cache.get(key) ?? cache.stale?.get(key)) !== undefined
        )
      ),
  };
}

const invalidation = fc.record({
  name: fc.constantFrom("one", "two", 'odd "name', "nobody's"),
  key: fc.oneof(
    { weight: 9, arbitrary: fc.constantFrom(...KEYS) },
    { weight: 1, arbitrary: fc.constant(null) },
  ),
  isGroup: fc.integer({ min: 0, max: 9 }),
}).map(({ name, key, isGroup }) =>
  isGroup === 0 ? { name: "both", key: ["a"] } : { name, key }
);

/** A line as an older log has it, of one; or as this has it, of some. */
const line = fc.record({
  isRow: fc.boolean(),
  said: fc.array(invalidation, { minLength: 1, maxLength: 3 }),
}).map(({ isRow, said }) => {
  const rows = said.map(({ name, key }) => formatCachesRow(name, key, 17));
  const runs = said.map(({ name, key }) => ({
    name,
    ms: 17,
    keys: [toInvalidatedKey(key)],
  }));
  return isRow
    ? { text: rows[0] as string, rows: rows.slice(0, 1) }
    : { text: formatRuns(runs), rows };
});
const log = fc.array(line, { maxLength: 20 });
type Log = typeof log extends fc.Arbitrary<infer Lines> ? Lines : never;

function textOf(lines: Log): string {
  return lines.map(({ text }) => text).join("\n");
}

function doEach(lines: Log, registry: CacheRegistry): void {
  for (const { rows } of lines) {
    for (const row of rows) readCachesRow(row, registry);
  }
}

t.test("with keys enough to spare it leaves what doing every row leaves", (t) => {
  fc.assert(fc.property(log, fc.nat(20), (all, cut) => {
    const ours = makeCaches();
    const coalescer = new Coalescer(ours.registry, 1_000);
    coalescer.apply(textOf(all.slice(0, cut)));
    coalescer.apply(textOf(all.slice(cut)));
    const plain = makeCaches();
    doEach(all, plain.registry);
    t.same(ours.kept(), plain.kept());
    t.same(ours.registry.stats, plain.registry.stats);
    return true;
  }));
  t.end();
});

t.test("beyond its bound it keeps nothing that doing every row drops", (t) => {
  fc.assert(
    fc.property(log, fc.integer({ min: 1, max: 3 }), (all, maxKeys) => {
      const ours = makeCaches();
      new Coalescer(ours.registry, maxKeys).apply(textOf(all));
      const plain = makeCaches();
      doEach(all, plain.registry);
      const dropped = plain.kept();
      return ours.registry.stats.applied === plain.registry.stats.applied &&
        ours.kept().every((cache, at) =>
          cache.every((isKept, key) => !isKept || dropped[at]?.[key])
        );
    }),
  );
  t.end();
});

t.test("in a page a key that is repeated is invalidated once", (t) => {
  const { registry, kept } = makeCaches();
  const coalescer = new Coalescer(registry, 10);
  const row = formatCachesRow("one", ["a"], 1);
  coalescer.apply([row, row, row].join("\n"));
  t.equal(kept()[0]?.[0], false);
  t.equal(registry.stats.applied, 3);
  const { registry: other, kept: left } = makeCaches();
  const runs = [
    '["one",1,["a"]]',
    '["one",1,["b","a",1,["a"]]]',
    '["one",1,[1]]',
  ];
  new Coalescer(other, 10).apply(runs.join("\n"));
  t.same(left()[0]?.slice(0, 2), [false, false]);
  t.equal(left()[0]?.[7], false, "a number is not the text of it");
  t.equal(other.stats.applied, 6);
  t.end();
});

t.test("a page does all that it says, whatever one before has done", (t) => {
  for (const first of [["a"], null]) {
    for (const maxKeys of [10, 1]) {
      const { registry, fill, kept } = makeCaches();
      const coalescer = new Coalescer(registry, maxKeys);
      const rows = [["b"], first].map((key) => formatCachesRow("one", key, 1));
      coalescer.apply(rows.join("\n"));
      fill();
      coalescer.apply(formatCachesRow("one", ["a"], 2));
      t.same(kept()[0]?.slice(0, 2), [false, true], `${first} ${maxKeys}`);
    }
  }
  t.end();
});

// Token 3 invalidates a page; token 19,000 the profile that it is made of, and
// the page. In between the page is loaded anew, of the old profile.
for (const maxKeys of [10, 1]) {
  t.test(`what is made of an entry that a later page names goes with it, beyond ${maxKeys}`, async (t) => {
    const registry = new CacheRegistry([], silentLogger);
    const store = { [CACHES]: registry };
    const options = { store, maxEntries: 100 };
    let version = 1;
    const profile = cachedFunction(
      { ...options, name: "profile" },
      (_id: string) => Promise.resolve(version),
    );
    const page = cachedFunction(
      { ...options, name: "page" },
      async (id: string) => `of ${await profile(id)}`,
    );
    t.equal(await page("x"), "of 1");
    version = 2;
    const row = (name: string, id: string) => formatCachesRow(name, [id], 1);
    const coalescer = new Coalescer(registry, maxKeys);
    coalescer.apply([row("page", "x"), row("page", "y")].join("\n"));
    t.equal(await page("x"), "of 1", "the position is not yet there");
    coalescer.apply([row("profile", "x"), row("page", "x")].join("\n"));
    t.equal(await page("x"), "of 2");
  });
}

t.test("a name that turns out to be a group's is one in later pages", (t) => {
  const { registry, fill, kept } = makeCaches();
  const coalescer = new Coalescer(registry, 10);
  const row = formatCachesRow("theirs", ["a"], 1);
  coalescer.apply(row);
  registry.judge(new Set(["theirs"]));
  fill();
  coalescer.apply(row);
  t.notOk(kept().flat().some((isKept) => isKept));
  t.end();
});

t.test("above so many keys the cache is cleared, once, and the others are not", (t) => {
  const { registry, kept, fill } = makeCaches();
  const coalescer = new Coalescer(registry, 3);
  const apply = (...keys: string[]) =>
    coalescer.apply(
      keys.map((key) => formatCachesRow("one", [key], 1)).join("\n"),
    );
  t.same(apply("x1", "x2", "x3", "x1"), []);
  t.ok(kept()[0]?.every((isKept) => isKept), "three keys do not clear it");
  t.same(apply("x1", "x2", "x3", "x4", "x5"), ["one"]);
  t.notOk(kept()[0]?.some((isKept) => isKept));
  t.ok(kept()[1]?.every((isKept) => isKept));
  fill();
  t.same(apply("x6"), [], "a page has keys of its own");
  t.ok(kept()[0]?.every((isKept) => isKept));
  t.equal(registry.stats.applied, 10);
  t.end();
});

t.test("what a page names is not served as old, be its cache cleared as well", async (t) => {
  let served = 0;
  await fc.assert(
    fc.asyncProperty(
      log,
      fc.integer({ min: 1, max: 8 }),
      fc.array(fc.boolean(), { minLength: 3, maxLength: 3 }),
      async (all, maxKeys, olds) => {
        const ours = makeCaches(olds);
        const plain = makeCaches(olds);
        await turn();
        new Coalescer(ours.registry, maxKeys).apply(textOf(all));
        doEach(all, plain.registry);
        const allowed = plain.served();
        served += ours.served().flat().filter((isServed) => isServed).length;
        return ours.served().every((cache, at) =>
          cache.every((isServed, key) => !isServed || allowed[at]?.[key])
        );
      },
    ),
  );
  t.ok(served > 100, "something is served");
});

t.test("names that nothing here has keep no page alive", (t) => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const { registry } = makeCaches();
  const coalescer = new Coalescer(registry, 10);
  const pages = (from: number) => {
    for (let page = from; page < from + 30; page += 1) {
      const name = `a name of nobody's ${page}`;
      const row = formatCachesRow(name, ["a"], 1);
      coalescer.apply(Array(10_000).fill(row).join("\n"));
    }
    registry.judge(new Set());
    collect();
    return memoryUsage().heapUsed;
  };
  const before = pages(0);
  const grown = pages(30) - before;
  t.ok(grown < 3e6, `${grown} bytes more`);
  t.end();
});

t.test("rows without a time, or of another shape, are done one by one", (t) => {
  const { registry, kept } = makeCaches();
  const coalescer = new Coalescer(registry, 1_000);
  coalescer.apply('["one",["b",1]]\n["one",["b",2]]\n["two",null]');
  t.same(kept()[0]?.slice(5, 7), [false, false]);
  t.notOk(kept()[1]?.some((isKept) => isKept));
  for (
    const line of ['{"a":1}', '["one",1]', '["one",1,[]]', '["one",1,[{}]]']
  ) {
    t.throws(() => coalescer.apply(line), {
      code: "LINE_INVALID",
      message: /^failed to parse row/,
    });
  }
  t.end();
});

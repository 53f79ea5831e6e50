// Synapse's cases of a dictionary cache, and its fence: whatever is loaded
// before an invalidation is never stored, in any order of loads and
// invalidations.

import fc from "fast-check";
import t from "tap";
import {
  DictionaryCache,
  type DictionaryCacheOptions,
} from "../../src/caches/dictionary_cache.ts";

type Values = Record<string, string>;

function start(options: DictionaryCacheOptions = {}) {
  const cache = new DictionaryCache<string, string, string>(options);
  const update = (key: string, values: Values, fetched?: string[]) =>
    cache.update(cache.generation, key, Object.entries(values), fetched);
  const get = (key: string, subKeys?: string[]) => {
    const known = subKeys === undefined
      ? cache.get(key)
      : cache.get(key, subKeys);
    return { ...known, values: Object.fromEntries(known.values) };
  };
  return { cache, update, get };
}

const FULL = { test: "one", test2: "two", test3: "three" };

t.test("A130 a key that is not known, and a full one", (t) => {
  const { cache, update, get } = start();
  t.match(get("room"), { isFull: false, values: {} });
  update("room", FULL);
  t.same(get("room"), { isFull: true, values: FULL, absent: new Set() });
  t.match(cache.stats, { entries: 3, hits: 1, misses: 1 });
  update("empty", {});
  t.match(get("empty"), { isFull: true, values: {} });
  t.match(cache.stats, { entries: 4 });
  t.end();
});

t.test("A131 A133 some sub-keys are served from the full one", (t) => {
  const { update, get } = start();
  update("room", FULL);
  t.same(get("room", ["test"]), {
    isFull: true,
    values: { test: "one" },
    absent: new Set(),
    missing: [],
  });
  const { values } = get("room", ["test2", "test3", "test2"]);
  t.same(values, { test2: "two", test3: "three" }, "only those asked for");
  t.end();
});

t.test("A132 a sub-key that the full one does not have", (t) => {
  const { cache, update, get } = start();
  update("room", FULL);
  const expected = { values: {}, absent: new Set(["no"]), missing: [] };
  t.match(get("room", ["no"]), expected);
  t.match(get("room", ["no"]), expected, "from what was noted by itself");
  t.equal(cache.stats.misses, 0);
  t.end();
});

t.test("A134 partial updates add up, and are not all of it", (t) => {
  const { update, get } = start();
  update("room", { a: "1" }, ["a", "x"]);
  update("room", { b: "2" }, ["b"]);
  t.same(get("room"), {
    isFull: false,
    values: { a: "1", b: "2" },
    absent: new Set(["x"]),
  });
  t.same(get("room", ["a", "x", "c"]), {
    isFull: false,
    values: { a: "1" },
    absent: new Set(["x"]),
    missing: ["c"],
  });
  update("room", {}, ["a"]);
  t.match(get("room", ["a"]), { values: {}, absent: new Set(["a"]) });
  t.end();
});

t.test("A135 the full one goes, what is read by itself stays", (t) => {
  const { cache, update, get } = start({ maxEntries: 10 });
  update("room", { "1": "a", "2": "b", "3": "c" });
  t.match(get("room", ["1"]), { values: { "1": "a" } });
  for (let other = 0; other < 20; other += 1) {
    update(`other${other}`, { x: "y" }, ["x"]);
    t.match(get("room", ["1"]), { values: { "1": "a" }, missing: [] });
  }
  t.match(get("room"), { isFull: false, values: { "1": "a" } });
  t.match(get("room", ["2"]), { missing: ["2"] });
  t.equal(cache.stats.entries, 10);
  t.end();
});

t.test("one that is larger than the whole cache is not kept", (t) => {
  const { cache, update, get } = start({ maxEntries: 2 });
  t.equal(update("room", FULL), true);
  t.match(get("room"), { isFull: false, values: {} });
  update("room", FULL, Object.keys(FULL));
  t.same(get("room").values, { test2: "two", test3: "three" });
  t.equal(cache.stats.entries, 2);
  t.end();
});

t.test("the only thing that is known may be replaced", (t) => {
  const { cache, update, get } = start();
  for (const value of ["1", "2"]) {
    update("some", { a: value }, ["a"]);
    t.match(get("some", ["a"]), { values: { a: value }, missing: [] });
    update("full", { a: value });
    t.match(get("full"), { isFull: true, values: { a: value } });
  }
  t.equal(cache.stats.entries, 2);
  for (const key of ["some", "full"]) cache.invalidate(key);
  t.equal(cache.stats.entries, 0, "what is invalidated takes no room");
  t.end();
});

t.test("what was loaded before an invalidation is not stored", (t) => {
  const { cache, update, get } = start();
  const before = cache.generation;
  cache.invalidate("room");
  t.equal(cache.update(before, "room", [["a", "old"]]), false);
  t.equal(cache.update(before, "other", [["a", "1"]]), true, "another's is");
  t.equal(update("room", { a: "new" }), true);
  t.match(get("room"), { isFull: true, values: { a: "new" } });
  const late = cache.generation;
  cache.clear();
  t.equal(cache.update(late, "room", [["a", "old"]], ["a"]), false);
  t.equal(cache.update(late, "other", [["a", "old"]], ["a"]), false);
  t.match(get("other"), { isFull: false, values: {} });
  t.equal(cache.stats.fenced, 3);
  t.equal(cache.stats.entries, 0);
  t.equal(cache.update(NaN, "room", []), false, "no generation at all");
  t.end();
});

t.test("maxInvalidations: beyond, earlier loads are not stored", (t) => {
  const { cache } = start({ maxInvalidations: 2 });
  const before = cache.generation;
  cache.invalidate("a");
  cache.invalidate("b");
  t.equal(cache.update(before, "x", []), true);
  cache.invalidate("c");
  t.equal(cache.update(before, "y", []), false, "it may be a's");
  t.throws(() => start({ maxInvalidations: 0 }), { code: "INVALID_ARGUMENT" });
  t.throws(() => start({ maxEntries: 0 }), { code: "INVALID_ARGUMENT" });
  t.end();
});

const KEYS = ["a", "b"];
const SUB_KEYS = ["x", "y", "z"];

const key = fc.constantFrom(...KEYS);
const some = fc.option(fc.subarray(SUB_KEYS, { minLength: 1 }), {
  nil: undefined,
});
const step = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      is: fc.constant("write" as const),
      key,
      subKey: fc.constantFrom(...SUB_KEYS),
      isDeleted: fc.boolean(),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ is: fc.constant("load" as const), key, some }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ is: fc.constant("store" as const), at: fc.nat(9) }),
  },
  fc.record({ is: fc.constant("clear" as const) }),
);

t.test("it never tells what isn't so, whatever is loaded meanwhile", (t) => {
  let told = 0;
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60, size: "max" }),
      fc.integer({ min: 1, max: 12 }),
      fc.integer({ min: 1, max: 4 }),
      (steps, maxEntries, maxInvalidations) => {
        const { cache } = start({ maxEntries, maxInvalidations });
        const truth = new Map(KEYS.map((k) => [k, new Map<string, string>()]));
        const loads: (() => void)[] = [];
        for (const [index, each] of steps.entries()) {
          if (each.is === "write") {
            const values = truth.get(each.key);
            if (each.isDeleted) values?.delete(each.subKey);
            else values?.set(each.subKey, `${index}`);
            cache.invalidate(each.key);
          } else if (each.is === "load") {
            const { generation } = cache;
            const { key, some: asked } = each;
            const loaded = [...(truth.get(key) ?? [])]
              .filter(([subKey]) => asked?.includes(subKey) ?? true);
            loads.push(() => void cache.update(generation, key, loaded, asked));
          } else if (each.is === "store") loads.splice(each.at, 1)[0]?.();
          else cache.clear();
          for (const k of KEYS) told += check(cache, k, truth.get(k));
          if (cache.stats.entries > maxEntries) return false;
        }
        return true;
      },
    ),
    { numRuns: 300 },
  );
  t.ok(told > 300, `${told} values were told`);
  t.end();
});

/** Compares all that is known with what is so; says how much it was. */
function check(
  cache: DictionaryCache<string, string, string>,
  key: string,
  truth: ReadonlyMap<string, string> = new Map(),
): number {
  const all = cache.get(key);
  if (all.isFull && all.values.size !== truth.size) throw wrong(key);
  const some = cache.get(key, SUB_KEYS);
  for (const { values, absent } of [all, some]) {
    for (const [subKey, value] of values) {
      if (truth.get(subKey) !== value) throw wrong(key);
    }
    for (const subKey of absent) if (truth.has(subKey)) throw wrong(key);
  }
  const seen = some.values.size + some.absent.size + some.missing.length;
  if (seen !== SUB_KEYS.length) throw wrong(key);
  if (all.isFull && some.missing.length > 0) throw wrong(key);
  return all.values.size + some.values.size;
}

const wrong = (key: string) => new TypeError(`${key} is not so`);

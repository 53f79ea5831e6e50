// A stampede: thousands ask for what is not there yet. It is loaded once; and
// once more, for those who ask after an invalidation.

import t from "tap";
import { CacheRegistry } from "../../src/caches/cache_registry.ts";
import { CACHES } from "../../src/caches/cached.ts";
import { cachedFunction, cachedListFunction } from "../../src/caches/mod.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import { deferred } from "../../src/runtime/waiting.ts";
import { freshlySeeded } from "../support/seeded.ts";

const CALLS = 10_000;
const KEYS = Array.from({ length: 100 }, (_, index) => `key ${index}`);

/** Loads that wait for `gate`, and how often each key was loaded. */
function slowLoads() {
  const caches = new CacheRegistry([], silentLogger);
  const gate = deferred<void>();
  const loads = new Map<string, number>();
  let version = 1;
  const note = (id: string) => {
    loads.set(id, (loads.get(id) ?? 0) + 1);
    return `${id} v${version}`;
  };
  const get = cachedFunction(
    { store: { [CACHES]: caches }, name: "get", maxEntries: 1_000 },
    async (id: string): Promise<string> => {
      const value = note(id);
      await gate.promise;
      return value;
    },
  );
  const list = cachedListFunction(
    get,
    async (ids: readonly string[]): Promise<ReadonlyMap<string, string>> => {
      const found = new Map(ids.map((id) => [id, note(id)]));
      await gate.promise;
      return found;
    },
  );
  const invalidate = (id: string) => {
    version += 1;
    caches.applyOne("get", id);
  };
  return { get, list, loads, gate, invalidate };
}

t.test("10,000 calls for a cold key make one load", async (t) => {
  const { get, loads, gate } = slowLoads();
  const calls = Array.from({ length: CALLS }, () => get("a"));
  gate.resolve();
  const values = new Set(await Promise.all(calls));
  t.same([...values], ["a v1"]);
  t.same([...loads], [["a", 1]]);
});

t.test("and one more, if it is invalidated in their midst", async (t) => {
  const { get, loads, gate, invalidate } = slowLoads();
  const before = Array.from({ length: CALLS / 2 }, () => get("a"));
  invalidate("a");
  const after = Array.from({ length: CALLS / 2 }, () => get("a"));
  gate.resolve();
  t.same([...new Set(await Promise.all(before))], ["a v1"]);
  t.same([...new Set(await Promise.all(after))], ["a v2"]);
  t.same([...loads], [["a", 2]]);
  t.equal(await get("a"), "a v2");
});

t.test("lists that overlap load each key once, one of them twice", async (t) => {
  const random = freshlySeeded(t);
  const { get, list, loads, gate, invalidate } = slowLoads();
  const some = () => KEYS.filter(() => random.below(3) === 0);
  const before = Array.from({ length: CALLS / 20 }, () => list(some()));
  const singles = KEYS.map((key) => get(key));
  invalidate("key 7");
  const asked = Array.from({ length: CALLS / 20 }, some);
  const after = asked.map((keys) => list(keys));
  const last = list(KEYS);
  gate.resolve();
  for (const found of await Promise.all(before)) {
    for (const [key, value] of found) {
      if (value !== `${key} v1`) t.fail(`${key}: ${value}`);
    }
  }
  for (const [index, found] of (await Promise.all(after)).entries()) {
    t.equal(found.size, asked[index]?.length);
    const value = found.get("key 7");
    if (value !== undefined) t.equal(value, "key 7 v2");
  }
  t.equal((await last).size, KEYS.length);
  t.equal((await Promise.all(singles))[7], "key 7 v1", "it asked before");
  for (const key of KEYS) t.equal(loads.get(key), key === "key 7" ? 2 : 1, key);
});

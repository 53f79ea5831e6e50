// Rows of the caches stream find their caches; whatever a row says, no entry
// that it could mean stays.

import t from "tap";
import { z } from "zod";
import { defineCacheGroup } from "../../src/caches/cache_groups.ts";
import { CacheRegistry } from "../../src/caches/cache_registry.ts";
import { onTelemetry } from "../../src/telemetry/mod.ts";
import { VirtualClock } from "../../src/testing/virtual_clock.ts";
import { keyedCache, turn } from "../support/caches.ts";
import { type Logger, silentLogger } from "../../src/runtime/logger.ts";
import { MAX_UNKNOWN_NAMES } from "../../src/runtime/limits.ts";
import type { KeyPart } from "../../src/streams/builtin_streams.ts";

const key = z.array(z.string());
const room = defineCacheGroup("room", key, ([id = ""]) => [
  ["state", [id]],
  ["members", [id, 1]],
  ["summary", null],
  ["elsewhere", [id]],
]);
const broken = defineCacheGroup("broken", key, () => {
  throw new RangeError("bad luck");
});
const nested = defineCacheGroup("nested", key, (id) => [["room", id]]);

const FILLED: readonly (readonly KeyPart[])[] = [
  ["a"],
  ["b"],
  ["a", 1],
  ["b", 1],
];

function makeRegistry(logger: Logger = silentLogger): {
  registry: CacheRegistry;
  entries: () => Record<string, string[]>;
} {
  const registry = new CacheRegistry([room, broken, nested], logger);
  const caches = ["state", "members", "summary"].map((name) =>
    keyedCache(name, { maxEntries: 100 })
  );
  for (const cache of caches) {
    registry.register(cache);
    for (const parts of FILLED) void cache.load(parts, () => Promise.resolve());
  }
  return {
    registry,
    entries: () =>
      Object.fromEntries(caches.map((cache) => [
        cache.name,
        FILLED.filter((parts) => cache.get(parts) !== undefined)
          .map((parts) => parts.join("")),
      ])),
  };
}

const ALL = ["a", "b", "a1", "b1"];
const NONE = { state: [], members: [], summary: [] };

t.test("CacheRegistry.apply() drops one entry, or a whole cache", (t) => {
  const { registry, entries } = makeRegistry();
  registry.apply("state", ["a"]);
  registry.apply("members", ["a", 1]);
  t.same(entries(), {
    state: ["b", "a1", "b1"],
    members: ["a", "b", "b1"],
    summary: ALL,
  });
  registry.apply("members", null);
  t.same(entries(), { state: ["b", "a1", "b1"], members: [], summary: ALL });
  t.match(registry.stats, { applied: 3, unknown: 0, flushes: 0 });
  t.end();
});

t.test("CacheRegistry.apply() counts and ignores names it doesn't know", (t) => {
  const { registry, entries } = makeRegistry();
  registry.apply("nowhere", ["a"]);
  registry.apply("nowhere", null);
  registry.applyOne("nowhere", "a");
  t.same(entries(), { state: ALL, members: ALL, summary: ALL });
  t.match(registry.stats, { applied: 3, unknown: 3, flushes: 0 });
  t.end();
});

t.test("CacheRegistry.apply() expands groups", (t) => {
  const { registry, entries } = makeRegistry();
  registry.apply("room", ["a"]);
  t.same(entries(), {
    state: ["b", "a1", "b1"],
    members: ["a", "b", "b1"],
    summary: [],
  });
  registry.applyOne("room", "b");
  t.same(entries(), { state: ["a1", "b1"], members: ["a", "b"], summary: [] });
  t.match(registry.stats, { applied: 2, unknown: 2, unexpandable: 0 });
  t.end();
});

t.test("CacheRegistry clears every cache for a group that it can't expand", (t) => {
  const rows: [string, KeyPart[] | null][] = [
    ["broken", ["a"]],
    ["room", null],
    ["room", [1]],
    // Which would invalidate nothing where only caches are looked for.
    ["nested", ["a"]],
  ];
  for (const [name, parts] of rows) {
    const messages: string[] = [];
    const { registry, entries } = makeRegistry((_level, message) =>
      void messages.push(message)
    );
    registry.apply(name, parts);
    t.same(entries(), NONE, JSON.stringify([name, parts]));
    t.match(registry.stats, { applied: 1, unexpandable: 1, flushes: 1 });
    t.equal(messages.length, 1);
  }
  t.end();
});

t.test("CacheRegistry clears what it can't judge, however many names there are", (t) => {
  const meet = (registry: CacheRegistry, run: string) => {
    for (let at = 0; at < MAX_UNKNOWN_NAMES; at += 1) {
      registry.apply(`${run} ${at}`, ["a"]);
    }
    registry.apply("theirs", ["a"]);
    registry.apply("theirs", ["b"]);
  };
  const judged: [string[], boolean][] = [
    [["theirs"], true],
    [["room", "another", "theirs"], true],
    // None that this process doesn't know, so none of the names can be one.
    [["room", "broken"], false],
    [[], false],
  ];
  for (const [groups, isCleared] of judged) {
    const { registry, entries } = makeRegistry();
    meet(registry, "one");
    t.ok(registry.hasUnjudged);
    registry.judge(new Set(groups));
    t.same(entries().state, isCleared ? [] : ALL, groups.join());
    t.equal(registry.stats.unexpandable > 0, isCleared);
    t.notOk(registry.hasUnjudged);
    // What was read once is known: these names are none of the groups.
    const { flushes } = registry.stats;
    for (let at = 0; at <= MAX_UNKNOWN_NAMES; at += 1) {
      registry.apply(`two ${at}`, ["a"]);
    }
    registry.judge(new Set(groups));
    t.equal(registry.stats.flushes, flushes);
    registry.judge(new Set([...groups, "later"]));
    t.equal(registry.stats.flushes, flushes, "none was waiting");
  }
  t.end();
});

t.test("after a clearing what is old is served only if it was right so far", async (t) => {
  const ways: [boolean, (registry: CacheRegistry) => void][] = [
    [true, (registry) => registry.apply("old", null)],
    [true, (registry) => registry.flush({ reason: "", mayServeOld: true })],
    [false, (registry) => registry.flush({ reason: "rewound" })],
    [false, (registry) => registry.apply("broken", ["x"])],
    [false, (registry) => registry.apply("leaf", ["x"])],
    [false, (registry) => {
      registry.apply("theirs", ["x"]);
      registry.judge(new Set(["theirs"]));
    }],
  ];
  for (const [index, [isServed, way]] of ways.entries()) {
    for (const isCleared of [false, true]) {
      const clock = new VirtualClock();
      const registry = new CacheRegistry([broken], silentLogger, clock);
      registry.create("leaf", {
        maxEntries: 9,
        onInvalidate: () => {
          throw new RangeError("bad luck");
        },
      });
      const limits = { maxEntries: 9, staleWhileRevalidateMs: 1_000 };
      const cache = registry.create("old", limits);
      void cache.load(["a"], () => Promise.resolve(1));
      await turn();
      if (isCleared) cache.clear();
      way(registry);
      t.equal(cache.get(["a"]), undefined);
      t.equal(cache.stale?.get(["a"]) !== undefined, isServed, `way ${index}`);
    }
  }
});

t.test("whoever is told that a cache was cleared finds it empty", (t) => {
  for (const staleWhileRevalidateMs of [undefined, 1_000]) {
    const { registry } = makeRegistry();
    const limits = { maxEntries: 9, staleWhileRevalidateMs };
    const cache = registry.create("told", limits);
    void cache.load(["a"], () => Promise.resolve(1));
    let found: unknown = "nothing was told";
    const stop = onTelemetry("headwater:cache-invalidate", () => {
      found = cache.get(["a"]);
    });
    registry.apply("told", null);
    stop();
    t.equal(found, undefined);
    cache.close();
  }
  t.end();
});

t.test("CacheRegistry.flush() clears every cache", (t) => {
  const { registry, entries } = makeRegistry();
  registry.flush();
  t.same(entries(), NONE);
  t.equal(registry.stats.flushes, 1);
  t.end();
});

t.test("CacheRegistry: an invalidation means every cache of its name", (t) => {
  const registry = new CacheRegistry([], silentLogger);
  const caches = [1, 2, 3].map(() => keyedCache("c", { maxEntries: 10 }));
  for (const cache of caches) {
    registry.register(cache);
    for (const parts of FILLED) void cache.load(parts, () => Promise.resolve());
  }
  registry.applyOne("c", "a");
  registry.apply("c", ["b", 1]);
  t.same(registry.cacheStats().map(({ entries }) => entries), [2, 2, 2]);
  t.end();
});

t.test("CacheRegistry: one name is one cache or one group", (t) => {
  const { registry } = makeRegistry();
  t.throws(() => registry.register(keyedCache("room", { maxEntries: 1 })), {
    code: "INVALID_ARGUMENT",
    message:
      'Cannot attach cache "room": a cache group has that name; rename one',
  });
  t.throws(() => new CacheRegistry([room, room], silentLogger), {
    code: "INVALID_ARGUMENT",
    message: /cache group "room" twice/,
  });
  t.end();
});

t.test("CacheRegistry.group() finds a group, or lists them", (t) => {
  const { registry } = makeRegistry();
  t.equal(registry.group("room"), room);
  t.throws(() => registry.group("rooom"), {
    code: "GROUP_UNKNOWN",
    message: /the groups are room, broken, nested;/,
  });
  t.throws(() => new CacheRegistry([], silentLogger).group("x"), {
    message: /the groups are none;/,
  });
  t.end();
});

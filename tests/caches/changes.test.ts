// What stores say has changed: asked across instances, and about what nobody
// can know.

import t from "tap";
import { z } from "zod";
import {
  defineStream,
  eventsStream,
  SlavedStore,
  WriterStore,
} from "../../mod.ts";
import { ChangeRegistry } from "../../src/caches/change_registry.ts";
import {
  CacheMemory,
  defineChangeCache,
  type PlainCacheOwner,
} from "../../src/caches/mod.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import { toPosition } from "../../src/tokens/position.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { openStore } from "../support/plain_caches.ts";

const edits = defineStream("edits", z.object({ pages: z.array(z.string()) }));
const pages = defineChangeCache("pages", {
  stream: edits,
  entities: ({ pages }) => pages,
});

function start(store?: PlainCacheOwner) {
  const heard: string[] = [];
  const logger = (level: string) => void heard.push(level);
  const registry = new ChangeRegistry([pages], logger, store);
  const changes = registry.changes(pages, (since) => toPosition(since));
  const mark = (instance: string, token: number, ...names: string[]) =>
    registry.mark("edits", instance, token, [{ pages: names }]);
  const at = (tokens: Record<string, number>) =>
    new Map(Object.entries(tokens));
  return { registry, changes, mark, at, heard };
}

t.test("tokens of several instances are not compared", (t) => {
  const { registry, changes, mark, at } = start();
  registry.restart("one", 10);
  registry.restart("two", 100);
  mark("one", 12, "a", "b");
  mark("two", 105, "b", "c");
  const quiet = at({ one: 11, two: 105, three: 7 });
  registry.restart("three", 7);
  t.same(
    [...changes.changedSince(["a", "z"], quiet)],
    ["a"],
    "none of three's",
  );
  registry.restart("three", 0);
  t.equal(changes.hasChanged("a", at({ one: 11, two: 110 })), true);
  t.equal(changes.hasChanged("a", at({ one: 12, two: 100 })), false);
  t.equal(changes.hasChanged("b", at({ one: 12, two: 100 })), true);
  t.same(changes.allChangedSince(at({ one: 10, two: 100 })), ["a", "b", "c"]);
  t.same([...changes.changedSince(["a", "c"], at({ one: 10, two: 105 }))], [
    "a",
  ]);
  t.same([...changes.changedSince(["a"], at({ one: 12, two: 105 }))], []);
  t.equal(changes.hasAnyChanged(at({ one: 12, two: 105 })), false);
  t.same(changes.lastChange("b"), at({ one: 12, two: 105 }));
  t.same(changes.lastChange("none"), at({}));
  t.same(changes.earliestKnown, at({ one: 10, two: 100, three: 0 }));
  t.match(changes.stats, { entities: 4, positions: 2 });
  t.end();
});

t.test("what nobody can know may have changed", (t) => {
  const { registry, changes, mark, at } = start();
  registry.restart("one", 10);
  registry.restart("two", 100);
  const unknown = [
    at({ one: 9, two: 100 }),
    at({ one: 10 }),
    at({ one: 10, two: 100, three: 1 }),
    { instance: "one", token: 10 },
  ];
  for (const since of unknown) {
    t.equal(changes.hasChanged("a", since), true);
    t.equal(changes.hasAnyChanged(since), true);
    t.equal(changes.allChangedSince(since), undefined);
    t.same([...changes.changedSince(["a"], since)], ["a"]);
  }
  mark("three", 7, "a");
  t.same(changes.earliestKnown.get("three"), 7, "its beginning was not told");
  t.throws(() => changes.hasChanged("a", "no position"), {
    code: "POSITION_INVALID",
  });
  t.end();
});

t.test("a log that was rewound leaves nothing known of either life", (t) => {
  const { registry, changes, mark, at } = start();
  registry.restart("one", 10);
  mark("one", 20, "a");
  registry.restart("one", 12, 20);
  mark("one", 15, "b");
  t.equal(changes.hasChanged("b", at({ one: 13 })), true);
  t.equal(changes.hasChanged("c", at({ one: 20 })), true, "of which life?");
  mark("one", 22, "d");
  t.same(changes.allChangedSince(at({ one: 21 })), ["d"]);
  registry.restart("one", 30, 22);
  t.same(changes.earliestKnown, at({ one: 30 }));
  registry.allChanged("one", 35);
  registry.allChanged("nobody", 35);
  t.same(changes.earliestKnown, at({ one: 35 }));
  t.end();
});

t.test("a row whose entities can't be found may have changed anything", (t) => {
  const { registry, changes, mark, at, heard } = start();
  registry.restart("one", 10);
  mark("one", 11, "a");
  registry.mark("edits", "one", 12, [{ pages: ["b"] }, { pages: null }]);
  t.equal(changes.hasChanged("z", at({ one: 11 })), true);
  t.equal(changes.hasChanged("z", at({ one: 12 })), false);
  t.same(heard, ["error"]);
  t.end();
});

t.test("what can't be declared", async (t) => {
  const entities = () => [];
  const stream = edits;
  t.throws(() => defineChangeCache("", { stream, entities }), {
    code: "INVALID_ARGUMENT",
  });
  for (const bound of ["maxPositions", "maxEntities"]) {
    const wrong = { stream, entities, [bound]: 0 };
    t.throws(() => defineChangeCache("x", wrong), { code: "INVALID_ARGUMENT" });
  }
  const before = { stream, entities, prefillTokens: -1 };
  t.throws(() => defineChangeCache("x", before), { code: "INVALID_ARGUMENT" });
  t.throws(() => new ChangeRegistry([pages, pages], silentLogger), {
    code: "INVALID_ARGUMENT",
  });
  const database = temporaryDatabase(t);
  const changeCaches = [pages];
  await t.rejects(WriterStore.open({ database, changeCaches }), {
    code: "STREAM_UNKNOWN",
  });
  const fleeting = defineStream("edits", edits.schema, { durable: false });
  await t.rejects(
    SlavedStore.connect({
      database,
      replicate: [],
      streams: [fleeting],
      changeCaches,
    }),
    { code: "INVALID_ARGUMENT" },
  );
  const writer = await WriterStore.open({ database });
  t.teardown(() => writer.close());
  t.throws(() => writer.changes(pages), { code: "INVALID_ARGUMENT" });
  const other = defineChangeCache("pages", {
    stream: eventsStream,
    entities: ([aggregate]) => [aggregate],
  });
  const { registry } = start();
  t.throws(() => registry.changes(other, (since) => toPosition(since)), {
    code: "INVALID_ARGUMENT",
  });
});

t.test("A store counts the changes of all instances as one, those that begin anew as well", (t) => {
  const cacheMemory = new CacheMemory("1MiB");
  const opened = openStore({ cacheMemory });
  const { registry, changes, mark, at } = start(opened.store);
  const stats = () => opened.stats("pages");
  t.match(stats(), { entries: 0, maxEntries: 100_000, bytes: 0 });
  registry.restart("one", 10);
  registry.restart("two", 100);
  mark("one", 12, "a", "b");
  mark("two", 105, "b");
  changes.hasChanged("a", at({ one: 11, two: 105 }));
  t.match(stats(), { entries: 3, maxEntries: 200_000, hits: 1, misses: 0 });
  t.match(cacheMemory.stats, { caches: 2, bytes: stats()?.bytes as number });
  registry.restart("one", 20);
  t.match(stats(), { entries: 1, hits: 1, invalidations: 2 });
  t.match(cacheMemory.stats, { caches: 2, bytes: stats()?.bytes as number });
  changes.hasChanged("a", at({ one: 11, two: 105 }));
  t.match(stats(), { hits: 1, misses: 1 });
  opened.registry.close();
  mark("one", 21, "c");
  mark("three", 1, "c");
  t.match(stats(), { entries: 0, hits: 1, misses: 1, invalidations: 3 });
  t.match(cacheMemory.stats, { caches: 0, bytes: 0 });
  for (const since of [{ one: 21, two: 105 }, { three: 1 }, {}]) {
    t.equal(changes.hasChanged("z", at(since)), true, "nobody knows");
  }
  t.equal(changes.allChangedSince(at({ one: 21, two: 105 })), undefined);
  t.end();
});

// What is told and measured of caches.

import { subscribe, unsubscribe } from "node:diagnostics_channel";
import t, { type Test } from "tap";
import { cached, SlavedStore, Store, WriterStore } from "../../mod.ts";
import { ResponseCache, TtlCache } from "../../src/caches/mod.ts";
import {
  onTelemetry,
  type TelemetryEventName,
  type TelemetryEvents,
} from "../../src/telemetry/mod.ts";
import { until } from "../support/conditions.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { manualClock } from "../support/manual_clock.ts";
import type { TestDatabase } from "../support/stores.ts";
import { installMeter } from "../support/telemetry.ts";

class Names extends Store<TestDatabase> {
  load: (id: string) => Promise<string> = (id) => Promise.resolve(`n${id}`);

  @cached({ maxEntries: 777, maxBytes: "1MiB" })
  getName(id: string): Promise<string> {
    return this.load(id);
  }

  @cached({ maxEntries: 2, keyOf: ({ id }: { id: string }) => id })
  getShared({ id }: { id: string }): Promise<string> {
    return this.load(id);
  }

  @cached({ maxEntries: 2, tree: true })
  getPair(a: string, b: number): Promise<string> {
    return this.load(`${a}${b}`);
  }
}

async function openBoth(t: Test) {
  const database = temporaryDatabase(t);
  const writer = await WriterStore.open<TestDatabase>({
    database,
    listen: "tcp://127.0.0.1:0",
  });
  t.teardown(() => writer.close());
  const connect = async () => {
    const slaved = await SlavedStore.connect<TestDatabase>({
      database,
      replicate: String(writer.url),
    });
    t.teardown(() => slaved.close());
    return slaved;
  };
  return { writer, connect };
}

/** Invalidates nothing that is there, or what it is told to. */
function commit(
  writer: WriterStore<TestDatabase>,
  work: (txn: Parameters<Parameters<typeof writer.transaction>[1]>[0]) => void,
) {
  return writer.transaction("w", (txn) => {
    work(txn);
    return Promise.resolve();
  });
}

t.test("A270 a cache's size and bound are measured with its name, 0 -> 1 of 777", async (t) => {
  const meter = installMeter(t);
  const { writer, connect } = await openBoth(t);
  const slaved = await connect();
  const stores = [
    [writer, { store: "master", side: "writer" }],
    [slaved, { store: "slaved", side: "reader" }],
  ] as const;
  for (const [store, common] of stores) {
    const names = store.attach(Names);
    const read = (name: string, more = {}) =>
      meter.value(`headwater.cache.${name}`, {
        ...common,
        cache: "getName",
        ...more,
      });
    t.equal(read("entries"), 0);
    t.equal(read("entries.max"), 777);
    t.equal(read("load.time", { quantile: "0.5" }), undefined);
    await names.getName("a");
    await names.getName("a");
    t.equal(read("entries"), 1);
    t.equal(read("hits"), 1);
    t.equal(read("misses"), 1);
    t.ok(Number(read("size")) > 0);
    t.equal(read("size.max"), 1024 * 1024);
    t.type(read("load.time", { quantile: "0.99" }), "number");
    t.equal(
      meter.value("headwater.cache.size", { ...common, cache: "getPair" }),
      undefined,
      "its bytes are not counted",
    );
    const listed = store.caches().find(({ name }) => name === "getName");
    t.match(listed, {
      name: "getName",
      entries: 1,
      bytes: read("size") as number,
      hits: 1,
      misses: 1,
      evictions: 0,
      invalidations: 0,
      loading: 0,
      loadMsP50: Number,
      loadMsP99: Number,
    });

    const twin = store.attach(Names);
    await twin.getName("a");
    t.equal(read("entries"), 2, "those of one name are counted as one");
  }
});

/** Reads that wait for one another, and may be old for long. */
class Busy extends Store<TestDatabase> {
  load: (id: number) => Promise<number> = (id) => Promise.resolve(id);

  @cached({
    maxEntries: 10,
    maxConcurrentLoads: 2,
    staleWhileRevalidateMs: 1e9,
    revalidateJitterMs: 1e9,
  })
  get(id: number): Promise<number> {
    return this.load(id);
  }
}

t.test("What becomes of entries and loads is measured, each by itself", async (t) => {
  const meter = installMeter(t);
  const { writer, connect } = await openBoth(t);
  const slaved = await connect();
  const busy = slaved.attach(Busy);
  const read = (name: string, cache = "get") =>
    meter.value(`headwater.cache.${name}`, { store: "slaved", cache });
  for (let id = 1; id <= 13; id += 1) await busy.get(id);
  for (let times = 0; times < 6; times += 1) await busy.get(13);
  t.equal(read("hits"), 6);
  t.equal(read("evictions"), 3);

  busy.load = () => Promise.reject(new TypeError());
  for (let id = 21; id <= 25; id += 1) await t.rejects(busy.get(id));
  t.equal(read("misses"), 18);
  t.equal(read("failures"), 5);
  t.equal(read("evictions"), 4, "the first of them took a place");
  t.equal(read("entries"), 9);

  const { promise, resolve } = Promise.withResolvers<number>();
  busy.load = () => promise;
  const late = busy.get(31);
  await slaved.waitFor(
    await commit(writer, (txn) => txn.invalidate("get", [31])),
  );
  const waiting = [41, 42, 43, 44].map((id) => busy.get(id));
  t.equal(read("loads.running"), 2);
  t.equal(read("loads.queued"), 3);
  resolve(0);
  await Promise.all([late, ...waiting]);
  t.equal(read("fenced"), 1);
  t.equal(read("invalidations"), 1);
  t.equal(read("evictions"), 7);
  t.equal(read("loads.running"), 0);

  const { token } = await commit(writer, (txn) => txn.invalidateAll("get"));
  const isThere = () => slaved.position.get("master") === token;
  await until("it is cleared", isThere);
  t.equal(read("invalidations"), 11);
  t.equal(read("stale.entries"), 10);
  for (const id of [13, 41]) await busy.get(id);
  t.equal(read("stale.hits"), 2);

  const clock = manualClock();
  const timed = { store: slaved, name: "timed", ttlMs: 5, clock };
  const answers = new TtlCache<number, number>(timed);
  for (const key of [1, 2, 3]) answers.set(key, key);
  clock.advance(5);
  t.equal(read("expirations", "timed"), 3);
});

t.test("Caches that are no method's are measured with the others", async (t) => {
  const meter = installMeter(t);
  const { writer, connect } = await openBoth(t);
  const slaved = await connect();
  const stores = [
    [writer, { store: "master", side: "writer" }],
    [slaved, { store: "slaved", side: "reader" }],
  ] as const;
  for (const [store, common] of stores) {
    const answers = new ResponseCache<string, string>({
      store,
      name: "answers",
      keepMs: 1e9,
      maxEntries: 7,
    });
    const read = (name: string, more = {}) =>
      meter.value(`headwater.cache.${name}`, {
        ...common,
        cache: "answers",
        ...more,
      });
    await answers.get("a", () => "b");
    await answers.get("a", () => "b");
    await t.rejects(answers.get("c", () => Promise.reject(new TypeError())));
    t.equal(read("entries"), 1);
    t.equal(read("entries.max"), 7);
    t.equal(read("hits"), 1);
    t.equal(read("misses"), 2);
    t.equal(read("failures"), 1);
    t.equal(read("size"), undefined, "its bytes are not counted");
    t.type(read("load.time", { quantile: "0.99" }), "number");
  }
});

t.test("A271 two stores of a process are measured apart", async (t) => {
  const meter = installMeter(t);
  const { connect } = await openBoth(t);
  const [one, two] = [await connect(), await connect()];
  const names = one.attach(Names);
  two.attach(Names);
  await names.getName("a");
  const entries = (store: string) =>
    meter.value("headwater.cache.entries", { store, cache: "getName" });
  t.equal(entries("slaved"), 1);
  t.equal(entries("slaved#2"), 0);
});

t.test("a listener hears of hits, misses, loads, fences, evictions and invalidations", async (t) => {
  const { writer, connect } = await openBoth(t);
  const slaved = await connect();
  const names = slaved.attach(Names);
  const heard: [name: string, event: unknown][] = [];
  const heardOfNode: unknown[] = [];
  const note = (event: unknown) => void heardOfNode.push(event);
  const listen = <Name extends TelemetryEventName>(name: Name) => {
    const stop = onTelemetry(name, (event: TelemetryEvents[Name]) => {
      heard.push([name.slice("headwater:cache-".length), event]);
    });
    subscribe(name, note);
    return () => {
      stop();
      unsubscribe(name, note);
    };
  };
  await names.getName("quiet");
  const stops = [
    listen("headwater:cache-hit"),
    listen("headwater:cache-miss"),
    listen("headwater:cache-load"),
    listen("headwater:cache-fenced"),
    listen("headwater:cache-evict"),
    listen("headwater:cache-invalidate"),
  ];
  t.teardown(() => stops.forEach((stop) => stop()));
  const take = () => {
    const events = heard.map(([, event]) => event);
    t.same(heardOfNode.splice(0), events, "they are Node's own channels");
    return heard.splice(0);
  };
  const entry = { cache: "getName", key: ["a"] };

  await names.getName("a");
  await names.getName("a");
  t.match(take(), [
    ["miss", entry],
    ["load", { ...entry, ms: Number, isLoaded: true }],
    ["hit", entry],
  ]);

  await slaved.waitFor(
    await commit(writer, (txn) => {
      txn.invalidate("getName", ["a"]);
      txn.invalidate("getName", ["not there"]);
      txn.invalidateAll("getName");
      txn.invalidateAll("getPair");
    }),
  );
  t.same(take(), [
    ["invalidate", { ...entry, entries: 1 }],
    ["invalidate", { cache: "getName", key: null, entries: 1 }],
  ], "those that were there");

  const held = Promise.withResolvers<string>();
  names.load = () => held.promise;
  const loading = names.getName("a");
  await slaved.waitFor(
    await commit(writer, (txn) => txn.invalidate("getName", ["a"])),
  );
  held.resolve("late");
  t.equal(await loading, "late");
  t.match(take(), [
    ["miss", entry],
    ["invalidate", entry],
    ["load", entry],
    ["fenced", entry],
  ]);

  names.load = () => Promise.reject(new Error("no"));
  await t.rejects(names.getName("a"), { message: "no" });
  t.match(take(), [["miss", entry], ["load", { ...entry, isLoaded: false }]]);

  names.load = (id) => Promise.resolve(id);
  for (const b of [1, 2, 3]) await names.getPair("x", b);
  const evictions = take().filter(([name]) => name === "evict");
  t.same(evictions, [["evict", { cache: "getPair", key: ["x", 1] }]]);
  await names.getPair("x", 3);
  await names.getShared({ id: "x" });
  await names.getShared({ id: "x" });
  t.match(take(), [
    ["hit", { cache: "getPair", key: ["x", 3] }],
    ["miss", { cache: "getShared", key: ["x"] }],
    ["load", { cache: "getShared", key: ["x"] }],
    ["hit", { cache: "getShared", key: ["x"] }],
  ], "whatever makes the key");
  await slaved.waitFor(
    await commit(writer, (txn) => txn.invalidatePrefix("getPair", ["x"])),
  );
  t.same(take(), [
    ["invalidate", { cache: "getPair", key: ["x"], entries: 2 }],
  ]);

  for (const stop of stops) stop();
  await names.getName("a");
  t.same(take(), [], "nobody listens");
});

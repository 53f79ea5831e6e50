// The auditor: what it finds, and what it must not take for a mistake.

import t, { type Test } from "tap";
import {
  cached,
  type SlavedStoreOptions,
  Store,
  type WriterStore,
} from "../../mod.ts";
import { CacheRegistry } from "../../src/caches/cache_registry.ts";
import { cachedList } from "../../src/caches/mod.ts";
import { openForReading } from "../../src/database/open_database.ts";
import { Tracer } from "../../src/replication/key_trace.ts";
import { ReaderPosition } from "../../src/replication/reader_position.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import { Auditor } from "../../src/slaved/auditor.ts";
import type { Audit, AuditDifference } from "../../src/slaved/mod.ts";
import { EntrySampler } from "../../src/slaved/entry_sampler.ts";
import { Reloader } from "../../src/slaved/reloader.ts";
import { onTelemetry } from "../../src/telemetry/mod.ts";
import { manualClock } from "../support/manual_clock.ts";
import { keyedCache } from "../support/caches.ts";
import { until } from "../support/conditions.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { seeded } from "../support/seeded.ts";
import { saveUser, type TestDatabase, Users } from "../support/stores.ts";
import { installMeter } from "../support/telemetry.ts";
import { connectUsers, openUsers } from "../support/users.ts";

async function open(t: Test, more: Partial<SlavedStoreOptions> = {}) {
  const database = temporaryDatabase(t);
  const writer = await openUsers(t, {
    database,
    listen: "tcp://127.0.0.1:0",
  });
  const slaved = await connectUsers(t, writer, { database, ...more });
  return { writer, slaved };
}

/** A writer's mistake: a change that no cache is told of. */
function forget(writer: WriterStore<TestDatabase>, id: string, name: string) {
  return writer.transaction("forget", async (txn) => {
    await txn.db.updateTable("users").set({ name }).where("id", "=", id)
      .execute();
    txn.invalidate("another", [id]);
  });
}

const user = (id: string, version = 1) => ({
  id,
  name: `v${version}`,
  version,
});
const FAST = { sampleRate: 1, budgetPerSecond: 10_000 };

/** Waits until so many more were checked. */
async function pass(audit: Audit, count: number): Promise<void> {
  const before = audit.stats.checked;
  await until("it has checked", () => audit.stats.checked >= before + count);
}

t.test("audit: a forgotten invalidation is found, with its trace", async (t) => {
  const meter = installMeter(t);
  const logged: [string, unknown][] = [];
  const { writer, slaved } = await open(t, {
    logger: (level, message, fields) =>
      void (level === "error" && logged.push([message, fields])),
  });
  const users = slaved.attach(Users);
  await slaved.waitFor(await saveUser(writer, user("1")));
  const saved = await saveUser(writer, user("2"));
  await slaved.waitFor(saved);
  for (const id of ["1", "2"]) await users.getUserById(id);
  const forgotten = await forget(writer, "1", "new");

  const told: unknown[] = [];
  t.teardown(
    onTelemetry("headwater:audit-difference", (event) => told.push(event)),
  );
  const differences: AuditDifference[] = [];
  const audit = slaved.audit({
    ...FAST,
    onDifference: (difference) => {
      differences.push(difference);
      return Promise.reject(new Error("a listener's mistake"));
    },
  });
  await until("it is found", () => audit.stats.differing > 0);
  await pass(audit, 20);
  t.match(audit.stats, { differing: 1, behind: 0, skipped: 0 }, "told once");
  t.ok(audit.stats.nines > 1, "of 20, one");
  t.equal(differences.length, 1);
  const [difference] = differences;
  t.match(difference, {
    cache: "getUserById",
    key: ["1"],
    cached: /^[0-9a-f]{16}$/,
    database: /^[0-9a-f]{16}$/,
    trace: {
      isCached: true,
      loaded: { position: new Map([["master", saved.token]]) },
      invalidated: { by: "key", token: saved.token - 1 },
    },
  });
  t.not(difference?.cached, difference?.database);
  t.ok(
    Number(difference?.position.get("master")) >= forgotten.token,
    "judged where the write is contained",
  );
  t.match(told, [{
    cache: "getUserById",
    key: ["1"],
    trace:
      /^getUserById\["1"\]: cached; loaded .* at master 3; last invalidated/,
  }]);
  t.match(logged, [
    ["cached entry differs from the database", { cache: "getUserById" }],
    ["onDifference failed", { error: "a listener's mistake" }],
  ]);
  t.notMatch(JSON.stringify(logged), "new", "values are not shown");
  const measured = (name: string) =>
    meter.value(`headwater.audit.${name}`, { store: "slaved" });
  t.equal(measured("differing"), 1);
  t.ok(Number(measured("checked")) >= 20);
  t.ok(Number(measured("nines")) > 1);

  t.throws(() => slaved.audit(), { code: "INVALID_ARGUMENT" });
  await audit.close();
  const shown = slaved.audit({
    ...FAST,
    showValues: true,
    onDifference: (each) => differences.push(each),
  });
  await until("it is found again", () => shown.stats.differing > 0);
  t.match(differences[1], { cached: user("1"), database: { name: "new" } });
});

t.test("audit: a right writer is never suspected, while it writes", async (t) => {
  const { writer, slaved } = await open(t);
  const users = slaved.attach(Users);
  const audit = slaved.audit({
    ...FAST,
    onDifference: ({ trace }) => t.fail(String(trace)),
  });
  let isDone = false;
  const writes = (async () => {
    for (let version = 1; !isDone; version += 1) {
      await saveUser(writer, user(String(version % 20), version));
      const { checked } = audit.stats;
      await until(
        "some are checked meanwhile",
        () => isDone || audit.stats.checked >= checked + 15,
      );
    }
  })();
  const reads = (async () => {
    while (!isDone) {
      for (let id = 0; id < 20; id += 1) await users.getUserById(String(id));
      await users.countUsers();
      await users.findUsers("v7", 0);
      await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  const { stats: none } = audit;
  await until("thousands are checked, some of them on their way", () => {
    const { checked, behind, differing } = audit.stats;
    return (checked >= 3_000 && behind > 0) || differing > none.differing;
  });
  isDone = true;
  await Promise.all([writes, reads]);
  t.equal(audit.stats.differing, 0);
  t.ok(audit.stats.nines >= Math.log10(3_000));
});

t.test("audit: a reader that is merely behind is not reported", async (t) => {
  const { writer, slaved } = await open(t, { pollIntervalMs: 0 });
  const users = slaved.attach(Users);
  await slaved.waitFor(await saveUser(writer, user("1")));
  await users.getUserById("1");
  // What has been sent is not applied before a handler is done.
  const [held, called] = [
    Promise.withResolvers<void>(),
    Promise.withResolvers<void>(),
  ];
  slaved.subscribe("caches", async () => {
    called.resolve();
    await held.promise;
    // Before the position moves: what was dropped is loaded anew by then.
    await users.getUserById("1");
  });
  await writer.transaction("hold", (txn) => {
    txn.invalidate("another", []);
    return Promise.resolve();
  });
  await called.promise;
  const changed = await saveUser(writer, user("1", 2));
  let audit = slaved.audit({ ...FAST, timeoutMs: 1 });
  await until("not judged in time", () => audit.stats.skipped > 0);
  t.match(audit.stats, { checked: 0, differing: 0, nines: 0 });
  await audit.close();

  audit = slaved.audit(FAST);
  await until("it waits for the token", () => slaved.stats.waiters > 0);
  t.match(await users.getUserById("1"), { version: 1 }, "still as it was");
  held.resolve();
  await slaved.waitFor(changed);
  await until("it is judged", () => audit.stats.checked > 0);
  t.match(audit.stats, { behind: 1, differing: 0 });

  await audit.close();
});

t.test("audit: what a method reads through other caches is read anew", async (t) => {
  class Lists extends Store<TestDatabase> {
    @cached({ maxEntries: 10 })
    async getName(id: string, _signal?: string): Promise<string | undefined> {
      return (await this.getNames([id])).get(id);
    }

    @cachedList({ of: "getName" })
    async getNames(
      ids: readonly string[],
    ): Promise<ReadonlyMap<string, string>> {
      const rows = await this.db.selectFrom("users").selectAll()
        .where("id", "in", [...ids]).execute();
      return new Map(rows.map(({ id, name }) => [id, name]));
    }

    @cached({ maxEntries: 10, uncachedArgs: [0, 2] })
    async getLabel(_txn: object | undefined, id: string): Promise<string> {
      return `user ${await this.getName(id)}`;
    }

    @cached({ maxEntries: 10 })
    now(): Promise<number> {
      return Promise.resolve(performance.now());
    }

    @cached({ maxEntries: 10, keyOf: (one: { id: string }) => one.id })
    async find(one: { id: string }): Promise<string> {
      return await Promise.resolve(one.id);
    }
  }
  const { writer, slaved } = await open(t);
  await slaved.waitFor(await saveUser(writer, user("1")));
  const lists = slaved.attach(Lists);
  await lists.now();
  await lists.getLabel(undefined, "1");
  await lists.find({ id: "1" });
  await forget(writer, "1", "new");
  const found = new Set<string>();
  const audit = slaved.audit({
    ...FAST,
    except: [lists.now],
    onDifference: ({ cache }) => found.add(cache),
  });
  await until("both are found", () => found.size >= 2);
  await audit.close();
  t.same([...found].sort(), ["getLabel", "getName"]);
  found.clear();
  const only = slaved.audit({
    ...FAST,
    caches: ["now"],
    onDifference: ({ cache }) => found.add(cache),
  });
  await until("it is found", () => only.stats.differing > 0);
  t.same([...found], ["now"]);
  t.equal(lists.now(), lists.now(), "the store's own caches are as they were");
  t.equal(slaved.caches().find(({ name }) => name === "find")?.entries, 1);
});

t.test("audit: options that can't be are refused, and it ends when told", async (t) => {
  const { slaved } = await open(t);
  const users = slaved.attach(Users);
  for (let id = 0; id < 50; id += 1) await users.getUserById(String(id));
  for (const wrong of [0, -1, NaN, Infinity]) {
    t.throws(() => slaved.audit({ budgetPerSecond: wrong }), {
      code: "INVALID_ARGUMENT",
    });
  }
  for (const wrong of [0, 1.1, NaN]) {
    t.throws(() => slaved.audit({ sampleRate: wrong }), {
      code: "INVALID_ARGUMENT",
    });
  }
  const getPlain = () => Promise.resolve();
  for (const which of ["caches", "except"] as const) {
    t.throws(() => slaved.audit({ [which]: ["getUserByID"] }), {
      code: "INVALID_ARGUMENT",
      message:
        /^Cannot audit cache "getUserByID": .*; the caches are getUserById/,
    });
    t.throws(() => slaved.audit({ [which]: [getPlain] }), {
      code: "NOT_CACHED",
      message: /^Cannot audit "getPlain": it has no cache/,
    });
  }
  const ending = new AbortController();
  const audit = slaved.audit({ ...FAST, signal: ending.signal });
  await pass(audit, 100);
  ending.abort();
  await audit.close();
  const { checked } = audit.stats;
  t.doesNotThrow(() => slaved.audit(FAST), "another one, which ends with it");
  await slaved.close();
  t.equal(audit.stats.checked, checked);
  t.throws(() => slaved.audit(), { code: "CLOSED" });
});

t.test("audit: every entry is chosen, in a small cache and in a large one", (t) => {
  const chance = seeded(5);
  const random = {
    fraction: () => chance.below(1_000) / 1_000,
    id: () => "",
    uuid: () => "",
  };
  const caches = [10, 50_000, 5].map((count) => {
    const cache = keyedCache(`c${count}`, { maxEntries: count });
    for (let key = 0; key < count; key += 1) {
      cache.load([key], () => Promise.resolve(key));
    }
    return cache;
  });
  const sampler = new EntrySampler(() => caches, random, 0.2);
  const seen = new Map(caches.map((cache) => [cache, new Set<unknown>()]));
  for (let turn = 0; turn < 100_000; turn += 1) {
    const entry = sampler.next();
    if (entry === undefined) continue;
    seen.get(entry.cache)?.add(entry.key[0]);
    // Others use entries at the front meanwhile.
    caches[1]?.get([49_000 + chance.below(1_000)]);
  }
  const [small, large, least] = caches.map((cache) => seen.get(cache)?.size);
  t.same([small, least], [10, 5]);
  t.ok(Number(large) > 20_000, `${large} of 50,000`);
  for (const cache of caches) cache.clear();
  t.equal(sampler.next(), undefined);
  t.end();
});

t.test("audit: no more reads than its budget, one at a time, on its clock", async (t) => {
  const clock = manualClock();
  const caches = new CacheRegistry([], silentLogger, clock);
  const position = new ReaderPosition(clock);
  const database = temporaryDatabase(t);
  await openUsers(t, { database });
  const engine = openForReading<TestDatabase>(database, {});
  t.teardown(() => engine.close());
  const held: PromiseWithResolvers<number>[] = [];
  let running = 0;
  let most = 0;
  class Slow extends Store<TestDatabase> {
    @cached({ maxEntries: 100 })
    async get(_id: number): Promise<number> {
      running += 1;
      most = Math.max(most, running);
      const load = Promise.withResolvers<number>();
      held.push(load);
      const value = await load.promise;
      running -= 1;
      return value;
    }
  }
  const store = new Slow({ db: engine.db, caches });
  for (let id = 0; id < 10; id += 1) {
    const loading = store.get(id);
    held.splice(0).forEach(({ resolve }) => resolve(1));
    await loading;
  }
  most = 0;
  const reloader = new Reloader(engine.db, caches, new Map([[store, Slow]]));
  const timers = clock.timers;
  const audit = new Auditor({
    caches,
    tracer: new Tracer(caches, () => position.shared, { clock }),
    position,
    session: engine.session,
    loaderOf: (cache) => reloader.loaderOf(cache),
    clock,
    random: { fraction: () => 0, id: () => "", uuid: () => "" },
    logger: silentLogger,
  }, { budgetPerSecond: 4, sampleRate: 1 });
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  for (let second = 0; second < 3; second += 1) {
    for (let quarter = 0; quarter < 4; quarter += 1) {
      clock.advance(250);
      await settle();
      t.equal(held.length, 1, "one in a quarter of a second");
      held.splice(0).forEach(({ resolve }) => resolve(1));
      await settle();
    }
    t.equal(audit.stats.checked, 4 * (second + 1));
  }
  clock.advance(250);
  await settle();
  for (let more = 0; more < 40; more += 1) clock.advance(250);
  await settle();
  t.equal(held.length, 1, "the next is not begun before this one has ended");
  held.splice(0).forEach(({ resolve }) => resolve(1));
  await settle();
  t.equal(held.length, 1, "one more is due");
  held.splice(0).forEach(({ resolve }) => resolve(1));
  await settle();
  t.equal(held.length, 0, "and what was missed is not made up for");
  clock.advance(250);
  await settle();
  t.equal(held.length, 1);
  t.equal(most, 1);
  const closing = audit.close();
  await closing;
  t.equal(clock.timers, timers, "nothing is left behind, though a read runs");
  for (let more = 0; more < 40; more += 1) clock.advance(250);
  await settle();
  t.equal(held.length, 1);
  t.equal(audit.stats.checked, 14);
});

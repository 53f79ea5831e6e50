// What a store knows of an entry of its caches: when it was loaded, and what
// has invalidated it last.

import t, { type Test } from "tap";
import { z } from "zod";
import {
  cached,
  defineCacheGroup,
  type SlavedStoreOptions,
  Store,
  WriterStore,
} from "../../mod.ts";
import { until } from "../support/conditions.ts";
import { temporaryDatabase } from "../support/folders.ts";
import type { TestDatabase } from "../support/stores.ts";
import { connectUsers, openUsers } from "../support/users.ts";

/** Reads of every kind of key. */
class Rooms extends Store<TestDatabase> {
  @cached({ maxEntries: 10 })
  async getRoom(id: string): Promise<string> {
    return await Promise.resolve(id);
  }

  @cached({ maxEntries: 10, tree: true })
  async getMember(room: string, user: number): Promise<string> {
    return await Promise.resolve(`${room}${user}`);
  }

  @cached({
    maxEntries: 10,
    onInvalidate: (key) => [["getMember", key]],
  })
  async getList(room: string): Promise<string> {
    return await Promise.resolve(room);
  }

  @cached({ maxEntries: 10, keyOf: ({ id }: { id: string }) => ["of", id] })
  async getOf({ id }: { id: string }): Promise<string> {
    return await Promise.resolve(id);
  }

  @cached({ maxEntries: 10, uncachedArgs: [1] })
  async getBig(_id: bigint, _signal?: AbortSignal): Promise<string> {
    return await Promise.resolve("");
  }
}

const both = defineCacheGroup("both", z.tuple([z.string()]), ([id]) => [
  ["getRoom", [id]],
  ["getList", [id]],
]);
const groups = [both];

async function open(t: Test, more: Partial<SlavedStoreOptions> = {}) {
  const database = temporaryDatabase(t);
  const listen = "tcp://127.0.0.1:0";
  const writer = await openUsers(t, { database, listen, groups });
  const slaved = await connectUsers(t, writer, {
    database,
    groups,
    minBackoffMs: 1,
    maxBackoffMs: 5,
    ...more,
  });
  const rooms = slaved.attach(Rooms);
  return { database, writer, slaved, rooms };
}

type Work = Parameters<WriterStore<TestDatabase>["transaction"]>[1];

t.test("why: by key, prefix, group, dependence, cache and reset", async (t) => {
  const { writer, slaved, rooms } = await open(t);
  const commit = async (work: (txn: Parameters<Work>[0]) => void) => {
    const { instance, token } = await writer.transaction("w", (txn) => {
      work(txn);
      return Promise.resolve();
    });
    await slaved.waitFor({ instance, token });
    return token;
  };
  const first = slaved.why(rooms.getRoom, ["a"]);
  t.match(first, {
    isCached: false,
    loaded: undefined,
    invalidated: {
      by: "flush",
      instance: "master",
      token: 1,
      reason: "first position of the instance",
    },
  });

  await rooms.getRoom("a");
  const loaded = slaved.why(rooms.getRoom, ["a"]);
  t.equal(loaded.isCached, true);
  t.same([...loaded.loaded?.position ?? []], [["master", 1]]);
  t.ok(Number(loaded.loaded?.atMs) >= Number(first.invalidated?.atMs));

  const byKey = await commit((txn) => {
    txn.invalidate("getRoom", ["a"]);
    txn.invalidate("getRoom", ["b"]);
  });
  await commit((txn) => txn.invalidate("getRoom", ["c"]));
  const gone = slaved.why(rooms.getRoom, ["a"]);
  t.match(gone, {
    cache: "getRoom",
    key: ["a"],
    isCached: false,
    loaded: { position: Map },
    invalidated: {
      by: "key",
      instance: "master",
      token: byKey,
      after: undefined,
      row: ["getRoom", ["a"], Number],
      via: [],
    },
  });
  t.match(
    String(gone),
    /^getRoom\["a"\]: not cached; loaded \d{4}-.*Z at master 1; last invalidated \d{4}-.*Z by its key, in token 2 of master, row \["getRoom",\["a"\],\d+\]$/,
  );
  t.match(slaved.why(Rooms.prototype.getRoom, ["b"]).invalidated, {
    token: byKey,
  }, "of the class's method, as txn.invalidate takes it");
  t.match(slaved.why("getRoom", ["d"]).invalidated, { by: "flush" });

  const byPrefix = await commit((txn) =>
    txn.invalidatePrefix("getMember", ["a"])
  );
  t.match(slaved.why(rooms.getMember, ["a", 1]).invalidated, {
    by: "prefix",
    token: byPrefix,
  });
  t.match(slaved.why(rooms.getMember, ["b", 1]).invalidated, { by: "flush" });

  const byGroup = await commit((txn) => txn.invalidateGroup(both, ["a"]));
  t.match(slaved.why(rooms.getRoom, ["a"]).invalidated, {
    by: "group",
    token: byGroup,
    row: ["both", ["a"], Number],
    via: [["both", ["a"]]],
  });
  const dependent = slaved.why(rooms.getMember, ["a", 1]);
  t.match(dependent.invalidated, {
    by: "dependent",
    token: byGroup,
    via: [["both", ["a"]], ["getList", ["a"]]],
  });
  t.match(
    String(dependent),
    'by what it depends on, by way of both["a"], getList["a"], in token',
  );

  const byCache = await commit((txn) => txn.invalidateAll("getRoom"));
  t.match(slaved.why(rooms.getRoom, ["z"]).invalidated, {
    by: "cache",
    token: byCache,
    row: ["getRoom", null, Number],
  });
  const big = await commit((txn) => txn.invalidate(rooms.getBig, [5n]));
  t.match(slaved.why(rooms.getBig, [5n]), {
    key: ["5"],
    invalidated: { by: "key", token: big },
  });

  const own = writer.attach(Rooms);
  await own.getRoom("a");
  t.match(writer.why(own.getRoom, ["a"]), {
    isCached: true,
    loaded: { position: new Map([["master", big]]) },
    invalidated: { by: "cache", token: byCache, instance: "master" },
  });
});

t.test("why: a key that keyOf makes, by the arguments or as it is", async (t) => {
  const { writer, slaved, rooms } = await open(t);
  await rooms.getOf({ id: "a" });
  t.equal(slaved.why(rooms.getOf, [{ id: "a" }]).isCached, true);
  t.equal(slaved.why(rooms.getOf, [{ id: "b" }]).isCached, false);
  const { instance, token } = await writer.transaction("w", (txn) => {
    txn.invalidate(rooms.getOf, [{ id: "a" }]);
    return Promise.resolve();
  });
  await slaved.waitFor({ instance, token });
  const traces = [
    slaved.why(rooms.getOf, [{ id: "a" }]),
    slaved.why("getOf", ["of", "a"]),
  ];
  for (const trace of traces) {
    t.match(trace, {
      key: ["of", "a"],
      isCached: false,
      loaded: { position: Map },
      invalidated: { by: "key", token, row: ["getOf", ["of", "a"], Number] },
    });
  }
});

t.test("why: what a catch-up applied at once says so", async (t) => {
  const { database, writer, slaved, rooms } = await open(t, {
    maxCatchUpKeys: 2,
  });
  const url = String(writer.url);
  await rooms.getRoom("a");
  await writer.close();
  await until("it is gone", () => slaved.stats.openConnections === 0);
  const quiet = await WriterStore.open<TestDatabase>({ database, groups });
  const invalidate = (to: typeof writer, cache: string, id: string) =>
    to.transaction("w", (txn) => {
      txn.invalidate(cache, [id]);
      return Promise.resolve();
    });
  await invalidate(quiet, "getRoom", "a");
  await invalidate(quiet, "getBig", "1");
  await invalidate(quiet, "getBig", "2");
  const last = await invalidate(quiet, "getBig", "3");
  await quiet.close();
  const again = await WriterStore.open<TestDatabase>({
    database,
    listen: url,
    groups,
  });
  t.teardown(() => again.close());
  await slaved.waitFor(last);
  const trace = slaved.why(rooms.getRoom, ["a"]);
  t.match(trace, {
    isCached: false,
    invalidated: {
      by: "key",
      token: last.token,
      after: last.token - 4,
      instance: "master",
      row: ["getRoom", ["a"], Number],
    },
  });
  t.match(
    String(trace),
    `in a catch-up to token ${last.token} of master (after ${last.token - 4})`,
  );
  t.match(slaved.why(rooms.getBig, [9n]).invalidated, {
    by: "cache",
    token: last.token,
    reason: "so many of its keys that it was cleared",
  });
});

t.test("why: what is forgotten is not guessed", async (t) => {
  const { writer, slaved, rooms } = await open(t, {
    maxJournalTransactions: 2,
    maxJournalLoads: 2,
  });
  const invalidate = async (id: string) =>
    await slaved.waitFor(
      await writer.transaction("w", (txn) => {
        txn.invalidate("getRoom", [id]);
        return Promise.resolve();
      }),
    );
  for (const id of ["a", "b", "c"]) {
    await rooms.getRoom(id);
    await invalidate(id);
  }
  const trace = slaved.why(rooms.getRoom, ["a"]);
  t.match(trace, { loaded: undefined, invalidated: undefined });
  t.match(String(trace), "its load is not remembered; not invalidated since");
  for (const id of ["b", "c"]) {
    t.match(slaved.why(rooms.getRoom, [id]), {
      loaded: { atMs: Number },
      invalidated: { by: "key" },
    });
  }
  t.throws(() => slaved.why("nothing", ["a"]), { code: "INVALID_ARGUMENT" });
  const getPlain = () => Promise.resolve();
  t.throws(() => slaved.why(getPlain, []), {
    code: "NOT_CACHED",
    message: 'Cannot tell what became of an entry of "getPlain": ' +
      "it has no cache; decorate it with @cached",
  });
  t.throws(() => slaved.why("getRoom", [NaN]), { code: "KEY_INVALID" });
});

// Callers of one load who may give up: each for themselves, and the load when
// nobody is left.

import { getEventListeners } from "node:events";
import t from "tap";
import { cached } from "../../src/caches/cached.ts";
import { cachedList } from "../../src/caches/cached_list.ts";
import { attachStore, HeldStore, settled } from "../support/attached.ts";

class Rooms extends HeldStore {
  /** The signals that loads were given. */
  readonly signals: (AbortSignal | undefined)[] = [];
  isHeedful = false;

  @cached({ maxEntries: 10, uncachedArgs: [1] })
  getRoom(id: string, signal?: AbortSignal): Promise<string> {
    return this.#load(id, signal);
  }

  /** Finds what a test ends, in upper case. */
  @cachedList({ of: "getRoom" })
  async getRooms(
    ids: readonly string[],
    _signal?: AbortSignal,
  ): Promise<ReadonlyMap<string, string>> {
    await this.begin(`list ${ids}`);
    return new Map(ids.map((id) => [id, id.toUpperCase()]));
  }

  @cached({ maxEntries: 10, uncachedArgs: [0], tree: true, maxBytes: 10_000 })
  getMember(signal: AbortSignal | null, room: string, user: string) {
    return this.#load(`${room} ${user}`, signal ?? undefined);
  }

  @cached({ maxEntries: 10, keyOf: (room: { id: string }) => room.id })
  getOf(room: { id: string }, signal?: AbortSignal): Promise<string> {
    return this.#load(room.id, signal);
  }

  async #load(id: string, signal?: AbortSignal): Promise<string> {
    this.signals.push(signal);
    const load = this.begin(id);
    if (!this.isHeedful || signal === undefined) return await load;
    return await new Promise((resolve, reject) => {
      void load.then(resolve);
      signal.addEventListener("abort", () => reject(signal.reason));
    });
  }
}

const reason = new RangeError("enough");
const listeners = (signal: AbortSignal) =>
  getEventListeners(signal, "abort").length;

const METHODS: readonly (readonly [
  string,
  (store: Rooms, signal?: AbortSignal) => Promise<string>,
])[] = [
  ["the last argument", (store, signal) => store.getRoom("a", signal)],
  [
    "the first argument, of a tree",
    (store, signal) => store.getMember(signal ?? null, "r", "a"),
  ],
  ["beside keyOf", (store, signal) => store.getOf({ id: "a" }, signal)],
];

for (const [where, read] of METHODS) {
  t.test(`signal as ${where}: who aborts waits no more, others do`, async (t) => {
    const { store } = attachStore(Rooms);
    const [first, second] = [new AbortController(), new AbortController()];
    const calls = [read(store, first.signal), read(store, second.signal)];
    const gaveUp = t.rejects(calls[0] as Promise<string>, {
      message: "enough",
    });
    first.abort(reason);
    await gaveUp;
    t.equal(store.signals[0]?.aborted, false, "the load goes on");
    const late = read(store, new AbortController().signal);
    t.equal(store.loads.length, 1, "and is joined");
    store.end("A");
    t.same(await Promise.all([calls[1], late]), ["A", "A"]);
    t.equal(await read(store), "A");
    t.equal(store.loads.length, 1, "its result is kept");
  });

  t.test(`signal as ${where}: the load is aborted when nobody waits`, async (t) => {
    const { store, caches } = attachStore(Rooms);
    const [first, second] = [new AbortController(), new AbortController()];
    const calls = [read(store, first.signal), read(store, second.signal)];
    const gaveUp = calls.map((call) => t.rejects(call, { message: "enough" }));
    first.abort(reason);
    t.equal(store.signals[0]?.aborted, false);
    second.abort(reason);
    t.equal(store.signals[0]?.aborted, true);
    t.equal(store.signals[0]?.reason, reason);
    const late = read(store, new AbortController().signal);
    t.equal(store.loads.length, 2, "an aborted load is not joined");
    store.end("old", 0);
    store.end("new", 1);
    await Promise.all(gaveUp);
    t.equal(await late, "new");
    t.equal(await read(store), "new", "nor kept");
    const fenced = caches.cacheStats().map((each) => each.fenced);
    t.same(fenced.filter((count) => count > 0), [1]);
  });

  t.test(`signal as ${where}: a caller without one keeps the load`, async (t) => {
    for (const order of ["before", "after"]) {
      const { store } = attachStore(Rooms);
      const controller = new AbortController();
      const patient = order === "before" ? read(store) : undefined;
      const hasty = read(store, controller.signal);
      const call = patient ?? read(store);
      const gaveUp = t.rejects(hasty, { message: "enough" });
      controller.abort(reason);
      await gaveUp;
      t.not(store.signals[0]?.aborted, true, order);
      store.end("A");
      t.equal(await call, "A");
      t.equal(store.loads.length, 1);
    }
  });
}

t.test("signal: one that is aborted already loads nothing, and serves nothing", async (t) => {
  const { store, stats } = attachStore(Rooms);
  const signal = AbortSignal.abort(reason);
  await t.rejects(store.getRoom("a", signal), { message: "enough" });
  t.same(store.texts, []);
  void store.getRoom("a");
  store.end("A");
  await settled();
  await t.rejects(store.getRoom("a", signal), { message: "enough" });
  t.match(stats("getRoom"), { hits: 0, misses: 1 });
});

t.test("signal: none is listened to once the load has ended, or who waited has gone", async (t) => {
  const { store } = attachStore(Rooms);
  const long = new AbortController();
  const hasty = new AbortController();
  for (const end of ["resolves", "rejects"]) {
    const calls = [1, 2, 3].map(() => store.getRoom(end, long.signal));
    t.equal(listeners(long.signal), 3);
    if (end === "resolves") store.end("A");
    else store.loads.at(-1)?.[1].reject(reason);
    await Promise.allSettled(calls);
    t.equal(listeners(long.signal), 0, end);
  }
  t.equal(await store.getRoom("resolves", long.signal), "A");
  t.equal(listeners(long.signal), 0, "a hit does not listen");
  const gone = store.getRoom("b", hasty.signal);
  const stays = store.getRoom("b", long.signal);
  hasty.abort(reason);
  await t.rejects(gone);
  t.equal(listeners(hasty.signal), 0);
  store.end("B");
  t.equal(await stays, "B");
});

t.test("signal: after the load's end it says nothing any more", async (t) => {
  const { store } = attachStore(Rooms);
  const controller = new AbortController();
  const call = store.getRoom("a", controller.signal);
  store.end("A");
  t.equal(await call, "A");
  controller.abort(reason);
  t.equal(store.signals[0]?.aborted, false);
  t.equal(await store.getRoom("a"), "A", "the entry stays");
});

t.test("signal: a load that heeds it fails for nobody else", async (t) => {
  const { store, stats } = attachStore(Rooms);
  store.isHeedful = true;
  const controller = new AbortController();
  const call = store.getRoom("a", controller.signal);
  const gaveUp = t.rejects(call, { message: "enough" });
  controller.abort(reason);
  const late = store.getRoom("a", new AbortController().signal);
  await gaveUp;
  store.end("A");
  t.equal(await late, "A");
  await settled();
  t.match(stats("getRoom"), { entries: 1, loading: 0, failures: 1 });
});

t.test("signal: an invalidated load has its own callers, and its own end", async (t) => {
  const { store, caches } = attachStore(Rooms);
  const [early, late] = [new AbortController(), new AbortController()];
  const before = store.getRoom("a", early.signal);
  caches.apply("getRoom", ["a"]);
  const after = store.getRoom("a", late.signal);
  const gaveUp = t.rejects(before, { message: "enough" });
  early.abort(reason);
  await gaveUp;
  t.same(store.signals.map((signal) => signal?.aborted), [true, false]);
  t.equal(store.loads.length, 2);
  store.end("new", 1);
  t.equal(await after, "new");
  t.equal(await store.getRoom("a"), "new");
});

t.test("signal: a thousand callers, one after the other, leave one by one", async (t) => {
  const { store } = attachStore(Rooms);
  const controllers = Array.from(
    { length: 1_000 },
    () => new AbortController(),
  );
  const calls = controllers.map(({ signal }) => store.getRoom("a", signal));
  const ends = Promise.allSettled(calls);
  for (const controller of controllers.slice(1)) controller.abort(reason);
  t.equal(store.signals[0]?.aborted, false);
  controllers[0]?.abort(reason);
  t.equal(store.signals[0]?.aborted, true);
  t.ok((await ends).every(({ status }) => status === "rejected"));
  t.equal(store.loads.length, 1);
});

t.test("signal: who waits for a list's load may leave it, and it goes on", async (t) => {
  const { store } = attachStore(Rooms);
  const list = store.getRooms(["a"]);
  const controller = new AbortController();
  const single = store.getRoom("a", controller.signal);
  const gaveUp = t.rejects(single, { message: "enough" });
  controller.abort(reason);
  await gaveUp;
  t.equal(listeners(controller.signal), 0);
  store.end("");
  t.equal((await list).get("a"), "A");
  t.equal(await store.getRoom("a"), "A");
  t.same(store.texts, ["list a"]);
});

t.test("signal: a list that has joined a caller's load keeps it", async (t) => {
  for (const isPatient of [true, false]) {
    const { store } = attachStore(Rooms);
    store.isHeedful = true;
    const [first, second] = [new AbortController(), new AbortController()];
    const single = store.getRoom("a", first.signal);
    const list = store.getRooms(
      ["a"],
      isPatient ? undefined : second.signal,
    );
    const gaveUp = t.rejects(single, { message: "enough" });
    first.abort(reason);
    await gaveUp;
    t.equal(store.signals[0]?.aborted, false);
    if (isPatient) {
      store.end("A");
      t.equal((await list).get("a"), "A");
      continue;
    }
    const left = t.rejects(list, { message: "enough" });
    second.abort(reason);
    await left;
    t.equal(store.signals[0]?.aborted, true, "now nobody waits");
  }
});

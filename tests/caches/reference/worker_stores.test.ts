// Acceptance cases of worker stores whose caches follow the writer, by number.
// A030, A033, A035, A036, A040 and A041 are in
// tests/protocol/reference/caches.test.ts; what has no equal here, and why, is
// in README.md.

import t, { type Test } from "tap";
import {
  cached,
  SlavedStore,
  Store,
  WriterStore,
  type WriterTransaction,
} from "../../../mod.ts";
import { cachedFunction, cachedList } from "../../../src/caches/mod.ts";
import { temporaryDatabase } from "../../support/folders.ts";

interface Database {
  events: { id: string; room: string; body: string; redacted: number };
  receipts: { user: string; room: string; event: string };
  actions: { room: string; user: string; thread: string; count: number };
}

class Events extends Store<Database> {
  /** What was asked of the database. */
  readonly queries: string[] = [];

  @cached({ maxEntries: 100, negative: false })
  async getEvent(id: string): Promise<string | undefined> {
    return (await this.#loadEvents([id])).get(id);
  }

  @cachedList({ of: "getEvent" })
  async getEvents(
    ids: readonly string[],
  ): Promise<ReadonlyMap<string, string>> {
    return await this.#loadEvents(ids);
  }

  async #loadEvents(ids: readonly string[]): Promise<Map<string, string>> {
    this.queries.push(`events ${ids}`);
    const rows = await this.db.selectFrom("events").selectAll()
      .where("id", "in", [...ids]).execute();
    return new Map(
      rows.map(({ id, body, redacted }) => [id, redacted ? "redacted" : body]),
    );
  }

  @cached({ maxEntries: 100, tree: true })
  async hasSeen(room: string, id: string): Promise<boolean> {
    this.queries.push(`seen ${room} ${id}`);
    const row = await this.db.selectFrom("events").select("id")
      .where("room", "=", room).where("id", "=", id).executeTakeFirst();
    return row !== undefined;
  }

  @cached({ maxEntries: 100, tree: true })
  async countUnread(room: string, user: string, thread: string) {
    const row = await this.db.selectFrom("actions").select("count")
      .where("room", "=", room).where("user", "=", user)
      .where("thread", "=", thread).executeTakeFirst();
    return row?.count ?? 0;
  }

  @cached({ maxEntries: 100 })
  async getReceipt(user: string, room: string): Promise<string | undefined> {
    const row = await this.db.selectFrom("receipts").select("event")
      .where("user", "=", user).where("room", "=", room).executeTakeFirst();
    return row?.event;
  }
}

async function open(t: Test) {
  const database = temporaryDatabase(t);
  const writer = await WriterStore.open<Database>({
    database,
    listen: "tcp://127.0.0.1:0",
    synchronous: "normal",
  });
  t.teardown(() => writer.close());
  await writer.transaction("tables", async ({ db: { schema } }) => {
    await schema.createTable("events").addColumn("id", "text")
      .addColumn("room", "text").addColumn("body", "text")
      .addColumn("redacted", "integer").execute();
    await schema.createTable("receipts").addColumn("user", "text")
      .addColumn("room", "text").addColumn("event", "text").execute();
    await schema.createTable("actions").addColumn("room", "text")
      .addColumn("user", "text").addColumn("thread", "text")
      .addColumn("count", "integer").execute();
  });
  const slaved = await SlavedStore.connect<Database>({
    database,
    replicate: String(writer.url),
    pollIntervalMs: 0,
  });
  t.teardown(() => slaved.close());
  const own = writer.attach(Events);
  const worker = slaved.attach(Events);
  /** Writes, and waits until the worker has heard of it. */
  const write = async (
    run: (txn: WriterTransaction<Database>) => Promise<void>,
  ) => await slaved.waitFor(await writer.transaction("write", run));
  const persist = (id: string, body: string) =>
    write(async (txn) => {
      const event = { id, room: "!r", body, redacted: 0 };
      await txn.db.insertInto("events").values(event).execute();
      txn.invalidate(own.getEvent, [id]);
      txn.invalidate(own.hasSeen, ["!r", id]);
    });
  return { writer, slaved, own, worker, write, persist };
}

t.test("worker stores follow the writer", async (t) => {
  const { writer, slaved, own, worker, write, persist } = await open(t);

  for (const how of ["A031: a redaction", "A032: a backfilled redaction"]) {
    await t.test(`${how} is seen by who had the event cached`, async (t) => {
      const id = `$${how.slice(0, 4)}`;
      await persist(id, "hello");
      t.equal(await worker.getEvent(id), "hello");
      t.equal(await worker.getEvent(id), "hello");
      await write(async (txn) => {
        await txn.db.updateTable("events").set({ redacted: 1 })
          .where("id", "=", id).execute();
        txn.invalidate(own.getEvent, [id]);
      });
      t.equal(await worker.getEvent(id), "redacted");
    });
  }

  await t.test("A034: counts of a user are seen as events arrive, by a prefix", async (t) => {
    const read = () => worker.countUnread("!r", "@bob", "main");
    t.equal(await read(), 0);
    for (const count of [1, 2]) {
      await write(async (txn) => {
        await txn.db.deleteFrom("actions").execute();
        const action = { room: "!r", user: "@bob", thread: "main", count };
        await txn.db.insertInto("actions").values(action).execute();
        txn.invalidatePrefix(own.countUnread, ["!r"]);
      });
      t.equal(await read(), count);
    }
  });

  for (const what of ["A037: account data", "A038: receipts"]) {
    await t.test(`${what}: reads of the worker follow`, async (t) => {
      const room = what.slice(0, 4);
      t.equal(await worker.getReceipt("@bob", room), undefined);
      await write(async (txn) => {
        const receipt = { user: "@bob", room, event: "$1" };
        await txn.db.insertInto("receipts").values(receipt).execute();
        txn.invalidate(own.getReceipt, ["@bob", room]);
      });
      t.equal(await worker.getReceipt("@bob", room), "$1");
    });
  }

  await t.test("A039: a function that is no store's method is invalidated, too", async (t) => {
    const sides = [own, worker].map((store) => {
      let calls = 0;
      return cachedFunction(
        { store, name: "module.current_value", maxEntries: 1 },
        (_key: string) => Promise.resolve(calls += 1),
      );
    });
    const read = () => Promise.all(sides.map((each) => each("key")));
    t.same([await read(), await read()], [[1, 1], [1, 1]]);
    await write((txn) => {
      txn.invalidate(sides[0] as (key: string) => Promise<number>, ["key"]);
      return Promise.resolve();
    });
    t.same(await read(), [2, 2]);
  });

  await t.test("A285: what was not seen is, once persisted; and by its room's prefix", async (t) => {
    const read = (id: string) => worker.hasSeen("!r", id);
    t.same([await read("$1"), await read("$2")], [false, false]);
    await persist("$1", "one");
    t.same([await read("$1"), await read("$2")], [true, false]);
    await write(async (txn) => {
      await txn.db.deleteFrom("events").where("room", "=", "!r").execute();
      txn.invalidatePrefix(own.hasSeen, ["!r"]);
      txn.invalidateAll(own.getEvent);
    });
    worker.queries.length = 0;
    t.same([await read("$1"), await read("$2")], [false, false]);
    t.same(worker.queries, ["seen !r $1", "seen !r $2"]);
  });

  await t.test("A286: an event that a list has read needs no query of its own", async (t) => {
    await persist("$3", "three");
    await persist("$4", "four");
    await worker.getEvents(["$3", "$4"]);
    worker.queries.length = 0;
    t.equal(await worker.getEvent("$4"), "four");
    t.same(worker.queries, []);
  });

  await t.test("A288: loads of one event at once are one query", async (t) => {
    await persist("$5", "five");
    worker.queries.length = 0;
    const singles = Array.from({ length: 10 }, () => worker.getEvent("$5"));
    const lists = Array.from({ length: 10 }, () => worker.getEvents(["$5"]));
    t.same(await Promise.all(singles), Array(10).fill("five"));
    for (const list of lists) t.equal((await list).get("$5"), "five");
    t.same(worker.queries, ["events $5"]);
  });

  t.equal(slaved.caches().length, writer.caches().length);
});

// Acceptance cases of worker stores, by number: what a writer changes, the
// worker's cached reads show; and what was written while it was away arrives.

import t, { type Test } from "tap";
import { z } from "zod";
import {
  cached,
  defineStream,
  SlavedStore,
  Store,
  WriterStore,
  type WriterTransaction,
} from "../../../mod.ts";
import { openFaultProxy } from "../../../src/testing/mod.ts";
import { until } from "../../support/conditions.ts";
import { temporaryDatabase } from "../../support/folders.ts";

interface Database {
  messages: {
    id: string;
    room: string;
    sender: string;
    is_redacted: number;
    is_highlight: number;
  };
}
type Txn = WriterTransaction<Database>;

class Rooms extends Store<Database> {
  /** How often messages were loaded. */
  loads = 0;

  @cached({ maxEntries: 100 })
  async getMessage(
    id: string,
  ): Promise<{ id: string; isRedacted: boolean } | undefined> {
    this.loads += 1;
    const row = await this.db.selectFrom("messages").selectAll()
      .where("id", "=", id).executeTakeFirst();
    return row && { id, isRedacted: row.is_redacted === 1 };
  }

  @cached({ maxEntries: 100 })
  async countUnread(
    room: string,
    user: string,
  ): Promise<{ notify: number; highlight: number }> {
    const rows = await this.db.selectFrom("messages").select("is_highlight")
      .where("room", "=", room).where("sender", "<>", user).execute();
    const highlight = rows.filter((row) => row.is_highlight === 1).length;
    return { notify: rows.length, highlight };
  }

  @cached({ maxEntries: 100 })
  async getLastOf(user: string): Promise<string | undefined> {
    const row = await this.db.selectFrom("messages").select("id")
      .where("sender", "=", user).orderBy("id", "desc").executeTakeFirst();
    return row?.id;
  }
}

const subscriptions = defineStream("subscriptions", z.tuple([z.string()]));
const toDevice = defineStream("to_device", z.tuple([z.string()]));

async function start(t: Test) {
  const database = temporaryDatabase(t);
  const streams = [subscriptions, toDevice];
  const writer = await WriterStore.open<Database>({
    database,
    listen: "tcp://127.0.0.1:0",
    streams,
    synchronous: "normal",
  });
  t.teardown(() => writer.close());
  await writer.transaction("create", async (txn) => {
    await txn.db.schema.createTable("messages")
      .addColumn("id", "text", (column) => column.primaryKey())
      .addColumn("room", "text").addColumn("sender", "text")
      .addColumn("is_redacted", "integer").addColumn("is_highlight", "integer")
      .execute();
  });
  const proxy = await openFaultProxy({ target: String(writer.url) });
  t.teardown(() => proxy.close());
  const slaved = await SlavedStore.connect<Database>({
    database,
    replicate: proxy.url,
    streams,
    minBackoffMs: 1,
    maxBackoffMs: 5,
    pollIntervalMs: 0,
  });
  t.teardown(() => slaved.close());
  const rooms = slaved.attach(Rooms);
  /** Writes; resolves once the worker has it. */
  const write = async (work: (txn: Txn) => Promise<void> | void) => {
    const commit = await writer.transaction("write", async (txn) => {
      await work(txn);
    });
    return commit;
  };
  return {
    writer,
    slaved,
    rooms,
    write,
    async follow(work: (txn: Txn) => Promise<void> | void) {
      await slaved.waitFor(await write(work));
    },
    /** Writes while the worker is away. */
    async away(work: () => Promise<void>) {
      proxy.isRefusing = true;
      proxy.cutAll();
      await until("it is away", () => slaved.stats.state !== "live");
      await work();
      proxy.isRefusing = false;
    },
  };
}

/** A message, and what is cached of it. */
async function post(
  txn: Txn,
  id: string,
  { sender = "@a", isHighlight = false } = {},
): Promise<void> {
  await txn.db.insertInto("messages").values({
    id,
    room: "!r",
    sender,
    is_redacted: 0,
    is_highlight: Number(isHighlight),
  }).execute();
  txn.invalidate("getMessage", [id]);
  txn.invalidate("getLastOf", [sender]);
  txn.invalidateAll("countUnread");
}

async function redact(txn: Txn, id: string): Promise<void> {
  await txn.db.updateTable("messages").set({ is_redacted: 1 })
    .where("id", "=", id).execute();
  txn.invalidate("getMessage", [id]);
}

t.test("A021: rows that were written while away arrive, in order", async (t) => {
  const { slaved, writer, write, away } = await start(t);
  const heard: string[] = [];
  slaved.subscribe(subscriptions, ({ rows }) => {
    for (const [room] of rows) heard.push(room);
  });
  const expected: string[] = [];
  await away(async () => {
    for (let index = 0; index < 105; index += 1) {
      const room = index === 60 ? "!other" : `!${index}`;
      expected.push(room);
      await write((txn) => txn.write(subscriptions, [room]));
    }
  });
  await slaved.waitFor(writer.position);
  t.same(heard, expected);
});

t.test("A022, A023: of many rows of one user, another's is not lost", async (t) => {
  const { slaved, rooms, writer, write, away } = await start(t);
  const heard: string[] = [];
  slaved.subscribe(toDevice, ({ rows }) => {
    for (const [user] of rows) heard.push(user);
  });
  await rooms.getLastOf("@a");
  await rooms.getLastOf("@b");
  await away(async () => {
    for (let index = 0; index < 101; index += 1) {
      const sender = index === 100 ? "@b" : "@a";
      await write(async (txn) => {
        txn.write(toDevice, [sender]);
        await post(txn, `$${String(index).padStart(3, "0")}`, { sender });
      });
    }
  });
  await slaved.waitFor(writer.position);
  t.same(heard, [...Array(100).fill("@a"), "@b"]);
  t.equal(await rooms.getLastOf("@a"), "$099");
  t.equal(await rooms.getLastOf("@b"), "$100");
});

t.test("A031: a message that was cached is read as redacted", async (t) => {
  const { rooms, follow } = await start(t);
  await follow((txn) => post(txn, "$1"));
  t.same(await rooms.getMessage("$1"), { id: "$1", isRedacted: false });
  await follow((txn) => redact(txn, "$1"));
  t.same(await rooms.getMessage("$1"), { id: "$1", isRedacted: true });
});

t.test("A032: also where the redaction comes by catching up", async (t) => {
  const { rooms, slaved, writer, write, follow, away } = await start(t);
  await follow((txn) => post(txn, "$1"));
  t.same(await rooms.getMessage("$1"), { id: "$1", isRedacted: false });
  await away(async () => void await write((txn) => redact(txn, "$1")));
  await slaved.waitFor(writer.position);
  t.same(await rooms.getMessage("$1"), { id: "$1", isRedacted: true });
});

t.test("A034: unread counts grow as messages arrive", async (t) => {
  const { rooms, follow } = await start(t);
  const counts = () => rooms.countUnread("!r", "@b");
  t.same(await counts(), { notify: 0, highlight: 0 });
  await follow((txn) => post(txn, "$1"));
  t.same(await counts(), { notify: 1, highlight: 0 });
  await follow((txn) => post(txn, "$2", { isHighlight: true }));
  t.same(await counts(), { notify: 2, highlight: 1 });
});

t.test("A037, A038: reads on the worker follow writes on the master", async (t) => {
  const { rooms, follow } = await start(t);
  for (const id of [undefined, "$1", "$2", "$3"]) {
    if (id !== undefined) await follow((txn) => post(txn, id));
    t.equal(await rooms.getLastOf("@a"), id);
  }
});

t.test("A039: what only workers have a function for is invalidated by its name", async (t) => {
  const { rooms, follow } = await start(t);
  const before = rooms.getMessage("$1");
  t.equal(rooms.getMessage("$1"), before, "it is cached");
  await before;
  await follow((txn) => txn.invalidate("getMessage", ["$1"]));
  t.not(rooms.getMessage("$1"), before);
  await rooms.getMessage("$1");
});

t.test("A288: loads at once of one message read the database once", async (t) => {
  const { rooms, follow } = await start(t);
  await follow((txn) => post(txn, "$1"));
  const before = rooms.loads;
  const all = await Promise.all(
    Array.from({ length: 10 }, () => rooms.getMessage("$1")),
  );
  t.equal(rooms.loads - before, 1);
  t.equal(new Set(all).size, 1, "all have the same");
});

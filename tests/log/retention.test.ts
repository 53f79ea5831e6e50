// Deleting what a log need not keep: nobody is held up, nobody steps over it.

import t, { type Test } from "tap";
import { z } from "zod";
import {
  defineStream,
  SlavedStore,
  WriterStore,
  type WriterStoreOptions,
} from "../../mod.ts";
import type { Session } from "../../src/database/engine.ts";
import { openDatabase } from "../../src/database/open_database.ts";
import { readHorizon } from "../../src/log/horizon.ts";
import { retainStream, type RetentionPolicy } from "../../src/log/retention.ts";
import { ProjectionRunner } from "../../src/projections/mod.ts";
import { defineProjection } from "../../src/projections/mod.ts";
import { type Clock, systemClock } from "../../src/runtime/clock.ts";
import type { Token } from "../../src/tokens/token.ts";
import { until } from "../support/conditions.ts";
import { onEachEngine } from "../support/databases.ts";
import { temporaryDatabase } from "../support/folders.ts";
import {
  createUsers,
  saveUser,
  type TestDatabase,
  Users,
} from "../support/stores.ts";

const HORIZON = /^SELECT max\(.*FROM headwater_retained\)/s;

const notes = defineStream("notes", z.object({ n: z.int() }));

async function openWriter(
  t: Test,
  database: string,
  options: Partial<WriterStoreOptions> = {},
): Promise<WriterStore<TestDatabase>> {
  const writer = await WriterStore.open<TestDatabase>({
    database,
    listen: "tcp://127.0.0.1:0",
    streams: [notes],
    ...options,
  });
  t.teardown(() => writer.close());
  return writer;
}

/** Cuts a stream, as another process may. */
async function retain(
  database: string,
  stream: string,
  policy: RetentionPolicy,
  clock: Clock = systemClock,
): ReturnType<typeof retainStream> {
  const engine = openDatabase(database, systemClock, {});
  try {
    return await retainStream(engine, stream, policy, { clock });
  } finally {
    await engine.close();
  }
}

function openSession(database: string) {
  const engine = openDatabase(database, systemClock, {});
  return { session: engine.session, close: () => engine.close() };
}

function write(writer: WriterStore<TestDatabase>, n: number) {
  return writer.transaction("note", (txn) => {
    for (let row = 0; row < n % 3 + 1; row += 1) txn.write(notes, { n });
    return Promise.resolve();
  });
}

async function readNotes(
  writer: WriterStore<TestDatabase>,
): Promise<number[]> {
  const { rows } = await writer.readRows(notes, { limit: 100_000 });
  return rows.map(([, { n }]) => n);
}

onEachEngine(
  t,
  "by count: the newest rows stay, whole tokens",
  async (t, database) => {
    const writer = await openWriter(t, database);
    for (let n = 0; n < 30; n += 1) await write(writer, n);
    const kept = await retain(database, "notes", { maxRows: 10 });
    const left = await readNotes(writer);
    t.ok(left.length >= 10 && left.length < 13, `${left.length} rows`);
    t.same(left, left.toSorted((a, b) => a - b));
    t.equal(left.at(-1), 29);
    t.ok(kept.deleted > 20);
    t.match(await retain(database, "notes", { maxRows: 10 }), {
      deleted: 0,
      floor: kept.floor,
    });
    t.match(await retain(database, "notes", { maxRows: 0 }), { deleted: 5 });
    t.same(await readNotes(writer), []);
  },
);

t.test("what is committed once it knows how far all is complete stays", async (t) => {
  const database = temporaryDatabase(t);
  const writer = await openWriter(t, database);
  await write(writer, 1);
  const engine = openDatabase(database, systemClock, {});
  t.teardown(() => engine.close());
  const session: Session = {
    dialect: engine.session.dialect,
    run: (sql, parameters) => engine.session.run(sql, parameters),
    async rows(sql, parameters) {
      const found = await engine.session.rows(sql, parameters);
      // A lower token might still be open there, on PostgreSQL.
      if (HORIZON.test(sql)) await write(writer, 2);
      return found;
    },
  };
  const hooked: Pick<typeof engine, "session" | "transaction"> = {
    session,
    transaction: (name, work, options) =>
      engine.transaction(name, work, options),
  };
  const clock = { ...systemClock, wallMs: () => systemClock.wallMs() + 60_000 };
  const { floor } = await retainStream(hooked, "notes", { maxAgeMs: 0 }, {
    clock,
  });
  t.same(await readNotes(writer), [2, 2, 2]);
  t.equal(floor, 1);
});

onEachEngine(
  t,
  "by age: what is younger stays, and other streams",
  async (t, database) => {
    const writer = await openWriter(t, database);
    await createUsers(writer);
    await write(writer, 1);
    await saveUser(writer, { id: "1", name: "x", version: 1 });
    const day = 86_400_000;
    t.match(await retain(database, "notes", { maxAgeMs: day }), { deleted: 0 });
    await until("a moment has passed", () => true);
    t.match(await retain(database, "notes", { maxAgeMs: 0 }), { deleted: 1 });
    t.same(await readNotes(writer), []);
    t.equal((await writer.readRows("caches")).rows.length, 3);
  },
);

onEachEngine(
  t,
  "a reader that comes back later clears its caches",
  async (t, database) => {
    const writer = await openWriter(t, database);
    await createUsers(writer);
    await saveUser(writer, { id: "1", name: "old", version: 1 });
    const listen = writer.url as string;
    const slaved = await SlavedStore.connect<TestDatabase>({
      database,
      replicate: listen,
      minBackoffMs: 10,
      maxBackoffMs: 20,
      // It would find in the database what it is to miss, were that slow.
      pollIntervalMs: 0,
    });
    t.teardown(() => slaved.close());
    const users = slaved.attach(Users);
    t.match(await users.getUserById("1"), { name: "old" });
    const { flushes } = slaved.stats;
    await writer.close();
    // While it is cut off, much is written, and deleted again.
    const other = await openWriter(t, database, {
      listen: "tcp://127.0.0.1:0",
    });
    await saveUser(other, { id: "1", name: "new", version: 2 });
    const commit = await saveUser(other, { id: "2", name: "new", version: 2 });
    await retain(database, "caches", { maxRows: 1 });
    await other.close();
    const again = await openWriter(t, database, { listen });
    await slaved.waitFor(commit);
    t.ok(slaved.stats.flushes > flushes, "it was told");
    t.match(await users.getUserById("1"), { name: "new" });
    t.ok(again.url);
  },
);

onEachEngine(t, "writers and readers go on meanwhile", async (t, database) => {
  const writer = await openWriter(t, database);
  await Promise.all(
    Array.from({ length: 3_000 }, (_, n) => write(writer, n)),
  );
  let isDone = false;
  const writing = (async () => {
    let n = 3_000;
    while (!isDone) await write(writer, n++);
    return n;
  })();
  const engine = openDatabase(database, systemClock, {});
  t.teardown(() => engine.close());
  let chunks = 0;
  const counted: Pick<typeof engine, "session" | "transaction"> = {
    session: engine.session,
    transaction(name, work, options) {
      chunks += 1;
      return engine.transaction(name, work, options);
    },
  };
  const policy = { maxRows: 100 };
  const { deleted } = await retainStream(counted, "notes", policy, {
    clock: systemClock,
  });
  isDone = true;
  const last = await writing;
  t.ok(deleted > 2_000);
  t.equal(chunks, Math.ceil(deleted / 1_000), "a thousand at a time");
  const left = await readNotes(writer);
  t.ok(left.length >= 100);
  t.equal(left.at(-1), last - 1);
  // Those of one caller have tokens in the order of the calls.
  const late = [...new Set(left.filter((n) => n >= 3_000))];
  t.equal(late.length, last - (late[0] as number), "no hole");
});

onEachEngine(
  t,
  "events that a projection has yet to take are kept",
  async (t, database) => {
    const writer = await openWriter(t, database);
    const add = (n: number) =>
      writer.transaction(
        "add",
        (txn) => txn.append("a:1", [{ type: "added", data: n }]),
      );
    const seen: number[] = [];
    const projection = defineProjection<TestDatabase>({
      name: "sums",
      tables: [],
      create: () => Promise.resolve(),
      handle: ({ data }) => void seen.push(data as number),
    });
    const open = () =>
      ProjectionRunner.open({
        database,
        projections: [projection],
        pollIntervalMs: 10,
      });
    const runner = await open();
    await runner.whenCaughtUp(await add(1));
    await runner.close();
    for (let n = 2; n <= 5; n += 1) await add(n);
    t.match(await retain(database, "events", { maxRows: 0 }), { deleted: 1 });
    const next = await open();
    t.teardown(() => next.close());
    await next.whenCaughtUp(await add(6));
    t.same(seen, [1, 2, 3, 4, 5, 6]);
    await t.rejects(next.rebuild("sums"), { code: "EVENTS_DELETED" });
    t.equal((await next.progress("sums")).isRebuilding, false);
  },
);

onEachEngine(
  t,
  "events that a rebuild has yet to take are kept",
  async (t, database) => {
    const writer = await openWriter(t, database);
    const tokens: number[] = [];
    for (let n = 1; n <= 5; n += 1) {
      const { token } = await writer.transaction(
        "add",
        (txn) => txn.append("a:1", [{ type: "added", data: n }]),
      );
      tokens.push(token);
    }
    const cut = async (rebuildPosition: number | undefined) => {
      const engine = openDatabase(database, systemClock, {});
      await engine.transaction("rebuild", async (session) => {
        await session.run(
          "UPDATE headwater_projections SET rebuild_position = ?",
          [rebuildPosition ?? null],
        );
      });
      await engine.close();
      return await retain(database, "events", { maxRows: 1 });
    };
    const runner = await ProjectionRunner.open({
      database,
      projections: [
        defineProjection({
          name: "none",
          tables: [],
          create: () => Promise.resolve(),
          handle() {},
        }),
      ],
    });
    await runner.whenCaughtUp(tokens.at(-1) as number);
    await runner.close();
    t.match(await cut(-1), { deleted: 0 }, "it was asked for");
    t.match(await cut(tokens[1]), { deleted: 2 }, "it has taken two in");
    t.match(await cut(undefined), { deleted: 2 }, "there is none");
  },
);

onEachEngine(
  t,
  "a writer keeps its log short by itself",
  async (t, database) => {
    const writer = await openWriter(t, database, {
      retention: { notes: { maxRows: 5 } },
      retentionIntervalMs: 10,
    });
    for (let n = 0; n < 20; n += 1) await write(writer, n);
    await until(
      "the old ones are gone",
      async () => (await readNotes(writer)).length < 10,
    );
    t.equal((await readNotes(writer)).at(-1), 19);
  },
);

onEachEngine(
  t,
  "the horizon stays where it was when the log's tail is deleted",
  async (t, database) => {
    const writer = await openWriter(t, database);
    for (let n = 1; n <= 5; n += 1) await write(writer, n);
    const slaved = await SlavedStore.connect({
      database,
      replicate: writer.url as string,
      streams: [notes],
      pollIntervalMs: 10,
    });
    t.teardown(() => slaved.close());
    await until("it has seen all", () => slaved.linearPosition >= 5);
    const { session, close } = openSession(database);
    const before = await readHorizon(session, { clock: systemClock });
    await retain(database, "notes", { maxRows: 0 });
    t.equal(await readHorizon(session, { clock: systemClock }), before);
    let lowest = slaved.linearPosition;
    // It looks again, and again, before it sees this one.
    await write(writer, 6);
    await until("it has seen one more", () => {
      lowest = Math.min(lowest, slaved.linearPosition) as Token;
      return slaved.linearPosition >= before + 1;
    });
    t.equal(lowest, before);
    await close();
  },
);

t.test("policies that can't be are refused", async (t) => {
  for (
    const [policy, message] of [
      [{}, /give maxAgeMs, maxRows, or "forever"/],
      [{ maxAgeMs: -1 }, /maxAgeMs is -1/],
      [{ maxRows: 1.5 }, /maxRows is 1.5/],
    ] as const
  ) {
    await t.rejects(
      WriterStore.open({
        database: "sqlite::memory:",
        retention: { notes: policy },
      }),
      { code: "INVALID_ARGUMENT", message },
    );
  }
});

// Change caches as stores fill them: from the log at the start, from what is
// sent, and from what is fetched; on both engines.

import { copyFileSync, renameSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import t, { type Test } from "tap";
import { z } from "zod";
import {
  cachesStream,
  defineStream,
  eventsStream,
  SlavedStore,
  WriterStore,
} from "../../mod.ts";
import { defineChangeCache } from "../../src/caches/mod.ts";
import { until } from "../support/conditions.ts";
import { startFakeWriter } from "../support/fake_writer.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { postgresDatabase } from "../support/postgres.ts";

const edits = defineStream("edits", z.object({ page: z.string() }));
const entities = ({ page }: { page: string }) => [page];
const pages = defineChangeCache("pages", { stream: edits, entities });
const twoPages = defineChangeCache("two pages", {
  stream: edits,
  entities,
  maxPositions: 2,
});
const unfilled = defineChangeCache("unfilled", {
  stream: edits,
  entities,
  prefillTokens: 0,
});
const aggregates = defineChangeCache("aggregates", {
  stream: eventsStream,
  entities: ([aggregate]) => [aggregate],
});
const invalidated = defineChangeCache("invalidated", {
  stream: cachesStream,
  entities: ([cache, key]) => [`${cache} ${key?.join()}`],
});
const declared = {
  streams: [edits],
  changeCaches: [pages, twoPages, unfilled, aggregates, invalidated],
};

const edit = (writer: WriterStore<unknown>, ...names: string[]) =>
  writer.transaction("edit", (txn) => {
    for (const page of names) txn.write(edits, { page });
    return Promise.resolve();
  });

const engines = {
  sqlite: (t: Test) => Promise.resolve(temporaryDatabase(t)),
  postgres: (t: Test) => postgresDatabase(t),
};

for (const [engine, create] of Object.entries(engines)) {
  t.test(`stores on ${engine}`, async (t) => {
    const database = await create(t);
    const openWriter = () =>
      WriterStore.open({ database, listen: "tcp://127.0.0.1:0", ...declared });
    let writer = await openWriter();
    t.teardown(() => writer.close());
    const connect = async (options: { replicate?: string[] } = {}) => {
      const slaved = await SlavedStore.connect({
        database,
        replicate: String(writer.url),
        pollIntervalMs: 5,
        ...declared,
        ...options,
      });
      t.teardown(() => slaved.close());
      return slaved;
    };
    const start = writer.position;
    const first = await edit(writer, "a", "b");
    await writer.transaction("append", async (txn) => {
      await txn.append("user:1", [{ type: "renamed", data: {} }]);
      txn.invalidate("getUser", ["1"]);
    });
    const third = await edit(writer, "b", "c");

    await t.test("a writer knows what it has committed", (t) => {
      const changes = writer.changes(pages);
      t.same(changes.allChangedSince(start), ["a", "b", "c"]);
      t.same(changes.allChangedSince(first), ["b", "c"]);
      t.equal(changes.hasChanged("a", first), false);
      t.equal(changes.hasAnyChanged(writer.currentToken()), false, "as text");
      t.equal(writer.changes(aggregates).hasChanged("user:1", first), true);
      t.equal(writer.changes(aggregates).hasChanged("user:2", first), false);
      t.same(writer.changes(invalidated).allChangedSince(first), ["getUser 1"]);
      t.end();
    });

    const slaved = await connect();
    await t.test("a slaved store begins with what the log has", (t) => {
      const changes = slaved.changes(pages);
      t.same(changes.earliestKnown, new Map([["master", 0]]));
      t.same(changes.allChangedSince(new Map()), ["a", "b", "c"]);
      t.same(changes.lastChange("b"), new Map([["master", third.token]]));
      t.equal(slaved.changes(aggregates).hasChanged("user:1", first), true);
      t.same(
        slaved.changes(invalidated).allChangedSince(first),
        ["getUser 1"],
      );
      t.same(
        slaved.changes(unfilled).earliestKnown,
        slaved.position,
        "unless it is not to",
      );
      t.end();
    });

    await t.test("a handler finds its token's changes, the position comes after", async (t) => {
      const changes = slaved.changes(pages);
      const before = slaved.position;
      const seen: unknown[] = [];
      const end = slaved.subscribe(edits, ({ token }) => {
        seen.push([
          token,
          changes.hasChanged("d", before),
          slaved.position.get("master") === before.get("master"),
        ]);
      });
      const commit = await edit(writer, "d");
      await slaved.waitFor(commit);
      end();
      t.same(seen, [[commit.token, true, true]]);
      t.equal(changes.hasChanged("d", commit), false);
      t.same([...changes.changedSince(["a", "d"], before)], ["d"]);
      t.equal(slaved.changes(unfilled).hasChanged("d", before), true);
      t.equal(slaved.changes(unfilled).hasChanged("a", before), false);
      await slaved.waitFor(
        await writer.transaction("invalidate", (txn) => {
          txn.invalidate("getUser", ["2"]);
          return Promise.resolve();
        }),
      );
      t.same(
        slaved.changes(invalidated).allChangedSince(commit),
        ["getUser 2"],
      );
    });

    await t.test("what is fetched from the log is noted, too", async (t) => {
      const alone = await connect({ replicate: [] });
      await alone.waitFor(third);
      const before = alone.position;
      t.same(alone.changes(pages).lastChange("b").get("master"), third.token);
      await edit(writer, "e");
      await edit(writer, "f");
      await alone.waitFor(await edit(writer, "e"));
      t.same(alone.changes(pages).allChangedSince(before), ["f", "e"]);
      t.equal(alone.changes(pages).hasChanged("a", before), false);
    });

    await t.test("a store that starts again knows as much as it may hold", async (t) => {
      await slaved.waitFor(writer.position);
      await writer.close();
      writer = await openWriter();
      const again = await connect();
      for (const store of [writer, again]) {
        t.same(
          store.changes(pages).allChangedSince(start),
          ["a", "b", "c", "d", "f", "e"],
        );
        const two = store.changes(twoPages);
        const earliest = two.earliestKnown;
        t.same(two.allChangedSince(earliest), ["f", "e"]);
        t.equal(two.hasChanged("a", start), true, "nobody knows");
        t.equal(two.hasChanged("a", earliest), false);
        t.equal(two.hasChanged("f", earliest), true);
      }
    });

    await t.test("all of an instance that comes later is known", async (t) => {
      const alone = await connect({ replicate: [] });
      await alone.waitFor(third);
      const before = alone.position;
      const second = await WriterStore.open({
        database,
        instance: "second",
        ...declared,
      });
      t.teardown(() => second.close());
      const commit = await edit(second, "g");
      await alone.waitFor(commit);
      const changes = alone.changes(pages);
      t.equal(changes.earliestKnown.get("second"), 0);
      t.same(changes.allChangedSince(before), ["g"]);
      t.same(changes.allChangedSince(alone.position), []);
      t.same(
        second.changes(pages).allChangedSince({ instance: "second", token: 0 }),
        ["g"],
      );
      t.equal(
        second.changes(pages).hasChanged("x", before),
        true,
        "of master's",
      );
    });
  });
}

t.test("the log is read to its end however many records it has", async (t) => {
  const database = temporaryDatabase(t);
  const open = () => WriterStore.open({ database, ...declared });
  const before = await open();
  await Promise.all(
    Array.from({ length: 300 }, (_, index) => edit(before, `p${index}`)),
  );
  await before.close();
  const writer = await open();
  t.teardown(() => writer.close());
  const changes = writer.changes(pages);
  t.equal(changes.allChangedSince(new Map([["master", 0]]))?.length, 300);
  t.same(changes.lastChange("p0"), new Map([["master", 1]]));
});

t.test("a slaved store whose log is torn", async (t) => {
  const database = temporaryDatabase(t);
  const writer = await WriterStore.open({ database, ...declared });
  t.teardown(() => writer.close());
  const first = await edit(writer, "a");
  const outside = new DatabaseSync(database.slice("sqlite:".length));
  t.teardown(() => outside.close());
  const fake = await startFakeWriter(t);
  const tell = (token: number) => `POSITION caches master ${token} ${token}\n`;
  fake.answer = tell(first.token);
  const slaved = await SlavedStore.connect({
    database,
    replicate: fake.url,
    minBackoffMs: 1,
    ...declared,
  });
  t.teardown(() => slaved.close());
  const changes = slaved.changes(pages);
  const adopt = async (token: number) => {
    fake.answer = tell(token);
    const { connections } = slaved.stats;
    fake.cut();
    await until(
      "it is back",
      () =>
        slaved.stats.connections > connections && slaved.stats.state === "live",
    );
    t.equal(slaved.position.get("master"), token);
  };

  await t.test("knows nothing of what it could not fetch", async (t) => {
    t.equal(changes.hasChanged("z", new Map()), false);
    await edit(writer, "b");
    const last = await edit(writer, "c");
    outside.exec(`DELETE FROM headwater_log WHERE token < ${last.token}`);
    outside.exec(
      `INSERT INTO headwater_retained VALUES ('edits', ${last.token - 1})`,
    );
    await adopt(last.token);
    t.same(changes.earliestKnown, slaved.position);
    t.equal(changes.hasChanged("z", first), true);
    t.equal(changes.allChangedSince(first), undefined);
  });

  await t.test("begins where retention has come to", async (t) => {
    const later = await SlavedStore.connect({
      database,
      replicate: [],
      ...declared,
    });
    t.teardown(() => later.close());
    const { earliestKnown } = later.changes(pages);
    t.same(earliestKnown, new Map([["master", first.token + 1]]));
    t.same(later.changes(pages).allChangedSince(earliestKnown), ["c"]);
  });

  await t.test("and nothing of either life where the log was rewound", async (t) => {
    const reached = Number(slaved.position.get("master"));
    const rewound = reached - 1;
    outside.exec(`UPDATE headwater_log SET id = id - 512`);
    await adopt(rewound);
    t.same(changes.earliestKnown, new Map([["master", reached + 1]]));
    t.equal(changes.hasChanged("z", slaved.position), true);
  });
});

t.test("a database that was replaced by a copy of itself", async (t) => {
  const database = temporaryDatabase(t);
  const file = database.slice("sqlite:".length);
  const writer = await WriterStore.open({ database, ...declared });
  await edit(writer, "a");
  const slaved = await SlavedStore.connect({
    database,
    replicate: [],
    pollIntervalMs: 5,
    ...declared,
  });
  t.teardown(() => slaved.close());
  const changes = slaved.changes(pages);
  await slaved.waitFor(writer.position);
  await writer.close();
  const { position } = slaved;
  t.equal(changes.hasChanged("a", position), false);
  copyFileSync(file, `${file}.copy`);
  renameSync(`${file}.copy`, file);
  await until("it is noticed", () => changes.hasChanged("a", position));
  const again = await WriterStore.open({ database, ...declared });
  t.teardown(() => again.close());
  await edit(again, "b");
  const next = await edit(again, "c");
  await slaved.waitFor(next);
  t.equal(changes.hasChanged("c", { ...next, token: next.token - 1 }), true);
  t.equal(changes.hasChanged("a", { ...next, token: next.token - 1 }), false);
});

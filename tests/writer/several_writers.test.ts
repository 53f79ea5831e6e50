// Several writers on one database: a reader's position is a map, and nothing of
// any of them is missed, connected or not, new, idle, dead or retired.

import t, { type Test } from "tap";
import {
  SlavedStore,
  WriterStore,
  type WriterStoreOptions,
} from "../../mod.ts";
import { until } from "../support/conditions.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { postgresDatabase, sharedPostgres } from "../support/postgres.ts";
import {
  createUsers,
  saveUser,
  type TestDatabase,
  Users,
} from "../support/stores.ts";

async function openWriter(
  t: Test,
  database: string,
  instance: string,
  options: Partial<WriterStoreOptions> = { listen: "tcp://127.0.0.1:0" },
): Promise<WriterStore<TestDatabase>> {
  const writer = await WriterStore.open<TestDatabase>({
    database,
    instance,
    ...options,
  });
  t.teardown(() => writer.close());
  return writer;
}

for (
  const [engine, open] of [
    ["SQLite", (t: Test) => Promise.resolve(temporaryDatabase(t))],
    ["PostgreSQL", postgresDatabase],
  ] as const
) {
  t.test(`several writers on ${engine}`, async (t) => {
    const database = await open(t);
    const first = await openWriter(t, database, "first");
    const second = await openWriter(t, database, "second");
    // This one tells nobody: it is found in the database.
    const silent = await openWriter(t, database, "silent", {});
    await createUsers(first);
    const slaved = await SlavedStore.connect<TestDatabase>({
      database,
      replicate: [first.url as string, second.url as string],
      pollIntervalMs: 20,
    });
    t.teardown(() => slaved.close());
    const users = slaved.attach(Users);
    const writers = [first, second, silent];

    await t.test("are all followed", async (t) => {
      for (let round = 0; round < 10; round += 1) {
        for (const [index, writer] of writers.entries()) {
          const name = `${writer.instance} ${round}`;
          const commit = await saveUser(writer, { id: "1", name, version: 1 });
          t.equal(commit.instance, ["first", "second", "silent"][index]);
          await slaved.waitFor(commit);
          t.match(await users.getUserById("1"), { name });
        }
      }
    });

    await t.test("write at once, each under tokens of its own", async (t) => {
      const commits = await Promise.all(
        Array.from(
          { length: 150 },
          (_, index) =>
            saveUser(writers[index % 3] as typeof first, {
              id: `${index}`,
              name: "many",
              version: index,
            }),
        ),
      );
      const tokens = commits.map(({ token }) => token);
      t.equal(new Set(tokens).size, 150, "one sequence");
      for (const commit of commits) await slaved.waitFor(commit);
      for (let index = 0; index < 150; index += 1) {
        t.equal((await users.getUserById(`${index}`))?.version, index);
      }
      const position = slaved.position;
      t.same([...position.keys()].sort(), ["first", "second", "silent"]);
    });

    await t.test("have a linear position that reaches all, and never moves back", async (t) => {
      let linear = slaved.linearPosition;
      const last = Math.max(
        ...writers.map(({ instance, position }) => position.get(instance) ?? 0),
      );
      await until("it has reached all", () => {
        t.ok(slaved.linearPosition >= linear);
        linear = slaved.linearPosition;
        return linear >= last;
      });
    });

    await t.test("may come later", async (t) => {
      const { flushes } = slaved.stats;
      const late = await openWriter(t, database, "late", {});
      const commit = await saveUser(late, {
        id: "1",
        name: "late",
        version: 9,
      });
      await slaved.waitFor(commit);
      t.match(await users.getUserById("1"), { name: "late" });
      t.equal(slaved.stats.flushes, flushes, "nothing had to be cleared");
    });

    await t.test("may leave: what they wrote last is found", async (t) => {
      const commit = await saveUser(second, {
        id: "1",
        name: "bye",
        version: 1,
      });
      await second.close();
      await slaved.waitFor(commit);
      t.match(await users.getUserById("1"), { name: "bye" });
      // The name's next holder goes on from there, wherever it is.
      const next = await openWriter(t, database, "second", {});
      const later = await saveUser(next, { id: "1", name: "next", version: 1 });
      t.ok(later.token > commit.token);
      await slaved.waitFor(later);
      t.match(await users.getUserById("1"), { name: "next" });
    });
  });
}

t.test("A240 a sequence behind the log is raised, and never lowered", async (t) => {
  const server = await sharedPostgres();
  const database = await server.createDatabase();
  const first = await openWriter(t, database, "first", {});
  const write = async (writer: WriterStore<TestDatabase>) => {
    const { token } = await writer.transaction("write", (txn) => {
      txn.invalidateAll("some");
      return Promise.resolve();
    });
    return token as number;
  };
  for (let count = 1; count <= 26; count += 1) await write(first);
  await first.close();
  const take = async (before: string) => {
    await server.run(before, database);
    const writer = await openWriter(t, database, "second", {});
    const token = await write(writer);
    await writer.close();
    return token;
  };
  const set = (value: number, isCalled = true) =>
    `SELECT setval('headwater_tokens', ${value}, ${isCalled})`;
  t.equal(await take(set(2)), 27, "as after a restore without it");
  t.equal(await take(set(1, false)), 28, "as after logical replication");
  t.equal(await take(set(29, false)), 29, "as it would have gone on");
  t.equal(await take(set(40)), 41, "ahead of the log is no harm");
  t.equal(
    await take(`DELETE FROM headwater_log; ${set(3)}`),
    42,
    "an instance has told its position",
  );
  t.equal(
    await take(
      `INSERT INTO headwater_retained VALUES ('events', 60); ${set(3)}`,
    ),
    61,
    "deleted tokens are not given again either",
  );
  // Two that begin at once, with one that writes.
  await server.run(set(5), database);
  const writers = await Promise.all(
    ["third", "fourth", "fifth"].map(async (name) => {
      const writer = await openWriter(t, database, name, {});
      return [await write(writer), await write(writer)];
    }),
  );
  t.same(
    writers.flat().toSorted((a, b) => a - b),
    [62, 63, 64, 65, 66, 67],
  );
});

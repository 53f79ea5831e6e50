// Promise 7: a reader whose position is not part of the log's history any more
// flushes and starts over. The database is restored under live readers.

import { copyFileSync, renameSync, rmSync } from "node:fs";
import t, { type Test } from "tap";
import { SlavedStore, WriterStore } from "../../mod.ts";
import { until } from "../support/conditions.ts";
import { temporaryFolder } from "../support/folders.ts";
import type { Token } from "../../src/tokens/token.ts";
import { freePort } from "../support/ports.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { noRedis, startRedis } from "../support/redis.ts";
import {
  createUsers,
  saveUser,
  type TestDatabase,
  Users,
} from "../support/stores.ts";

/** A database that can be put back to what it was. */
interface Restorable {
  readonly url: string;
  /** Keeps what is there; nobody may be writing. */
  backUp(): Promise<void>;
  restore(): Promise<void>;
}

function sqliteFile(t: Test): Promise<Restorable> {
  const file = `${temporaryFolder(t)}/test.db`;
  const saved = `${file}.saved`;
  return Promise.resolve({
    url: `sqlite:${file}`,
    backUp: () => Promise.resolve(copyFileSync(file, saved)),
    restore() {
      for (const end of ["-wal", "-shm"]) rmSync(file + end, { force: true });
      // A file of its own takes the place: copying over the one that readers
      // have open would hand them a mixture.
      copyFileSync(saved, `${file}.new`);
      renameSync(`${file}.new`, file);
      return Promise.resolve();
    },
  });
}

async function postgresDatabase(t: Test): Promise<Restorable> {
  const server = await sharedPostgres();
  const url = await server.createDatabase();
  const name = new URL(url).pathname.slice(1);
  const copy = `${name}_saved`;
  const end = (database: string) =>
    server.run(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${database}'`,
    );
  t.teardown(async () => {
    for (const each of [name, copy]) {
      await server.run(`drop database if exists ${each} with (force)`);
    }
  });
  return {
    url,
    async backUp() {
      // Readers keep their connections; a copy needs them gone for a moment.
      await server.run(`alter database ${name} allow_connections false`);
      await end(name);
      await server.run(`create database ${copy} template ${name}`);
      await server.run(`alter database ${name} allow_connections true`);
    },
    async restore() {
      await server.run(`drop database ${name} with (force)`);
      await server.run(`create database ${name} template ${copy}`);
    },
  };
}

async function openWriter(
  database: string,
  where: number | string,
): Promise<WriterStore<TestDatabase>> {
  return await WriterStore.open<TestDatabase>({
    database,
    listen: typeof where === "string" ? where : `tcp://127.0.0.1:${where}`,
  });
}

for (
  const [engine, open] of [
    ["SQLite", sqliteFile],
    ["PostgreSQL", postgresDatabase],
  ] as const
) {
  t.test(`a log that was restored is noticed (${engine})`, async (t) => {
    for (const written of [0, 1, 5, 9]) {
      await t.test(`and has ${written} new commits by then`, async (t) => {
        const database = await open(t);
        const port = await freePort();
        let writer = await openWriter(database.url, port);
        await createUsers(writer);
        await saveUser(writer, { id: "1", name: "kept", version: 1 });
        await saveUser(writer, { id: "2", name: "kept", version: 1 });
        await writer.close();
        await database.backUp();

        writer = await openWriter(database.url, port);
        const slaved = await SlavedStore.connect<TestDatabase>({
          database: database.url,
          replicate: `tcp://127.0.0.1:${port}`,
          minBackoffMs: 10,
          maxBackoffMs: 50,
        });
        t.teardown(() => slaved.close());
        const users = slaved.attach(Users);
        let commit;
        for (let version = 2; version < 7; version += 1) {
          const lost = { id: "1", name: "lost", version };
          commit = await saveUser(writer, lost);
        }
        await slaved.waitFor(commit as NonNullable<typeof commit>);
        t.match(await users.getUserById("1"), { name: "lost" });
        t.match(await users.getUserById("2"), { name: "kept" });
        const { flushes } = slaved.stats;
        await writer.close();
        await database.restore();

        // As many commits as were lost, fewer, and more: the same tokens again.
        writer = await openWriter(database.url, port);
        t.teardown(() => writer.close());
        let last = writer.currentToken();
        for (let version = 2; version < 2 + written; version += 1) {
          await saveUser(writer, { id: "3", name: "new", version });
          last = writer.currentToken();
        }
        await until(
          "it has started over",
          () => slaved.stats.flushes > flushes,
        );
        await slaved.waitFor(last);
        t.match(await users.getUserById("1"), { name: "kept", version: 1 });
        if (written > 0) {
          t.match(await users.getUserById("3"), { version: written + 1 });
        }
        // And goes on right.
        await slaved.waitFor(
          await saveUser(writer, { id: "1", name: "again", version: 50 }),
        );
        t.match(await users.getUserById("1"), { name: "again" });
      });
    }
  });

  t.test(`what a restore took away is not waited for (${engine})`, async (t) => {
    const database = await open(t);
    const port = await freePort();
    let writer = await openWriter(database.url, port);
    await createUsers(writer);
    const save = (name: string) =>
      saveUser(writer, { id: "1", name, version: 1 });
    const kept = await save("kept");
    const keptText = writer.currentToken();
    await writer.close();
    await database.backUp();

    writer = await openWriter(database.url, port);
    const connect = () =>
      SlavedStore.connect<TestDatabase>({
        database: database.url,
        replicate: `tcp://127.0.0.1:${port}`,
        minBackoffMs: 10,
        maxBackoffMs: 50,
      });
    const slaved = await connect();
    t.teardown(() => slaved.close());
    await save("lost");
    const lost = await save("lost");
    await slaved.waitFor(lost);
    const texts = [writer.currentToken(), slaved.currentToken()];
    t.equal(texts[0], texts[1]);
    const { instance, token } = lost;
    // Pending as the log is rewound: of tokens that were not given yet.
    const far = { ...lost, token: lost.token + 1 };
    const pending = [far, { instance, token: far.token }].map((each) =>
      t.rejects(slaved.waitFor(each, { timeoutMs: 60_000 }), {
        code: "LOG_REWOUND",
        message:
          /^Cannot wait for token \d+ of instance "master": the log has lost it;/,
      })
    );
    await writer.close();
    await database.restore();

    writer = await openWriter(database.url, port);
    t.teardown(() => writer.close());
    let again = await save("new");
    while (again.token <= far.token) again = await save("new");
    // One that has not noticed yet must not take it for its own.
    await slaved.waitFor({ ...again, token: kept.token + 1 as Token });
    await Promise.all(pending);
    const fresh = await connect();
    t.teardown(() => fresh.close());
    for (const store of [slaved, fresh, writer]) {
      for (const each of [lost, ...texts, JSON.parse(JSON.stringify(lost))]) {
        await t.rejects(store.waitFor(each, { timeoutMs: 60_000 }), {
          code: "LOG_REWOUND",
        });
      }
      for (const each of [kept, keptText, again, writer.currentToken()]) {
        t.match(await store.waitFor(each), { outcome: "reached" });
      }
      // Whoever leaves out who wrote it, names whatever has that number.
      t.match(await store.waitFor({ instance, token }), { outcome: "reached" });
      await t.rejects(store.waitFor({ ...lost, holder: "me" }), {
        code: "INVALID_ARGUMENT",
        message: /its holder is "me"; give the commit's, or none/,
      });
    }
    t.match(await slaved.attach(Users).getUserById("1"), { name: "new" });
  });

  t.test(`a writer that was only restarted is no reason to flush (${engine})`, async (t) => {
    const database = await open(t);
    const port = await freePort();
    let writer = await openWriter(database.url, port);
    await createUsers(writer);
    t.teardown(() => writer.close());
    const slaved = await SlavedStore.connect<TestDatabase>({
      database: database.url,
      replicate: `tcp://127.0.0.1:${port}`,
      minBackoffMs: 10,
      maxBackoffMs: 50,
    });
    t.teardown(() => slaved.close());
    const before = slaved.stats.flushes;
    const first = await saveUser(writer, { id: "3", name: "x", version: 1 });
    const firstText = writer.currentToken();
    for (let round = 1; round <= 3; round += 1) {
      await saveUser(writer, { id: "1", name: `round ${round}`, version: 1 });
      await writer.close();
      writer = await openWriter(database.url, port);
      const commit = await saveUser(writer, { id: "2", name: "x", version: 1 });
      await slaved.waitFor(commit);
    }
    t.equal(slaved.stats.flushes, before);
    t.match(await slaved.waitFor(first), { outcome: "reached" });
    t.match(await slaved.waitFor(firstText), { outcome: "reached" });
    t.match(await slaved.attach(Users).getUserById("1"), { name: "round 3" });
  });
}

// Nobody's connection ends: only what the next writer says of itself shows it.
t.test("a log that was restored in no time is noticed on a channel", {
  skip: noRedis,
}, async (t) => {
  const { url } = await startRedis(t);
  for (const written of [1, 9]) {
    await t.test(`and has ${written} new commits by then`, async (t) => {
      const database = await sqliteFile(t);
      const channel = `${url}?channel=restored${written}`;
      let writer = await openWriter(database.url, channel);
      await createUsers(writer);
      await saveUser(writer, { id: "1", name: "kept", version: 1 });
      await writer.close();
      await database.backUp();

      writer = await openWriter(database.url, channel);
      t.teardown(() => writer.close());
      const slaved = await SlavedStore.connect<TestDatabase>({
        database: database.url,
        replicate: channel,
        // Nor does it look into the database by itself.
        pollIntervalMs: 0,
      });
      t.teardown(() => slaved.close());
      const users = slaved.attach(Users);
      const user = { id: "1", name: "lost", version: 2 };
      for (let count = 0; count < 5; count += 1) await saveUser(writer, user);
      await slaved.waitFor(writer.currentToken());
      t.match(await users.getUserById("1"), { name: "lost" });
      const { flushes } = slaved.stats;
      await writer.close();
      await database.restore();
      writer = await openWriter(database.url, channel);
      for (let version = 1; version <= written; version += 1) {
        await saveUser(writer, { id: "2", name: "new", version });
      }
      await until("it is noticed", () => slaved.stats.flushes > flushes);
      t.match(await users.getUserById("1"), { name: "kept" });
      await slaved.waitFor(await saveUser(writer, { ...user, name: "again" }));
      t.match(await users.getUserById("1"), { name: "again" });
      t.match(await users.getUserById("2"), { version: written });
    });
  }
  await t.test("and one that was not is no reason to flush", async (t) => {
    const database = await sqliteFile(t);
    const channel = `${url}?channel=restarted`;
    let writer = await openWriter(database.url, channel);
    t.teardown(() => writer.close());
    await createUsers(writer);
    const slaved = await SlavedStore.connect<TestDatabase>({
      database: database.url,
      replicate: channel,
      pollIntervalMs: 0,
    });
    t.teardown(() => slaved.close());
    const { flushes } = slaved.stats;
    for (let version = 1; version <= 5; version += 1) {
      await writer.close();
      writer = await openWriter(database.url, channel);
      const commit = await saveUser(writer, { id: "1", name: "x", version });
      await slaved.waitFor(commit);
    }
    t.equal(slaved.stats.flushes, flushes);
  });
});

t.test("a writer beneath which its file was restored writes nothing more (SQLite)", async (t) => {
  const database = await sqliteFile(t);
  let writer = await openWriter(database.url, await freePort());
  await createUsers(writer);
  await writer.close();
  await database.backUp();
  writer = await openWriter(database.url, await freePort());
  t.teardown(() => writer.close());
  await saveUser(writer, { id: "1", name: "lost", version: 1 });
  await database.restore();
  const save = () => saveUser(writer, { id: "1", name: "later", version: 2 });
  // What it has open is a file that nobody finds any more.
  await until("it has noticed", () =>
    save().then(() => false, ({ code }) => {
      t.equal(code, "LOG_REWOUND");
      return true;
    }));
  await t.rejects(save(), { code: "LOG_REWOUND" });
});

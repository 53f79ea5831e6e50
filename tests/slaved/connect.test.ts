// How a slaved store comes to be connected, and what it says when it can't.

import { rmSync } from "node:fs";
import t from "tap";
import { SlavedStore, WriterStore } from "../../mod.ts";
import { follow, openRelay } from "../../src/slaved/mod.ts";
import { type Clock, systemClock } from "../../src/runtime/clock.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { freePort } from "../support/ports.ts";
import { postgresDatabase } from "../support/postgres.ts";
import { saveUser, type TestDatabase, Users } from "../support/stores.ts";
import { connectUsers, openUsers } from "../support/users.ts";

t.test("SlavedStore.connect()", async (t) => {
  await t.test("may come before the writer and its database", async (t) => {
    const database = temporaryDatabase(t);
    const replicate = `tcp://127.0.0.1:${await freePort()}`;
    const connecting = SlavedStore.connect<TestDatabase>({
      database,
      replicate,
    });
    const writer = await WriterStore.open<TestDatabase>({
      database,
      listen: replicate,
    });
    t.teardown(() => writer.close());
    await using slaved = await connecting;
    t.equal(slaved.stats.state, "live");
  });

  await t.test("knows by then of those who listen nowhere", async (t) => {
    const database = temporaryDatabase(t);
    const open = async (instance: string, listen?: string) => {
      const writer = await WriterStore.open({ database, instance, listen });
      t.teardown(() => writer.close());
      return writer;
    };
    const writer = await open("main", "tcp://127.0.0.1:0");
    const quiet = await open("quiet");
    const write = () =>
      quiet.transaction("write", (txn) => {
        txn.invalidateAll("x");
        return Promise.resolve();
      });
    const { token } = await write();
    const slaved = await SlavedStore.connect({
      database,
      replicate: String(writer.url),
    });
    t.teardown(() => slaved.close());
    t.equal(slaved.position.get("quiet"), token);
    const heard: number[] = [];
    slaved.subscribe("caches", (batch) => void heard.push(batch.token));
    const next = await write();
    await slaved.waitFor(next);
    t.same(heard, [next.token], "nothing is stepped over for handlers");
  });

  await t.test("says that nobody answers", async (t) => {
    const database = temporaryDatabase(t);
    const writer = await WriterStore.open({ database });
    t.teardown(() => writer.close());
    const replicate = `tcp://127.0.0.1:${await freePort()}`;
    const said: string[] = [];
    await t.rejects(
      SlavedStore.connect({
        database,
        replicate,
        connectTimeoutMs: 50,
        maxBackoffMs: 5,
        logger: (level, message) => void said.push(`${level} ${message}`),
      }),
      {
        code: "CONNECT_TIMEOUT",
        message: new RegExp(
          "^Cannot connect a slaved store within 50 ms: " +
            `nobody answers at ${replicate} \\(.*ECONNREFUSED.*\\)$`,
        ),
      },
    );
    const [first, ...others] = said.filter((text) => /connect/.test(text));
    t.equal(first, "warn cannot connect, trying again");
    t.same(others.filter((text) => text.startsWith("warn")), []);
  });

  await t.test("says that somebody else answers", async (t) => {
    const database = temporaryDatabase(t);
    const writer = await WriterStore.open({
      database,
      listen: "tcp://127.0.0.1:0",
      http: "http://127.0.0.1:0",
    });
    t.teardown(() => writer.close());
    const requests = String(writer.httpUrl).replace("http:", "tcp:");
    for (
      const [replicate, serverName, reason] of [
        [String(writer.url), "another", "Wrong remote"],
        [requests, undefined, "failed to parse line: .*HTTP/1.1"],
      ] as const
    ) {
      // So long that it has answered once, on a slow machine, too.
      const connectTimeoutMs = 2_000;
      await t.rejects(
        SlavedStore.connect({
          database,
          replicate,
          serverName,
          connectTimeoutMs,
        }),
        {
          code: "CONNECT_TIMEOUT",
          message: new RegExp(
            `who answers at ${replicate} is not the writer \\(${reason}.*; ` +
              "check the address, the database, and serverName",
          ),
        },
      );
    }
  });

  await t.test("is refused by the writer of another database", async (t) => {
    const listen = "tcp://127.0.0.1:0";
    const [database, other] = [temporaryDatabase(t), temporaryDatabase(t)];
    const here = await openUsers(t, { database, listen });
    const there = await openUsers(t, { database: other, listen });
    for (const writer of [here, there]) {
      await saveUser(writer, { id: "u", name: "n", version: 1 });
    }
    await t.rejects(
      SlavedStore.connect({
        database,
        replicate: String(there.url),
        connectTimeoutMs: 2_000,
      }),
      {
        code: "CONNECT_TIMEOUT",
        message: new RegExp(
          `who answers at ${there.url} is not the writer \\(another log: this ` +
            "writer's database is not the reader's",
        ),
      },
    );
    t.ok(there.stats.disconnections.refused > 0);
    await connectUsers(t, here, { database });
    t.equal(here.stats.disconnections.refused, 0);
  });

  await t.test("goes on where both have another database from now on", async (t) => {
    const database = temporaryDatabase(t);
    const listen = `tcp://127.0.0.1:${await freePort()}`;
    const before = await openUsers(t, { database, listen });
    await saveUser(before, { id: "u", name: "n", version: 1 });
    const slaved = await connectUsers(t, before, {
      database,
      maxBackoffMs: 50,
      pollIntervalMs: 0,
    });
    const users = slaved.attach(Users);
    t.match(await users.getUserById("u"), { version: 1 });
    await before.close();
    const path = database.slice("sqlite:".length);
    for (const end of ["", "-wal", "-shm"]) rmSync(path + end, { force: true });
    const after = await openUsers(t, { database, listen });
    const commit = await saveUser(after, { id: "u", name: "n", version: 2 });
    await slaved.waitFor(commit, { timeoutMs: 20_000 });
    t.match(await users.getUserById("u"), { version: 2 });
  });

  await t.test("says that what the writer announced is not seen in the replica", async (t) => {
    const database = await postgresDatabase(t);
    const writer = await WriterStore.open({
      database,
      listen: "tcp://127.0.0.1:0",
    });
    t.teardown(() => writer.close());
    const replica = new URL(database);
    replica.port = String(await freePort());
    await t.rejects(
      SlavedStore.connect({
        database,
        replica: replica.href,
        replicate: String(writer.url),
        connectTimeoutMs: 2_000,
      }),
      {
        code: "CONNECT_TIMEOUT",
        message: new RegExp(
          `it is connected to ${writer.url}, and no position of its could be ` +
            `adopted; .* replica "postgres://.*:…@127.0.0.1:${replica.port}/`,
        ),
      },
    );
  });

  await t.test("says that the database isn't there", async (t) => {
    const database = temporaryDatabase(t);
    await t.rejects(
      SlavedStore.connect({
        database,
        replicate: "tcp://127.0.0.1:9",
        connectTimeoutMs: 50,
      }),
      { code: "CONNECT_TIMEOUT", message: /unable to open database/ },
    );
  });

  await t.test("goes on where the logger fails, at once or later", async (t) => {
    const database = temporaryDatabase(t);
    const loggers = [
      () => {
        throw new Error("no disk");
      },
      () => Promise.reject(new Error("no network")),
    ];
    for (const logger of loggers) {
      const writer = await WriterStore.open({
        database,
        logger,
        listen: "tcp://127.0.0.1:0",
      });
      const slaved = await SlavedStore.connect({
        database,
        logger,
        replicate: String(writer.url),
      });
      t.equal(slaved.stats.flushes, 1, "which is logged");
      await slaved.close();
      await writer.close();
    }
  });

  await t.test("refuses what can't be", async (t) => {
    const replicate = "tcp://127.0.0.1:9";
    await t.rejects(
      SlavedStore.connect({
        database: "sqlite:a.db",
        replicate,
        silenceTimeoutMs: 0,
      }),
      { code: "INVALID_ARGUMENT", message: /silenceTimeoutMs is 0; give/ },
    );
    const silent = { replicate, silenceTimeoutMs: 0 };
    t.throws(() => openRelay({ replicate, presenceTimeoutMs: 0 }), {
      code: "INVALID_ARGUMENT",
      message: /relay: presenceTimeoutMs is 0; give a number of ms above 0$/,
    });
    for (
      const open of [
        () => openRelay(silent),
        () => follow({ ...silent, onBatch() {} }),
      ]
    ) {
      t.throws(open, {
        code: "INVALID_ARGUMENT",
        message: /silenceTimeoutMs is 0; give/,
      });
    }
    await t.rejects(
      SlavedStore.connect({ database: "sqlite::memory:", replicate }),
      { code: "INVALID_ARGUMENT", message: /no other process can reach it/ },
    );
    await t.rejects(
      SlavedStore.connect({ database: "x", replicate, maxLineBytes: 1.5 }),
      { code: "INVALID_ARGUMENT", message: /maxLineBytes is 1\.5/ },
    );
    const database = temporaryDatabase(t);
    const writer = await WriterStore.open({ database });
    t.teardown(() => writer.close());
    await t.rejects(SlavedStore.connect({ database, replicate: "mqtt://x" }), {
      code: "INVALID_ARGUMENT",
      message: /"mqtt:\/\/x": give tcp:\/\/HOST:PORT/,
    });
    await t.rejects(
      SlavedStore.connect({ database, replicate, replica: "mysql://a:hush@x" }),
      { code: "INVALID_ARGUMENT", message: /replica "mysql:\/\/a:…@x": only/ },
    );
    await t.rejects(
      SlavedStore.connect({ database, replicate, http: "ftp://x" }),
      { code: "INVALID_ARGUMENT", message: /"ftp:\/\/x"; give http:\/\/HOST/ },
    );
  });

  await t.test("leaves nothing behind when it refuses", async (t) => {
    const database = temporaryDatabase(t);
    const writer = await WriterStore.open({ database });
    t.teardown(() => writer.close());
    let timers = 0;
    const clock: Clock = {
      ...systemClock,
      repeat(action, intervalMs) {
        const cancel = systemClock.repeat(action, intervalMs);
        timers += 1;
        return () => {
          timers -= 1;
          cancel();
        };
      },
    };
    const refused = [
      { replicate: "tls://h:1", tls: { key: "k", cert: "c" } },
      { replicate: "tcp://127.0.0.1:9", http: "ftp://x" },
    ];
    for (const options of refused) {
      await t.rejects(SlavedStore.connect({ database, clock, ...options }), {
        code: "INVALID_ARGUMENT",
      });
    }
    t.equal(timers, 0);
  });

  await t.test("gives up when its signal says so", async (t) => {
    const stop = new AbortController();
    const connecting = SlavedStore.connect({
      database: temporaryDatabase(t),
      replicate: "tcp://127.0.0.1:9",
      signal: stop.signal,
    });
    stop.abort(new Error("never mind"));
    await t.rejects(connecting, { message: "never mind" });
  });
});

t.test("an attached store", async (t) => {
  const database = temporaryDatabase(t);
  const writer = await openUsers(t, {
    database,
    listen: "tcp://127.0.0.1:0",
  });
  const slaved = await connectUsers(t, writer, { database });
  class Writes extends Users {
    async write(): Promise<void> {
      // deno-lint-ignore no-explicit-any -- the type forbids what is tried
      await (this.db as any).insertInto("users")
        .values({ id: "x", name: "X", version: 1 }).execute();
    }
  }

  for (
    const [side, store] of [["slaved", slaved], ["writer", writer]] as const
  ) {
    await t.test(`of a ${side} store can't write`, async (t) => {
      await t.rejects(store.attach(Writes).write(), /readonly/i);
    });
  }

  await t.test("counts hits, misses and invalidations", async (t) => {
    const users = slaved.attach(Users);
    await slaved.waitFor(
      await saveUser(writer, { id: "a", name: "A", version: 1 }),
    );
    await users.getUserById("a");
    await users.getUserById("a");
    await users.findUsers("A", 1);
    await users.countUsers();
    await slaved.waitFor(
      await saveUser(writer, { id: "a", name: "A", version: 2 }),
    );
    t.same(await users.findUsers("A", 2), ["a"]);
    const own = slaved.caches().filter(({ misses }) => misses > 0);
    t.match(own.find(({ name }) => name === "getUserById"), {
      entries: 0,
      hits: 1,
      misses: 1,
      invalidations: 1,
    });
    t.match(own.find(({ name }) => name === "findUsers"), { invalidations: 1 });
    t.match(own.find(({ name }) => name === "countUsers"), {
      entries: 0,
      invalidations: 1,
    });
  });
});

t.test("SlavedStore.close() does not wait for a handler", async (t) => {
  for (const isConnected of [true, false]) {
    const database = temporaryDatabase(t);
    const writer = await WriterStore.open<TestDatabase>({
      database,
      listen: "tcp://127.0.0.1:0",
    });
    t.teardown(() => writer.close());
    const slaved = await SlavedStore.connect<TestDatabase>({
      database,
      replicate: isConnected ? String(writer.url) : [],
      pollIntervalMs: 5,
    });
    const closed = new Promise<void>((resolve) => {
      slaved.subscribe("caches", async () => {
        // It would wait for itself.
        await slaved.close();
        resolve();
      });
    });
    await writer.transaction("write", (txn) => {
      txn.invalidateAll("x");
      return Promise.resolve();
    });
    await closed;
    t.equal(slaved.stats.state, "closed");
  }
});

// Followed through the database alone: poked by NOTIFY, or by nobody.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { SlavedStore, WriterStore } from "../../mod.ts";
import { DatabaseWatcher } from "../../src/replication/database_watcher.ts";
import { NotifyListener } from "../../src/replication/notify_listener.ts";
import { NotifyPoker } from "../../src/replication/notify_poker.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import {
  LISTEN_CHECK_INTERVAL_MS,
  MAX_BACKOFF_MS,
} from "../../src/runtime/limits.ts";
import { systemRandom } from "../../src/runtime/random.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { parseToken } from "../../src/tokens/token.ts";
import { until } from "../support/conditions.ts";
import { manualClock } from "../support/manual_clock.ts";
import { temporaryDatabase } from "../support/folders.ts";
import {
  type PostgresServer,
  sharedPostgres,
  startPostgres,
} from "../support/postgres.ts";
import { saveUser, type TestDatabase, Users } from "../support/stores.ts";
import { openUsers } from "../support/users.ts";

/** Longer than any test: what is seen is seen because of a poke. */
const NEVER_MS = 3_600_000;

async function open(
  t: Test,
  server: PostgresServer,
  options: { instance?: string; database?: string } = {},
) {
  const { instance, database = await server.createDatabase() } = options;
  const writer = await openUsers(t, { database, listen: "notify:", instance });
  return { database, writer };
}

async function follow(
  t: Test,
  database: string,
  options: { replicate?: string[]; pollIntervalMs?: number } = {},
) {
  const slaved = await SlavedStore.connect<TestDatabase>({
    database,
    replicate: "notify:",
    pollIntervalMs: NEVER_MS,
    ...options,
  });
  t.teardown(() => slaved.close());
  return { slaved, users: slaved.attach(Users) };
}

const bob = (version: number) => ({ id: "bob", name: "Bob", version });
const LISTENER = "application_name = 'headwater listen'";

t.test("NOTIFY", async (t) => {
  await t.test("tells readers when to look", async (t) => {
    const { database, writer } = await open(t, await sharedPostgres());
    const readers = [
      await follow(t, database),
      await follow(t, database, { pollIntervalMs: 0 }),
    ];
    for (let version = 1; version <= 30; version += 1) {
      const commit = await saveUser(writer, bob(version));
      for (const { slaved, users } of readers) {
        await slaved.waitFor(commit);
        t.equal((await users.getUserById("bob"))?.version, version);
      }
    }
    for (const { slaved } of readers) {
      t.equal(slaved.stats.state, "live");
      t.equal(slaved.stats.connections, 0, "nobody is connected to");
      t.equal(slaved.stats.flushes, 1);
    }
  });

  await t.test("of several writers", async (t) => {
    const server = await sharedPostgres();
    const { database, writer } = await open(t, server, { instance: "one" });
    const { slaved, users } = await follow(t, database);
    const late = await open(t, server, { instance: "two", database });
    for (let version = 1; version <= 10; version += 1) {
      const from = version % 2 === 0 ? writer : late.writer;
      await slaved.waitFor(await saveUser(from, bob(version)));
      t.equal((await users.getUserById("bob"))?.version, version);
    }
  });

  await t.test("many commits at a time", async (t) => {
    const { database, writer } = await open(t, await sharedPostgres());
    const { slaved, users } = await follow(t, database);
    for (let round = 0; round < 10; round += 1) {
      const commits = await Promise.all(
        Array.from(
          { length: 50 },
          (_, at) =>
            saveUser(writer, {
              id: `user ${at}`,
              name: `${round}`,
              version: 1,
            }),
        ),
      );
      await Promise.all(commits.map((commit) => slaved.waitFor(commit)));
      t.equal((await users.getUserById("user 49"))?.name, `${round}`);
    }
    t.same(slaved.position, writer.position);
  });

  await t.test("what others say on its channel does no harm", async (t) => {
    const server = await sharedPostgres();
    const { database, writer } = await open(t, server);
    const { slaved } = await follow(t, database);
    for (const text of ["", "x", "x y", "master", "master -5", "a 1e400"]) {
      await server.run(`select pg_notify('headwater', '${text}')`, database);
    }
    await server.run(`select pg_notify('headwater', 'nobody 99')`, database);
    await slaved.waitFor(await saveUser(writer, bob(1)));
    t.same([...slaved.position.keys()], ["master"]);
    t.equal(slaved.stats.state, "live");
  });

  await t.test("a connection that is cut off", async (t) => {
    const server = await sharedPostgres();
    const { database, writer } = await open(t, server);
    const { slaved, users } = await follow(t, database);
    for (let version = 1; version <= 6; version += 1) {
      const ended = await server.terminateBackends(
        database,
        version % 2 === 0 ? LISTENER : "application_name like 'headwater %'",
      );
      t.ok(ended > 0, `${ended} connections ended`);
      await slaved.waitFor(await saveUser(writer, bob(version)));
      t.equal((await users.getUserById("bob"))?.version, version);
      await until("it listens again", () => slaved.stats.state === "live");
    }
    t.equal(slaved.stats.flushes, 1, "nothing had to be cleared");
  });

  await t.test("a server that is restarted", async (t) => {
    const server = await startPostgres(t);
    const { database, writer } = await open(t, server);
    const { slaved, users } = await follow(t, database);
    await slaved.waitFor(await saveUser(writer, bob(1)));
    await server.stop("immediate");
    await until("it has noticed", () => slaved.stats.state === "connecting");
    await server.start();
    let commit: Awaited<ReturnType<typeof saveUser>> | undefined;
    await until("the writer is back", async () => {
      commit = await saveUser(writer, bob(2)).catch(() => undefined);
      return commit !== undefined;
    });
    if (commit === undefined) throw new Error("nothing was written");
    await slaved.waitFor(commit, { timeoutMs: 20_000 });
    t.equal((await users.getUserById("bob"))?.version, 2);
    await until("it listens again", () => slaved.stats.state === "live");
    t.equal(slaved.stats.flushes, 2, "a server's end may be a restore's sign");
  });

  await t.test("runs in no write transaction", async (t) => {
    const server = await startPostgres(t, {
      settings: { log_statement: "all", log_line_prefix: "<%p %v> " },
    });
    const { database, writer } = await open(t, server);
    const { slaved } = await follow(t, database);
    for (let version = 1; version <= 20; version += 1) {
      await slaved.waitFor(await saveUser(writer, bob(version)));
    }
    const statements = readFileSync(join(server.folder, "../log"), "utf8")
      .matchAll(/^<(\d+) \S*> LOG: {2}(?:statement|execute [^:]*): ([^\n]*)/gm);
    const byBackend = new Map<string, string[]>();
    for (const [, pid = "", sql = ""] of statements) {
      byBackend.set(pid, [...byBackend.get(pid) ?? [], sql]);
    }
    const speakers = [...byBackend.values()]
      .filter((all) => all.some((sql) => /notify/i.test(sql)));
    t.equal(speakers.length, 1, "one connection speaks");
    const others = speakers.flat().filter((sql) => !/pg_notify/.test(sql));
    t.same(others, [], "and does nothing else");
    const writes = [...byBackend.values()].flat()
      .filter((sql) => /insert into "?users/i.test(sql));
    t.ok(writes.length >= 20, `${writes.length} writes are in the log`);
  });

  await t.test("is for PostgreSQL alone", async (t) => {
    const database = temporaryDatabase(t);
    const error = {
      code: "INVALID_ARGUMENT",
      message: /"notify:": only PostgreSQL has NOTIFY; give tcp:/,
    };
    await t.rejects(WriterStore.open({ database, listen: "notify:" }), error);
    await t.rejects(
      SlavedStore.connect({ database, replicate: "notify:" }),
      error,
    );
  });
});

t.test("a reader that nobody pokes", async (t) => {
  for (const kind of ["SQLite", "PostgreSQL"]) {
    const database = kind === "SQLite"
      ? temporaryDatabase(t)
      : await (await sharedPostgres()).createDatabase();
    const writer = await openUsers(t, { database });
    const options = { replicate: [], pollIntervalMs: 5 };
    const { slaved, users } = await follow(t, database, options);
    t.equal(slaved.stats.state, "live");
    for (let version = 1; version <= 10; version += 1) {
      await slaved.waitFor(await saveUser(writer, bob(version)));
      t.equal((await users.getUserById("bob"))?.version, version, kind);
    }
  }
});

t.test("pokes come one at a time", async (t) => {
  const said: string[] = [];
  let answer = () => {};
  let isClosed = false;
  const poker = new NotifyPoker({
    client: {
      notify(payload) {
        said.push(payload);
        return new Promise((resolve) => answer = resolve);
      },
      close() {
        isClosed = true;
        return Promise.resolve();
      },
    },
    instance: "master",
    clock: systemClock,
    logger: silentLogger,
  });
  for (let token = 1; token <= 100; token += 1) poker.poke(parseToken(token));
  await until("it speaks", () => said.length > 0);
  t.same(said, ["master 100"], "of the last commit of a turn");
  poker.poke(parseToken(101));
  poker.poke(parseToken(102));
  answer();
  await until("it speaks again", () => said.length > 1);
  t.same(said, ["master 100", "master 102"]);
  poker.poke(parseToken(103));
  const closing = poker.close();
  answer();
  await until("it says the last", () => said.length > 2);
  answer();
  await closing;
  t.same(said.at(-1), "master 103");
  t.ok(isClosed);
});

t.test("a subscription that is lost unnoticed", async (t) => {
  const clock = manualClock();
  const never = new Promise<never>(() => {});
  // What each connection says of itself, in turn.
  const answers = [
    () => Promise.resolve(true),
    () => Promise.resolve(false),
    () => never,
    () => Promise.reject(new Error("no server")),
  ];
  let opened = 0;
  let closed = 0;
  let listening = 0;
  let asked = 0;
  const heard: string[] = [];
  let tell = (_payload: string) => {};
  const listener = new NotifyListener({
    open(notified) {
      opened += 1;
      tell = notified;
      return {
        listen: () => opened === 2 ? never : Promise.resolve(),
        isListening() {
          asked += 1;
          return answers.shift()?.() ?? Promise.resolve(true);
        },
        close() {
          closed += 1;
          return Promise.resolve();
        },
      };
    },
    poked: (instance, token) => void heard.push(`${instance} ${token}`),
    listening: () => void (listening += 1),
    clock,
    random: systemRandom,
    logger: silentLogger,
  });
  const pass = async (what: string, holds: () => boolean) => {
    await until(what, () => {
      if (holds()) return true;
      clock.advance(LISTEN_CHECK_INTERVAL_MS);
      return false;
    });
  };
  await until("it listens", () => listener.isListening);
  await pass("it is asked twice", () => asked === 2);
  await pass(
    "a second is opened, whose LISTEN is not answered",
    () => opened === 2,
  );
  t.equal(closed, 1);
  t.equal(listening, 1);
  await pass("a third is opened", () => opened === 3 && listening === 2);
  await pass(
    "one that doesn't answer is given up",
    () => opened === 4 && listening === 3,
  );
  await pass("one that fails, too", () => opened === 5 && listening === 4);
  t.equal(closed, 4);
  tell("master 5");
  t.same(heard, ["master 5"]);
  const closing = listener.close();
  await closing;
  t.equal(closed, 5);
  t.notOk(listener.isListening);
});

t.test("asking whether it still listens leaves nothing behind", async (t) => {
  const clock = manualClock();
  let asked = 0;
  let listeners = 0;
  const { addEventListener, removeEventListener } = AbortSignal.prototype;
  const { race } = Promise;
  let races = 0;
  t.teardown(() => {
    Object.assign(AbortSignal.prototype, {
      addEventListener,
      removeEventListener,
    });
    Promise.race = race;
  });
  Object.assign(AbortSignal.prototype, {
    addEventListener(this: AbortSignal, ...args: [string, () => void]) {
      listeners += 1;
      return addEventListener.apply(this, args);
    },
    removeEventListener(this: AbortSignal, ...args: [string, () => void]) {
      listeners -= 1;
      return removeEventListener.apply(this, args);
    },
  });
  // What is raced against keeps something of each race as long as it lives.
  Promise.race = function (...args: Parameters<typeof race>) {
    races += 1;
    return race.apply(Promise, args);
  } as typeof race;
  const listener = new NotifyListener({
    open: () => ({
      listen: () => Promise.resolve(),
      isListening() {
        asked += 1;
        return Promise.resolve(true);
      },
      close: () => Promise.resolve(),
    }),
    poked: () => {},
    listening: () => {},
    clock,
    random: systemRandom,
    logger: silentLogger,
  });
  const passed = async (checks: number) => {
    await until(`it is asked ${checks} times`, () => {
      if (asked < checks) clock.advance(LISTEN_CHECK_INTERVAL_MS / 2);
      return asked >= checks;
    });
    return { listeners, races };
  };
  const before = await passed(1);
  t.same(await passed(20), before);
  await listener.close();
});

t.test("a look that fails is made again", async (t) => {
  const clock = manualClock();
  let looks = 0;
  const followed: string[] = [];
  const watcher = new DatabaseWatcher({
    session: {
      dialect: "sqlite",
      run: () => 0,
      rows(sql) {
        if (sql.includes("headwater_instances")) return [["master", 5, "id"]];
        if (sql.includes("commit_id")) return [["id"]];
        looks += 1;
        return looks < 3 ? Promise.reject(new Error("no server")) : [[5]];
      },
    },
    isConnected: () => false,
    isReached: () => false,
    isApplied: () => true,
    follow(instance) {
      followed.push(instance);
      return Promise.resolve();
    },
    intervalMs: 0,
    clock,
    logger: silentLogger,
  });
  t.equal(clock.timers, 0, "it looks only when poked");
  watcher.poke();
  watcher.poke();
  await until("both looks are over", () => looks === 2 && clock.timers === 1);
  t.same(followed, []);
  clock.advance(MAX_BACKOFF_MS);
  await until("it has looked again", () => followed.length > 0);
  t.same(followed, ["master"]);
  await watcher.close();
  watcher.poke();
  t.equal(looks, 3, "never after close()");
  t.equal(clock.timers, 0);
});

// An instance is heard of over a connection and from the database. What one of
// them tells late must not look as if the log were rewound.

import { DatabaseSync } from "node:sqlite";
import t, { type Test } from "tap";
import { cachesStream, WriterStore } from "../../mod.ts";
import { CacheRegistry } from "../../src/caches/cache_registry.ts";
import { ChangeRegistry } from "../../src/caches/change_registry.ts";
import { defineChangeCache } from "../../src/caches/mod.ts";
import type { Session } from "../../src/database/engine.ts";
import { openForReading } from "../../src/database/open_database.ts";
import { ChangeFiller } from "../../src/replication/change_filler.ts";
import { Follower } from "../../src/replication/follower.ts";
import type { FollowerOptions } from "../../src/replication/follower_options.ts";
import { HistoryMarks } from "../../src/replication/history_marks.ts";
import { ReaderPosition } from "../../src/replication/reader_position.ts";
import { TransactionApplier } from "../../src/replication/transaction_applier.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import { type Deferred, deferred } from "../../src/runtime/waiting.ts";
import type { Token } from "../../src/tokens/token.ts";
import { until } from "../support/conditions.ts";
import { temporaryDatabase } from "../support/folders.ts";

const HOLDERS = /FROM headwater_holders\s+WHERE instance = \? ORDER/;
const COMMIT_ID = /^SELECT commit_id FROM headwater_log/;

t.test("news that is older than the position", async (t) => {
  const { heard, connection, database, position } = await start(t);
  await database.follow("master", 0 as Token, 4 as Token);
  t.same(heard, [1, 2, 3, 4]);

  await t.test("from a connection", async (t) => {
    await connection.position("caches", "master", 2 as Token, 2 as Token);
    t.equal(connection.stats.resets, 0);
    t.equal(position.get("master"), 4);
    t.ok(connection.isConnected("master"));
  });
  await t.test("from the database", async (t) => {
    await database.follow("master", 0 as Token, 2 as Token);
    t.equal(database.stats.resets, 0);
    t.equal(position.get("master"), 4);
  });
  t.same(heard, [1, 2, 3, 4], "nothing is handled twice");
});

t.test("two that adopt a position at the same time", async (t) => {
  const { heard, connection, database, position, write, reopen, hold } =
    await start(t);
  await database.follow("master", 0 as Token, 4 as Token);
  // Another holder of the name: the mark of the one before is out of date as
  // soon as the position has passed its start.
  await reopen();
  const last = await write();
  const { asked, release } = hold();
  const followed = database.follow("master", 0 as Token, last);
  await asked;
  const adopted = connection.position("caches", "master", last, last);
  // Enough for it to ask the log, had it not to wait.
  for (let turn = 0; turn < 100; turn += 1) {
    await new Promise<void>((resolve) => systemClock.nextTurn(resolve));
  }
  release();
  await Promise.all([followed, adopted]);
  t.equal(database.stats.resets + connection.stats.resets, 0);
  t.equal(position.get("master"), last);
  t.same(heard, [1, 2, 3, 4, last]);
});

t.test("a token that the log does not have is never adopted", async (t) => {
  const logged: unknown[] = [];
  const log = await start(t, {
    source: "tcp://there:1",
    logger: (level, message, fields) => {
      if (level === "error") logged.push([message, fields?.error]);
    },
  });
  const { connection, tell, database, position, write, cut } = log;
  const foreign = {
    code: "POSITION_FOREIGN",
    message: /token \d of instance "master", as tcp:\/\/there:1.* ends at \d;/,
  };
  await t.test("as the first one", async (t) => {
    await t.rejects(tell(5, 5), foreign);
    t.equal(position.get("master"), undefined);
    t.notOk(connection.isConnected("master"));
    t.match(logged, [["cannot adopt a position, trying again", /token 5/]]);
  });
  await t.test("after another one, which stays", async (t) => {
    await database.follow("master", 0 as Token, 4 as Token);
    await t.rejects(tell(6, 6), foreign);
    t.equal(position.get("master"), 4);
    t.equal(connection.stats.resets, 0);
  });
  await t.test("as it goes on", async (t) => {
    await tell(4, 4);
    await t.rejects(tell(6, 6), foreign);
    t.equal(position.get("master"), 4);
    connection.disconnected();
  });
  await t.test("nor where the log was rewound", async (t) => {
    cut(3);
    await t.rejects(tell(6, 6), foreign);
    t.equal(position.get("master"), 2, "the log's own end");
    t.equal(connection.stats.resets, 1);
    await t.rejects(tell(6, 6), foreign);
    t.equal(connection.stats.resets, 1, "once");
    while (await write() < 7);
    await tell(7, 7);
    t.equal(position.get("master"), 7);
  });
});

t.test("on a shared channel another log's tokens are passed over", async (t) => {
  const { connection, tell, position, write, heard } = await start(t, {
    isShared: () => true,
  });
  const row = (token: number) =>
    connection.row("caches", "master", token as Token, '["x",null,1]');
  await tell(6, 6);
  t.equal(position.get("master"), undefined);
  await tell(4, 4);
  t.equal(position.get("master"), 4);
  for (const previous of [6, 4, 0]) {
    await tell(previous, 6);
    t.equal(position.get("master"), 4, `${previous} 6`);
    t.notOk(connection.isConnected("master"));
    await row(7);
    t.equal(position.get("master"), 4, "nor are its rows taken");
    await tell(4, 4);
    t.ok(connection.isConnected("master"), "this log's are");
  }
  t.equal(connection.stats.resets, 1, "the first one of all");
  const last = await write();
  await tell(4, last);
  t.equal(position.get("master"), last);
  t.same(heard, []);
});

t.test("on a shared channel the next holder's tokens are not the last one's", async (t) => {
  for (const isRestored of [true, false]) {
    const { connection, tell, position, write, cut, reopen, holder, hold } =
      await start(t, { isShared: () => true });
    await tell(4, 4);
    const { resets } = connection.stats;
    connection.held("master", holder());
    t.ok(connection.isConnected("master"), "what it knows already");
    if (isRestored) cut(3);
    await reopen();
    while (await write() < 7);
    connection.held("master", holder());
    t.notOk(connection.isConnected("master"));
    const { asked, release } = hold();
    const told = tell(4, 7);
    await asked;
    t.equal(position.get("master"), 4, "before it has asked who that is");
    release();
    await told;
    t.equal(position.get("master"), 7);
    t.equal(connection.stats.resets - resets, isRestored ? 1 : 0);
  }
});

t.test("a token that retention has deleted is the log's", async (t) => {
  const { connection, tell, position, cut, retain } = await start(t);
  cut(4);
  retain(4);
  await tell(4, 4);
  t.equal(position.get("master"), 4);
  const { resets } = connection.stats;
  connection.disconnected();
  await tell(4, 4);
  t.equal(connection.stats.resets, resets, "on the next connection, too");
});

t.test("and one that it deletes as the log is asked for it", async (t) => {
  const { connection, tell, position, cut, retain, meanwhile } = await start(t);
  await tell(4, 4);
  const { resets } = connection.stats;
  connection.disconnected();
  meanwhile(COMMIT_ID, () => {
    cut(1);
    retain(4);
  });
  await tell(4, 4);
  t.equal(connection.stats.resets, resets);
  t.equal(position.get("master"), 4);
});

t.test("a reset waits for the transaction that is being handled", async (t) => {
  const { retain, applier, heard, connection, database, position } =
    await start(
      t,
    );
  await database.follow("master", 0 as Token, 1 as Token);
  await connection.position("caches", "master", 1 as Token, 1 as Token);
  const held = deferred<void>();
  const begun = deferred<void>();
  const reached: unknown[] = [];
  const stop = applier.addHandler("caches", () => {
    begun.resolve();
    return held.promise;
  });
  applier.addHandler("caches", ({ token }) => {
    reached.push([token, position.get("master")]);
  });
  const applied = connection.row(
    "caches",
    "master",
    2 as Token,
    '["x",null,1]',
  );
  // It might grow until then.
  const told = connection.position("caches", "master", 2 as Token, 2 as Token);
  await begun.promise;
  retain(3);
  const followed = database.follow("master", 0 as Token, 4 as Token);
  await until("it is reset", () => database.stats.resets === 1);
  for (let turn = 0; turn < 100; turn += 1) {
    await new Promise<void>((resolve) => systemClock.nextTurn(resolve));
  }
  t.equal(position.get("master"), 1, "not in the middle of it");
  held.resolve();
  await Promise.all([applied, told, followed]);
  stop();
  t.same(heard, [1, 2]);
  t.same(reached, [[2, 1]]);
  t.equal(position.get("master"), 4);
});

t.test("a reset amid a transaction does not lose what that changes", async (t) => {
  const { applier, changes, connection, database, position, cut, rewrite } =
    await start(t);
  await database.follow("master", 0 as Token, 3 as Token);
  await connection.position("caches", "master", 3 as Token, 3 as Token);
  const held = deferred<void>();
  const begun = deferred<void>();
  applier.addHandler("caches", () => {
    begun.resolve();
    return held.promise;
  });
  const hasChanged = () =>
    changes.all[0]?.caches.get("master")?.hasChanged("x", 3);
  const seen: (boolean | undefined)[] = [];
  const advance = position.advance.bind(position);
  position.advance = (instance, token) => {
    advance(instance, token);
    if (position.get("master") === 4) seen.push(hasChanged());
  };
  const applied = connection.row(
    "caches",
    "master",
    4 as Token,
    '["x",null,1]',
  );
  // It might grow until then.
  const told = connection.position("caches", "master", 4 as Token, 4 as Token);
  await begun.promise;
  cut(4);
  rewrite(3);
  const followed = database.follow("master", 0 as Token, 3 as Token);
  await until("it is reset", () => database.stats.resets === 1);
  held.resolve();
  await Promise.allSettled([applied, told, followed]);
  t.ok(seen.length > 0);
  t.ok(seen.every((isKnown) => isKnown), "where the position moves over it");
  t.equal(hasChanged(), true, "nor afterwards");
});

/** A log of four tokens, and two ways to it that share a position. */
async function start(t: Test, given: Partial<FollowerOptions> = {}) {
  const url = temporaryDatabase(t);
  let writer = await WriterStore.open({ database: url });
  t.teardown(() => writer.close());
  let holder = "";
  const write = async () => {
    const commit = await writer.transaction("write", (txn) => {
      txn.invalidateAll("x");
      return Promise.resolve();
    });
    holder = commit.holder;
    return commit.token;
  };
  for (let count = 0; count < 4; count += 1) await write();

  const change = (sql: string, value: number) => {
    const log = new DatabaseSync(url.slice("sqlite:".length));
    log.prepare(sql).run(value);
    log.close();
  };
  const engine = openForReading(url, {});
  t.teardown(() => engine.close());
  let due: { before: RegExp; work: () => void } | undefined;
  let held: { asked: Deferred<void>; released: Deferred<void> } | undefined;
  const session: Session = {
    dialect: engine.session.dialect,
    run: (sql, parameters) => engine.session.run(sql, parameters),
    async rows(sql, parameters) {
      if (due?.before.test(sql)) {
        due.work();
        due = undefined;
      }
      if (HOLDERS.test(sql)) {
        held?.asked.resolve();
        await held?.released.promise;
      }
      return await engine.session.rows(sql, parameters);
    },
  };
  const position = new ReaderPosition(systemClock);
  const history = new HistoryMarks({ session, position, clock: systemClock });
  t.teardown(() => history.close());
  const caches = new CacheRegistry([], silentLogger);
  const changes = new ChangeRegistry([
    defineChangeCache("changed", {
      stream: cachesStream,
      entities: ([name]) => [name],
    }),
  ], silentLogger);
  const applier = new TransactionApplier(
    caches,
    position,
    silentLogger,
    undefined,
    systemClock,
    undefined,
    changes,
  );
  const heard: number[] = [];
  applier.addHandler("caches", ({ token }) => void heard.push(token));
  const options = {
    session,
    refresh: () => {},
    applier,
    caches,
    position,
    history,
    changes: new ChangeFiller(session, changes),
    clock: systemClock,
    logger: silentLogger,
    live: () => {},
    ...given,
  };
  const connection = new Follower(options);
  return {
    url,
    applier,
    changes,
    heard,
    position,
    connection,
    /** Has the connection say a position. */
    tell: async (previous: number, token: number) =>
      await connection.position(
        "caches",
        "master",
        previous as Token,
        token as Token,
      ),
    database: new Follower(options),
    write,
    /** Loses what was committed from a token on. */
    cut: (from: number) =>
      change("DELETE FROM headwater_log WHERE token >= ?", from),
    /** Puts another transaction in the place of one. */
    rewrite: (token: number) =>
      change("UPDATE headwater_log SET commit_id = 'x' WHERE token = ?", token),
    /** Says that retention has come to a token. */
    retain: (floor: number) =>
      change("INSERT INTO headwater_retained VALUES ('caches', ?)", floor),
    async reopen() {
      await writer.close();
      writer = await WriterStore.open({ database: url });
    },
    /** Who made the last commit. */
    holder: () => holder,
    /** Does something once, before the log is asked for what matches. */
    meanwhile: (before: RegExp, work: () => void) => {
      due = { before, work };
    },
    /** Lets whoever asks for the holder wait. */
    hold() {
      const asked = deferred<void>();
      const released = deferred<void>();
      held = { asked, released };
      return {
        asked: asked.promise,
        release: () => {
          held = undefined;
          released.resolve();
        },
      };
    },
  };
}

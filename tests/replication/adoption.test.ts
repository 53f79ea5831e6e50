// An instance is heard of over a connection and from the database. What one of
// them tells late must not look as if the log were rewound.

import { DatabaseSync } from "node:sqlite";
import t, { type Test } from "tap";
import { WriterStore } from "../../mod.ts";
import { CacheRegistry } from "../../src/caches/cache_registry.ts";
import type { Session } from "../../src/database/engine.ts";
import { openForReading } from "../../src/database/open_database.ts";
import { Follower } from "../../src/replication/follower.ts";
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

t.test("what a writer told that has died proves nothing", async (t) => {
  const { connection, position, write } = await start(t);
  const tell = (token: number) =>
    connection.position("caches", "master", token as Token, token as Token);
  // A restore has undone it, and others are to have its tokens.
  await tell(6);
  t.equal(position.get("master"), 6);
  t.equal(connection.stats.resets, 1);
  connection.disconnected();
  for (let count = 0; count < 3; count += 1) await write();
  await tell(7);
  t.equal(connection.stats.resets, 2, "token 6 is another transaction");
  t.equal(position.get("master"), 7);
});

t.test("a reset waits for the transaction that is being handled", async (t) => {
  const { url, applier, heard, connection, database, position } = await start(
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
  const log = new DatabaseSync(url.slice("sqlite:".length));
  log.exec("INSERT INTO headwater_retained VALUES ('caches', 3)");
  log.close();
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

/** A log of four tokens, and two ways to it that share a position. */
async function start(t: Test) {
  const url = temporaryDatabase(t);
  let writer = await WriterStore.open({ database: url });
  t.teardown(() => writer.close());
  const write = async () => {
    const { token } = await writer.transaction("write", (txn) => {
      txn.invalidateAll("x");
      return Promise.resolve();
    });
    return token;
  };
  for (let count = 0; count < 4; count += 1) await write();

  const engine = openForReading(url, {});
  t.teardown(() => engine.close());
  let held: { asked: Deferred<void>; released: Deferred<void> } | undefined;
  const session: Session = {
    dialect: engine.session.dialect,
    run: (sql, parameters) => engine.session.run(sql, parameters),
    async rows(sql, parameters) {
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
  const applier = new TransactionApplier(caches, position, silentLogger);
  const heard: number[] = [];
  applier.addHandler("caches", ({ token }) => void heard.push(token));
  const options = {
    session,
    refresh: () => {},
    applier,
    caches,
    position,
    history,
    clock: systemClock,
    logger: silentLogger,
    live: () => {},
  };
  return {
    url,
    applier,
    heard,
    position,
    connection: new Follower(options),
    database: new Follower(options),
    write,
    async reopen() {
      await writer.close();
      writer = await WriterStore.open({ database: url });
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

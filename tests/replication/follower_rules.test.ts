// What a follower makes of positions and rows, without a network.

import t, { type Test } from "tap";
import { WriterStore } from "../../mod.ts";
import { CacheRegistry } from "../../src/caches/cache_registry.ts";
import type { Session } from "../../src/database/engine.ts";
import { openDatabase } from "../../src/database/open_database.ts";
import { BatchAssembler } from "../../src/replication/batch_assembler.ts";
import {
  type Receiver,
  ReplicationClient,
} from "../../src/replication/client.ts";
import { Follower } from "../../src/replication/follower.ts";
import type { FollowerOptions } from "../../src/replication/follower_options.ts";
import { HistoryMarks } from "../../src/replication/history_marks.ts";
import { LagMeter } from "../../src/replication/lag_meter.ts";
import { ReaderPosition } from "../../src/replication/reader_position.ts";
import { TransactionApplier } from "../../src/replication/transaction_applier.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { HeadwaterError } from "../../src/runtime/errors.ts";
import { MAX_INSTANCES } from "../../src/runtime/limits.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import { systemRandom } from "../../src/runtime/random.ts";
import type { Token } from "../../src/tokens/token.ts";
import type { ConnectionHandler } from "../../src/transport/transport.ts";
import { until } from "../support/conditions.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { type ManualClock, manualClock } from "../support/manual_clock.ts";

const token = (value: number) => value as Token;
const ROW = '["x",["a"],1]';

/** A log of `count` tokens, and a follower of it. */
async function start(
  t: Test,
  count: number,
  options: Partial<FollowerOptions> = {},
) {
  const url = temporaryDatabase(t);
  const writer = await WriterStore.open({ database: url });
  const write = async () => {
    await writer.transaction("write", (txn) => {
      txn.invalidate("x", ["a"]);
      return Promise.resolve();
    });
  };
  for (let left = count; left > 0; left -= 1) await write();
  t.teardown(() => writer.close());
  const engine = openDatabase(url, systemClock, {});
  t.teardown(() => engine.close());
  const failing: { isOn: boolean; reads: number; floor: number | undefined } = {
    isOn: false,
    reads: 0,
    floor: undefined,
  };
  const session: Session = {
    dialect: "sqlite",
    run: (sql, parameters) => engine.session.run(sql, parameters),
    rows(sql, parameters) {
      failing.reads += 1;
      if (failing.isOn) {
        throw new HeadwaterError("DATABASE_UNAVAILABLE", "gone");
      }
      // Retention that gets ahead between a catch-up's check and its page.
      if (failing.floor !== undefined && sql.includes("group_concat")) {
        const { floor } = failing;
        failing.floor = undefined;
        void engine.transaction(
          "retain",
          (session) =>
            Promise.resolve(session.run(
              "INSERT INTO headwater_retained VALUES ('caches', ?)",
              [floor],
            )).then(() => {}),
        );
      }
      return engine.session.rows(sql, parameters);
    },
  };
  const position = new ReaderPosition(systemClock);
  const history = new HistoryMarks({ session, position, clock: systemClock });
  t.teardown(() => history.close());
  const caches = new CacheRegistry([], silentLogger);
  const applier = new TransactionApplier(caches, position, silentLogger);
  const heard: string[] = [];
  applier.addHandler(
    "caches",
    ({ instance, token }) => void heard.push(`${instance} ${token}`),
  );
  const follower = new Follower({
    session,
    refresh: () => {},
    applier,
    caches,
    position,
    history,
    clock: systemClock,
    logger: silentLogger,
    live: () => {},
    ...options,
  });
  t.teardown(() => follower.close());
  return {
    follower,
    position,
    caches,
    applier,
    heard,
    failing,
    write,
    session,
    history,
  };
}

t.test("a row before its instance's position on this connection is dropped", async (t) => {
  const { follower, heard, position } = await start(t, 3);
  follower.row("caches", "master", token(1), ROW);
  await follower.position("caches", "master", token(1), token(1));
  t.same(heard, []);
  follower.row("caches", "master", token(2), ROW);
  await follower.position("caches", "master", token(1), token(2));
  t.same(heard, ["master 2"]);
  follower.row("caches", "master", undefined, ROW);
  follower.disconnected();
  follower.row("caches", "master", token(3), ROW);
  await follower.position("caches", "master", token(3), token(3));
  t.same(heard, ["master 2", "master 3"], "it is fetched, once");
  t.equal(position.get("master"), 3);
});

t.test("what a lost connection had begun to tell is forgotten, and fetched whole", async (t) => {
  const { follower, heard } = await start(t, 2);
  await follower.position("caches", "master", token(1), token(1));
  follower.row("other", "master", token(2), "{}");
  follower.disconnected();
  await follower.position("caches", "master", token(2), token(2));
  t.same(heard, ["master 2"], "with the rows that had not come");
});

t.test("a position ends batches that have not ended", async (t) => {
  const { follower, heard, applier } = await start(t, 3);
  await follower.position("caches", "master", token(1), token(1));
  follower.row("caches", "master", undefined, ROW);
  await follower.position("caches", "master", token(1), token(1));
  follower.row("caches", "master", token(2), ROW);
  await follower.position("caches", "master", token(2), token(2));
  t.same(heard, ["master 2"]);
  t.equal(applier.stats.rows, 1);
});

t.test("what is deleted while it is fetched is missed, and all is cleared", async (t) => {
  const { follower, heard, position, failing, caches } = await start(t, 5);
  await follower.position("caches", "master", token(1), token(1));
  const { flushes } = caches.stats;
  failing.floor = 3;
  await follower.position("caches", "master", token(5), token(5));
  t.equal(failing.floor, undefined, "it was while a page was read");
  t.equal(position.get("master"), 5);
  t.equal(caches.stats.flushes, flushes + 1);
  t.same(heard, []);
  t.equal(follower.stats.resets, 2);
});

t.test("A008: a token is reached by its own instance only", async (t) => {
  const { follower, position } = await start(t, 3);
  await follower.position("caches", "master", token(1), token(1));
  await follower.position("caches", "other", token(0), token(0));
  follower.row("caches", "other", token(9), ROW);
  await follower.position("caches", "other", token(0), token(9));
  await t.rejects(
    position.waitFor(new Map([["master", token(2)]]), { timeoutMs: 1 }),
    { code: "WAIT_TIMEOUT" },
  );
  const waiting = position.waitFor(new Map([["master", token(2)]]), {});
  await follower.position("caches", "master", token(1), token(2));
  t.match(await waiting, { outcome: "reached" });
});

t.test("A009: a position without rows reaches a token that has none", async (t) => {
  const { follower, position } = await start(t, 3);
  await follower.position("caches", "master", token(1), token(1));
  const waiting = position.waitFor(new Map([["master", token(3)]]), {});
  follower.row("caches", "master", token(2), ROW);
  t.equal(position.get("master"), 1);
  await follower.position("caches", "master", token(1), token(3));
  await waiting;
});

t.test("a position that moves back is compared with the log", async (t) => {
  const { follower, position, caches } = await start(t, 5);
  await follower.position("caches", "master", token(5), token(5));
  const { flushes } = caches.stats;
  await follower.position("caches", "master", token(3), token(3));
  t.equal(position.get("master"), 5, "5 is in the log: what came was old");
  t.equal(caches.stats.flushes, flushes);
  await follower.position("caches", "master", token(5), token(9));
  t.equal(position.get("master"), 9, "as if 6 to 9 had been lost in a restore");
  await follower.position("events", "master", token(4), token(4));
  t.equal(position.get("master"), 9, "another stream, told for the first time");
  await follower.position("caches", "master", token(5), token(5));
  t.equal(position.get("master"), 5);
  t.equal(caches.stats.flushes, flushes + 1);
  t.ok(follower.isLive);
});

t.test("rule 6: it fetches again after longer and longer, and is not live before it has", async (t) => {
  const clock = manualClock();
  const { follower, failing, position } = await start(t, 5, { clock });
  await follower.position("caches", "master", token(2), token(2));
  failing.isOn = true;
  const adopted = follower.position("caches", "master", token(5), token(5));
  for (const delayMs of [100, 100 * Math.E, 100 * Math.E ** 2, 2_000, 2_000]) {
    await until("it pauses", () => clock.timers === 1);
    t.notOk(follower.isLive);
    const { reads } = failing;
    clock.advance(delayMs - 1);
    t.equal(failing.reads, reads, `not before ${delayMs} ms`);
    clock.advance(1.001);
    await until("it reads", () => failing.reads > reads);
  }
  await until("it pauses", () => clock.timers === 1);
  failing.isOn = false;
  clock.advance(2_000);
  await adopted;
  t.ok(follower.isLive);
  t.equal(position.get("master"), 5);
});

t.test("a client that never gets as far as live connects ever more slowly", async (t) => {
  const clock = manualClock();
  let handler: ConnectionHandler | undefined;
  const receiver: Receiver & { isLive: boolean } = {
    isLive: false,
    row() {},
    position() {},
    disconnected() {},
  };
  const client = new ReplicationClient({
    transport: {
      listen: () => Promise.reject(new HeadwaterError("BUG", "not asked for")),
      connect: (accept) => {
        const connection = {
          isShared: false,
          queuedBytes: 0,
          remote: "test",
          send() {},
          pause() {},
          resume() {},
          close() {},
        };
        handler = accept(connection);
        return Promise.resolve(connection);
      },
    },
    receiver,
    name: "test",
    clock,
    random: { ...systemRandom, fraction: () => 1 },
    logger: silentLogger,
  });
  client.open();
  t.teardown(() => client.close());
  const cut = async (isLive: boolean, delayMs: number) => {
    await until("it is connected", () => handler !== undefined);
    receiver.isLive = isLive;
    const ended = handler;
    handler = undefined;
    ended?.received("SERVER a\nPOSITION caches master 1 1\n");
    ended?.closed();
    await until("it pauses", () => clock.timers === 1);
    const { connections } = client;
    clock.advance(delayMs - 1);
    await new Promise((resolve) => setImmediate(resolve));
    t.equal(client.connections, connections, `not before ${delayMs} ms`);
    clock.advance(1.001);
    await until("it connects", () => client.connections > connections);
  };
  for (const delayMs of [100, 100 * Math.E, 100 * Math.E ** 2, 2_000, 2_000]) {
    await cut(false, delayMs);
  }
  await cut(true, 100);
  await cut(false, 100 * Math.E);
});

t.test("the bound of rows that wait counts for each instance", (t) => {
  const assembler = new BatchAssembler({ maxRows: 10, maxChars: 1_000 });
  const add = (instance: string, at: Token | undefined) =>
    assembler.addRow("caches", instance, at, ROW);
  for (let count = 0; count < 10; count += 1) add("a", undefined);
  for (let count = 1; count < 30; count += 1) add("b", token(count));
  t.throws(() => add("a", undefined), { code: "TRANSACTION_TOO_LARGE" });
  t.end();
});

t.test("lag is what was announced and is not applied", (t) => {
  const clock: ManualClock = manualClock();
  const position = new ReaderPosition(clock);
  const lag = new LagMeter(position, clock);
  t.same(lag.lags, []);
  lag.announced("b", token(4));
  clock.advance(1_000);
  lag.announced("b", token(9));
  lag.announced("a", token(1));
  position.reset("a", token(1));
  clock.advance(500);
  t.same(lag.lags, [
    { instance: "a", announced: 1, reached: 1, tokens: 0, seconds: 0 },
    {
      instance: "b",
      announced: 9,
      reached: undefined,
      tokens: 9,
      seconds: 1.5,
    },
  ]);
  position.reset("b", token(5));
  t.match(lag.lags[1], { reached: 5, tokens: 4, seconds: 0.5 });
  position.advance("b", token(12));
  t.match(lag.lags[1], { announced: 12, tokens: 0, seconds: 0 });
  lag.reset("b", token(3));
  position.reset("b", token(3));
  t.match(lag.lags[1], { announced: 3, reached: 3, tokens: 0, seconds: 0 });
  for (let count = 100; count < 10_000; count += 1) {
    lag.announced("b", token(count));
  }
  t.match(lag.lags[1], { announced: 9_999, tokens: 9_996 });
  t.end();
});

t.test("promise 9: one connection tells of so many instances, and not of one more", async (t) => {
  const { follower, position } = await start(t, 1);
  const at = token(0);
  for (let index = 0; index < MAX_INSTANCES; index += 1) {
    await follower.position("caches", `writer${index}`, at, at);
  }
  t.throws(() => follower.position("caches", "one more", at, at), {
    code: "LINE_INVALID",
    message: /^Cannot follow instance "one more": .* of 1000 others; look at/,
  });
  t.equal(position.get("one more"), undefined);
  await follower.position("caches", "writer0", at, at);
  follower.disconnected();
  await follower.position("caches", "one more", at, at);
  t.equal(position.get("one more"), 0, "another connection begins anew");
});

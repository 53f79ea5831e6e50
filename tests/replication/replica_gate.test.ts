// When a replica counts as having what its primary has, and when it never will.

import t from "tap";
import type { Session } from "../../src/database/engine.ts";
import { DatabaseLife } from "../../src/replication/database_life.ts";
import { ReplicaGate } from "../../src/replication/replica_gate.ts";
import { HeadwaterError } from "../../src/runtime/errors.ts";
import { MARK_INTERVAL_MS } from "../../src/runtime/limits.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import { VirtualClock } from "../../src/testing/mod.ts";
import type { Token } from "../../src/tokens/token.ts";

/** What a server says, as PostgreSQL would. */
interface Server {
  lsn: string;
  holder: string;
  tokens: number[];
  floor: number;
  life: string;
}

function sessionOf(server: Server): Session {
  return {
    dialect: "postgres",
    run: () => 0,
    rows(sql, [least]) {
      if (sql.includes("_lsn()")) return [[server.lsn]];
      if (sql.includes("headwater_holders")) return [[1, server.holder]];
      if (sql.includes("headwater_retained")) return [[server.floor]];
      if (sql.includes("postmaster")) return [[server.life]];
      return server.tokens.filter((token) =>
        sql.startsWith("SELECT 1") ? token === least : token >= Number(least)
      ).map((token) => [token]);
    },
  };
}

function start() {
  const make = (): Server => ({
    lsn: "0/20",
    holder: "a",
    tokens: [1, 2, 3],
    floor: 0,
    life: "first",
  });
  const [primary, replica] = [make(), make()];
  const clock = new VirtualClock();
  const gate = new ReplicaGate({
    replica: sessionOf(replica),
    primary: sessionOf(primary),
    clock,
    logger: silentLogger,
  });
  return {
    gate,
    primary,
    replica,
    clock,
    /** Waits, and tells how that has ended so far. */
    wait(token: number, isReset = false) {
      const ended: { how?: unknown } = {};
      gate.visible("master", token as Token, isReset).then(
        () => ended.how = "visible",
        (error) => ended.how = error.code,
      );
      return ended;
    },
  };
}

t.test("a token that is there is visible at once, another once it comes", async (t) => {
  const { replica, clock, wait } = start();
  replica.tokens = [1, 3];
  const there = wait(3);
  const missing = wait(2);
  await clock.advance(100);
  t.equal(there.how, "visible");
  t.equal(missing.how, undefined);
  replica.tokens.push(2);
  await clock.advance(100);
  t.equal(missing.how, "visible");
});

t.test("after a reset all must be there that the primary had, not one token alone", async (t) => {
  const { replica, clock, wait } = start();
  replica.lsn = "0/1F";
  const ended = wait(3, true);
  await clock.advance(500);
  t.equal(ended.how, undefined, "token 3 is there, a lower one may not be");
  replica.lsn = "0/20";
  await clock.advance(500);
  t.equal(ended.how, "visible");
});

t.test("after a reset it must know the same holder of the name", async (t) => {
  const { replica, clock, wait } = start();
  replica.holder = "another, of before a restore";
  const ended = wait(3, true);
  await clock.advance(500);
  t.equal(ended.how, undefined);
  replica.holder = "a";
  await clock.advance(500);
  t.equal(ended.how, "visible");
});

t.test("what the primary has lost is not waited for", async (t) => {
  const { primary, replica, clock, wait } = start();
  primary.tokens = replica.tokens = [1, 2];
  const ended = wait(3);
  await clock.advance(MARK_INTERVAL_MS / 2);
  t.equal(ended.how, undefined);
  await clock.advance(MARK_INTERVAL_MS);
  t.equal(ended.how, "LOG_REWOUND");

  replica.lsn = "0/10";
  const reset = wait(2, true);
  await clock.advance(1);
  primary.lsn = "0/08";
  await clock.advance(2 * MARK_INTERVAL_MS);
  t.equal(
    reset.how,
    "LOG_REWOUND",
    "nor a place that it doesn't have any more",
  );
});

t.test("closing ends a wait, with the error that is given", async (t) => {
  const { gate, replica, clock, wait } = start();
  replica.tokens = [1, 2];
  const ended = wait(3);
  await clock.advance(1);
  gate.close(new HeadwaterError("CLOSED", "enough"));
  await clock.advance(1);
  t.equal(ended.how, "CLOSED");
});

t.test("what retention has deleted there was there before", async (t) => {
  const { replica, clock, wait } = start();
  replica.tokens = [];
  replica.floor = 3;
  const ended = wait(3);
  await clock.advance(100);
  t.equal(ended.how, "visible");
});

t.test("a server that was restored has another life", async (t) => {
  const { primary, replica } = start();
  const life = new DatabaseLife([sessionOf(primary), sessionOf(replica)]);
  t.notOk(await life.isAnother(), "nothing is known yet");
  t.notOk(await life.isAnother());
  replica.life = "second";
  t.ok(await life.isAnother());
  t.notOk(await life.isAnother());
});

// Who is present, by a clock in the test's hand.

import t from "tap";
import {
  type PresenceSource,
  PresenceTable,
} from "../../src/replication/presence.ts";
import { type Logger, silentLogger } from "../../src/runtime/logger.ts";
import { until } from "../support/conditions.ts";
import { manualClock } from "../support/manual_clock.ts";

function start(logger: Logger = silentLogger) {
  const hand = manualClock();
  // Time that passes while nothing runs, as in a process that is suspended.
  let sleptMs = 0;
  const clock = { ...hand, monotonicMs: () => hand.monotonicMs() + sleptMs };
  const sleep = (ms: number) => void (sleptMs += ms);
  const table = new PresenceTable({
    instance: "master",
    graceMs: 1_000,
    timeoutMs: 60_000,
    maxUsers: 10,
    clock,
    logger,
  });
  const source = (isShared = false) => ({
    isShared,
    heardMs: clock.monotonicMs(),
  });
  const sync = (
    source: PresenceSource,
    instanceId: string,
    userId: string,
    isSyncing = true,
  ) =>
    table.userSync({
      kind: "USER_SYNC",
      instanceId,
      userId,
      deviceId: null,
      isSyncing,
      lastSyncMs: 1,
    }, source);
  const pass = (ms: number, step = 100) => {
    for (let left = ms; left > 0; left -= step) clock.advance(step);
  };
  return { clock, table, source, sync, pass, sleep };
}

t.test("a process that lost its connection is forgotten after the grace, not before", (t) => {
  const { table, source, sync, pass } = start();
  const link = source();
  sync(link, "a", "@bob");
  table.gone(link);
  pass(900);
  t.ok(table.isPresent("@bob"));
  pass(500);
  t.notOk(table.isPresent("@bob"));
  t.equal(table.size, 0);
  t.end();
});

t.test("a process that falls silent is forgotten after the timeout; any sign of life counts", (t) => {
  const { clock, table, source, sync, pass } = start();
  const link = source();
  sync(link, "a", "@bob");
  pass(50_000);
  link.heardMs = clock.monotonicMs();
  pass(50_000);
  t.ok(table.isPresent("@bob"), "it was heard in between");
  pass(20_000);
  t.notOk(table.isPresent("@bob"));
  t.end();
});

t.test("on a shared channel others' lives say nothing, and a start told again does", (t) => {
  const { clock, table, source, sync, pass } = start();
  const channel = source(true);
  sync(channel, "a", "@bob");
  sync(channel, "b", "@eve");
  for (let round = 0; round < 4; round += 1) {
    pass(20_000);
    channel.heardMs = clock.monotonicMs();
    sync(channel, "b", "@eve");
    table.replicating(channel);
  }
  t.same(table.users(), ["@eve"]);
  table.gone(channel);
  pass(2_000);
  t.same(table.users(), ["@eve"], "the channel's end is not the process's");
  pass(60_000);
  t.same(table.users(), []);
  t.end();
});

t.test("a writer that was itself held up forgets nobody for that", (t) => {
  const { table, source, sync, pass, sleep } = start();
  const link = source();
  const lost = source();
  sync(link, "a", "@bob");
  sync(lost, "b", "@eve");
  pass(1_000);
  table.gone(lost);
  sleep(3_600_000);
  pass(500);
  t.same(table.users(), ["@bob", "@eve"]);
  pass(1_500);
  t.same(table.users(), ["@bob"]);
  t.end();
});

t.test("the old connection's end says nothing of who is back on a new one", (t) => {
  const { table, source, sync, pass } = start();
  const old = source();
  const now = source();
  sync(old, "a", "@bob");
  sync(old, "a", "@eve");
  sync(now, "a", "@bob");
  table.gone(old);
  t.same(table.users(), ["@bob", "@eve"], "until it asks for positions");
  table.replicating(now);
  t.same(table.users(), ["@bob"]);
  pass(5_000);
  t.same(table.users(), ["@bob"]);
  t.end();
});

t.test("listeners hear each change once, and hurt nobody", async (t) => {
  const failed: unknown[] = [];
  const { table, source, sync } = start((_level, _message, fields) => {
    failed.push(fields?.error);
  });
  const heard: string[] = [];
  const spoil = table.onChange(() => {
    throw new TypeError("no");
  });
  const spoilLater = table.onChange(() => Promise.reject(new Error("later")));
  const stop = table.onChange(({ userId, instanceId, isStart, isPresent }) =>
    void heard.push(`${userId} ${instanceId} ${isStart} ${isPresent}`)
  );
  const link = source();
  sync(link, "a", "@bob");
  sync(link, "b", "@bob");
  table.clear({ instanceId: "a" });
  table.clear({ instanceId: "a" });
  sync(link, "b", "@bob", false);
  stop();
  sync(link, "b", "@bob");
  t.same(heard, [
    "@bob a true true",
    "@bob b true true",
    "@bob a false true",
    "@bob b false false",
  ]);
  t.same(failed.slice(0, 2), ["no", "no"]);
  await until("all have failed", () => failed.length === 10);
  t.equal(failed.filter((error) => error === "later").length, 5);
  spoil();
  spoilLater();
});

t.test("nobody in excess is taken in, and nothing is left of them", (t) => {
  const { table, source, sync } = start();
  const link = source();
  for (let user = 0; user < 20; user += 1) sync(link, "a", `@${user}`);
  for (let process = 0; process < 20; process += 1) {
    sync(link, `p${process}`, "@0");
  }
  t.equal(table.size, 10);
  t.same(table.sessions("@0").map(({ instanceId }) => instanceId), ["a"]);
  table.clear({ instanceId: "a" });
  t.equal(table.size, 0);
  sync(link, "p", "@0");
  t.equal(table.size, 1);
  table.close();
  t.end();
});

t.test("users of the writer's own process stay until they end", (t) => {
  const { table, pass } = start();
  table.start("@bob", "phone");
  table.start("@bob", "phone");
  table.start("@bob");
  pass(120_000);
  t.same(
    table.sessions("@bob").map(({ instanceId, deviceId }) => [
      instanceId,
      deviceId,
    ]),
    [["master", "phone"], ["master", null]],
  );
  table.end("@bob", "phone");
  table.end("@bob");
  table.end("@bob");
  t.equal(table.size, 0);
  for (let user = 0; user < 10; user += 1) table.start(`@${user}`);
  table.start("@0");
  t.throws(() => table.start("@10"), { code: "TOO_MANY_USERS" });
  t.throws(() => table.start("a b"), { code: "LINE_INVALID" });
  t.end();
});

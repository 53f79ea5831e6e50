// Projections: in the append's transaction, or catching up, each event's effects
// once, whatever happens.

import t from "tap";
import { WriterStore } from "../../mod.ts";
import { openAdmin } from "../../src/admin/mod.ts";
import { Attempts } from "../../src/projections/attempts.ts";
import { MAX_BACKOFF_MS, MIN_BACKOFF_MS } from "../../src/runtime/limits.ts";
import { until } from "../support/conditions.ts";
import { onEachEngine } from "../support/databases.ts";
import { manualClock } from "../support/manual_clock.ts";
import {
  append,
  change,
  conflict,
  type Database,
  expected,
  type Mood,
  openFailing,
  openRunner,
  openWriter,
  read,
  rebuilt,
  totals,
} from "./totals.ts";

onEachEngine(t, "inline, it changes with the append", async (t, database) => {
  const writer = await openWriter(t, database);
  await append(writer, 1, 10);
  const mood: Mood = { seen: [] };
  await writer.project(totals(mood));
  t.same(await read(writer), expected(10), "made of what was there");
  await append(writer, 11, 20);
  t.same(await read(writer), expected(20));

  mood.failAt = 21;
  await t.rejects(append(writer, 21, 21), { message: "no 21" });
  t.same(await read(writer), expected(20), "and fails with it");
  const versions = [];
  for await (const { version } of writer.readAggregate("account:1")) {
    versions.push(version);
  }
  t.same(versions, [1, 2, 3, 4]);

  const again = await WriterStore.open<Database>({ database, instance: "two" });
  t.teardown(() => again.close());
  await again.project(totals());
  t.same(await read(again), expected(20), "not made twice");
  await t.rejects(again.project(totals(undefined, { version: 2 })), {
    code: "INVALID_ARGUMENT",
    message: /its tables are of version 1, and this is 2/,
  });
});

onEachEngine(
  t,
  "catching up, each event is taken in once",
  async (t, database) => {
    const writer = await openWriter(t, database);
    await append(writer, 1, 100);
    const runner = await openRunner(t, database, totals(), {
      maxBatchEvents: 7,
    });
    await runner.whenCaughtUp(await append(writer, 101, 130));
    t.same(await read(writer), expected(130));
    t.match(await runner.progress("totals"), {
      name: "totals",
      done: 130,
      total: 130,
      secondsLeft: 0,
      parked: 0,
      isRebuilding: false,
      isHolding: true,
      error: undefined,
    });
    await runner.close();
    // The next goes on from the checkpoint.
    const mood: Mood = { seen: [] };
    const next = await openRunner(t, database, totals(mood));
    await next.whenCaughtUp(await append(writer, 131, 140));
    t.same(await read(writer), expected(140));
    t.same(mood.seen, Array.from({ length: 10 }, (_, index) => index + 131));
  },
);

onEachEngine(
  t,
  "of two runners one works, and the other takes over",
  async (t, database) => {
    const writer = await openWriter(t, database);
    const moods: Mood[] = [{ seen: [] }, { seen: [] }];
    const [first, second] = [
      await openRunner(t, database, totals(moods[0])),
      await openRunner(t, database, totals(moods[1])),
    ];
    const commit = await append(writer, 1, 50);
    await Promise.race([
      first.whenCaughtUp(commit),
      second.whenCaughtUp(commit),
    ]);
    t.same(await read(writer), expected(50));
    const workers = moods.filter(({ seen }) => seen.length > 0);
    t.equal(workers.length, 1, "one alone has worked");
    const [working, idle] = moods[0]?.seen.length
      ? [first, second]
      : [second, first];
    await idle.whenCaughtUp(commit);
    // There is nothing in between for it to take.
    const empty = await writer.transaction("empty", async () => {});
    await working.whenCaughtUp(empty);
    await idle.whenCaughtUp(empty);
    t.match(await idle.progress("totals"), { isHolding: false, done: 50 });
    await working.close();
    await idle.whenCaughtUp(await append(writer, 51, 60));
    t.same(await read(writer), expected(60));
  },
);

onEachEngine(
  t,
  "a poison event is parked, seen, and tried again",
  async (t, database) => {
    const { writer, mood, runner } = await openFailing(t, database, 13, 3);
    await runner.whenCaughtUp(await append(writer, 1, 30));
    const without = expected(30);
    without.odd = [(without.odd?.[0] ?? 0) - 13, (without.odd?.[1] ?? 0) - 1];
    t.same(await read(writer), without, "the others went on");
    t.equal(mood.seen.filter((amount) => amount === 13).length, 3);
    t.match(await runner.parked("totals"), [
      { projection: "totals", ordinal: 0, attempts: 3, error: "no 13" },
    ]);

    await runner.retryParked("totals");
    await until(
      "it failed again",
      async () =>
        (await runner.parked("totals"))[0]?.attempts === 3 &&
        mood.seen.filter((amount) => amount === 13).length === 4,
    );
    t.same(await read(writer), without);
    mood.failAt = undefined;
    await runner.retryParked("totals");
    await until(
      "it was taken in",
      async () => (await runner.parked("totals")).length === 0,
    );
    t.same(await read(writer), expected(30));
  },
);

t.test("what fails is left out for a while, longer each time, until it doesn't", async (t) => {
  const clock = manualClock();
  const attempts = new Attempts({ clock, failed: () => {} });
  let calls = 0;
  const make = async (fails: boolean) => {
    await attempts.make(() => {
      calls += 1;
      return fails
        ? Promise.reject(new RangeError("no"))
        : Promise.resolve(false);
    });
    return attempts.pauseMs;
  };
  let before = 0;
  for (let failure = 1; failure <= 6; failure += 1) {
    const pauseMs = await make(true);
    t.ok(pauseMs > 2 * before || pauseMs === MAX_BACKOFF_MS, `${pauseMs} ms`);
    before = pauseMs;
    clock.advance(pauseMs - 1);
    await make(true);
    t.equal(calls, failure, "not before it is due");
    clock.advance(1);
  }
  t.equal(before, MAX_BACKOFF_MS);
  t.equal(attempts.error, "no");
  t.equal(await make(false), 0);
  t.equal(attempts.error, undefined);
  t.equal(await make(true), MIN_BACKOFF_MS, "and begins anew");
});

onEachEngine(
  t,
  "several events of a token: one is parked, the others stay",
  async (t, database) => {
    const { writer, runner } = await openFailing(t, database, 2, 2);
    const commit = await writer.transaction("append", (txn) =>
      txn.append(
        "account:1",
        [1, 2, 3].map((amount) => ({
          type: "all",
          data: { amount },
        })),
      ));
    await runner.whenCaughtUp(commit);
    t.same(await read(writer), { all: [4, 2] });
    t.match(await runner.parked("totals"), [{
      token: commit.token,
      ordinal: 1,
    }]);
  },
);

onEachEngine(
  t,
  "a parked event that is not in the log any more is parked again",
  async (t, database) => {
    const { writer, runner } = await openFailing(t, database, 2, 1);
    await runner.whenCaughtUp(await append(writer, 1, 3));
    const [parked] = await runner.parked("totals");
    const token = Number(parked?.token);
    await change(
      database,
      `INSERT INTO headwater_retained VALUES ('events', ${token})`,
      `DELETE FROM headwater_log WHERE token <= ${token}`,
    );
    const message = `Cannot try the event again: events up to token ${token} ` +
      "were deleted. It had failed with: no 2";
    for (const time of ["once", "twice"]) {
      await runner.retryParked("totals");
      await until(
        `it is parked again ${time}`,
        async () => (await runner.parked("totals"))[0]?.attempts === 1,
      );
      t.match(await runner.parked("totals"), [{ error: message }], time);
    }
    t.equal((await runner.progress("totals")).error, undefined);
    await runner.whenCaughtUp(await append(writer, 4, 4));
  },
);

onEachEngine(
  t,
  "one that is to be tried again waits for none that isn't",
  async (t, database) => {
    const { writer, mood, runner } = await openFailing(t, database, 2, 1);
    await runner.whenCaughtUp(await append(writer, 1, 3));
    const [parked] = await runner.parked("totals");
    mood.failAt = undefined;
    await change(
      database,
      `INSERT INTO headwater_parked WITH RECURSIVE numbers (n) AS (
        SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1000
      ) SELECT 'totals', 0, 1, n, 5, 'no', 1 FROM numbers`,
      `UPDATE headwater_parked SET attempts = 0 WHERE token = ${parked?.token}
        AND ordinal = 0`,
    );
    await until(
      "it is taken in",
      async () => (await runner.progress("totals")).parked === 1000,
    );
    t.same(await read(writer), expected(3));
  },
);

onEachEngine(
  t,
  "it tells how much is left, and of what is being rebuilt",
  async (t, database) => {
    const writer = await openWriter(t, database);
    const mood: Mood = { seen: [] };
    let isStuck = true;
    mood.handling = (amount, isRebuild) => {
      if (isStuck && amount === (isRebuild ? 5 : 11)) throw conflict();
    };
    const options = { maxBatchEvents: 2 };
    const commit = await append(writer, 1, 12);
    const runner = await openRunner(t, database, totals(mood), options);
    const stuck = async () => (await runner.progress("totals")).done === 10;
    await until("it has taken ten in", stuck);
    await runner.rebuild("totals");
    await until(
      "the rebuild has taken four in",
      async () => (await runner.progress("totals")).rebuild?.done === 4,
    );
    const { rebuild, ...serving } = await runner.progress("totals");
    for (const [figures, left] of [[serving, 2], [rebuild, 8]] as const) {
      const { total = 0, done = 0, rowsPerSecond = 0 } = figures ?? {};
      t.same([total, total - done], [12, left]);
      t.ok(rowsPerSecond > 0);
      t.equal(figures?.secondsLeft, left / rowsPerSecond);
    }
    // What another process knows is as old as the last step.
    await using admin = await openAdmin(database);
    const [report] = await admin.progress();
    t.match(report, { done: 10, total: 12, rebuild: { done: 4, total: 12 } });
    t.ok((report?.secondsLeft ?? 0) > 0);
    t.ok((report?.rebuild?.secondsLeft ?? 0) > 0);
    isStuck = false;
    await runner.whenCaughtUp(commit);
    await rebuilt(runner);
    t.match(await runner.progress("totals"), {
      done: 12,
      total: 12,
      secondsLeft: 0,
      rebuild: undefined,
    });
    t.same(await read(writer), expected(12));
  },
);

onEachEngine(t, "it takes only what it wants", async (t, database) => {
  const writer = await openWriter(t, database);
  const mood: Mood = { seen: [] };
  const wanted = { types: ["even"], aggregatePrefix: "account:4" };
  const runner = await openRunner(t, database, totals(mood, wanted));
  await runner.whenCaughtUp(await append(writer, 1, 40));
  t.same(mood.seen, [4, 14, 24, 34]);
});

onEachEngine(t, "what can't be is told", async (t, database) => {
  const writer = await openWriter(t, database);
  const runner = await openRunner(t, database, totals({ seen: [], failAt: 1 }));
  const commit = await append(writer, 1, 1);
  await t.rejects(runner.whenCaughtUp(commit, { timeoutMs: 1 }), {
    code: "WAIT_TIMEOUT",
    message: /"totals" has come to \d+/,
  });
  await t.rejects(runner.progress("none"), {
    code: "PROJECTION_UNKNOWN",
    message: /"none": this runner has totals/,
  });
  await until(
    "it has been claimed",
    async () => (await runner.progress("totals")).isHolding,
  );
  await t.rejects(writer.project(totals()), {
    code: "INVALID_ARGUMENT",
    message: /it catches up, in a runner/,
  });
  const refused = t.rejects(runner.whenCaughtUp(1_000_000), {
    code: "CLOSED",
  });
  await runner.close();
  await refused;
  await t.rejects(openRunner(t, "sqlite::memory:", totals()), {
    code: "INVALID_ARGUMENT",
    message: /^Cannot run projections of "sqlite::memory:": no writer can/,
  });
  for (
    const [change, message] of [
      [{ name: "" }, /give a letter/],
      [{ name: "a b" }, /give a letter/],
      [{ version: 0 }, /its version is 0/],
      [{ tables: [5] }, /give the names of its tables/],
      [{ tables: ["a".repeat(58)] }, /table "a+" has a name of more than 57/],
    ] as const
  ) {
    t.throws(() => totals(undefined, change as never), {
      code: "INVALID_ARGUMENT",
      message,
    });
  }
});

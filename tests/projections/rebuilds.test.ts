// Making a projection's tables anew while the old ones serve: whatever happens
// meanwhile, the new ones contain each event once when they take over.

import t from "tap";
import { migrate } from "../../src/database/migrator.ts";
import { openDatabase } from "../../src/database/open_database.ts";
import { LOG_MIGRATIONS } from "../../src/log/log_schema.ts";
import {
  claimProjection,
  MovedError,
  readProjection,
} from "../../src/projections/checkpoint.ts";
import { ProjectionRebuild } from "../../src/projections/projection_rebuild.ts";
import { retryParked } from "../../src/projections/retry_parked.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { parseToken } from "../../src/tokens/token.ts";
import { until } from "../support/conditions.ts";
import { onEachEngine } from "../support/databases.ts";
import {
  append,
  change,
  conflict,
  type Database,
  expected,
  type Mood,
  openRunner,
  openWriter,
  read,
  rebuilt,
  totals,
} from "./totals.ts";

onEachEngine(
  t,
  "it is rebuilt from zero while its table serves",
  async (t, database) => {
    const writer = await openWriter(t, database);
    const runner = await openRunner(t, database, totals());
    await runner.whenCaughtUp(await append(writer, 1, 60));
    await writer.transaction("spoil", async ({ db }) => {
      await db.updateTable("totals").set({ amount: -1 }).execute();
    });
    for (const round of ["once", "twice", "thrice"]) {
      await runner.rebuild("totals");
      await rebuilt(runner);
      t.same(await read(writer), expected(60), round);
    }
    await runner.whenCaughtUp(await append(writer, 61, 70));
    t.same(await read(writer), expected(70));
    await runner.close();

    // Another version of its code has it rebuilt, too.
    const next = await openRunner(
      t,
      database,
      totals(undefined, { version: 3 }),
    );
    const reads: Awaited<ReturnType<typeof read>>[] = [];
    await until("it is done", async () => {
      reads.push(await read(writer));
      return (reads.at(-1)?.even?.[0] ?? 0) > (expected(70).even?.[0] ?? 0);
    });
    t.same(reads[0], expected(70), "the old table served");
    await next.whenCaughtUp(await append(writer, 71, 80));
    t.same(await read(writer), expected(80, 3));
  },
);

onEachEngine(
  t,
  "what is appended meanwhile is not lost",
  async (t, database) => {
    const writer = await openWriter(t, database);
    const mood: Mood = { seen: [] };
    const runner = await openRunner(t, database, totals(mood), {
      maxBatchEvents: 5,
    });
    await runner.whenCaughtUp(await append(writer, 1, 20));
    let last = 20;
    const appending: Promise<unknown>[] = [];
    mood.handling = (amount, isRebuild) => {
      // It comes between the rebuild's last step and the swap.
      if (!isRebuild || amount < last || last >= 40) return;
      last += 1;
      appending.push(append(writer, last, last));
    };
    for (let round = 1; round <= 3; round += 1) {
      await runner.rebuild("totals");
      await rebuilt(runner);
    }
    await Promise.all(appending);
    t.ok(last > 20, "something was");
    await runner.whenCaughtUp(await append(writer, last + 1, last + 1));
    t.same(await read(writer), expected(last + 1));
  },
);

onEachEngine(t, "a new version may have other tables", async (t, database) => {
  const writer = await openWriter(t, database);
  const old = await openRunner(t, database, totals());
  await old.whenCaughtUp(await append(writer, 1, 20));
  await old.close();
  const commit = await append(writer, 21, 23);
  const mood: Mood = { seen: [] };
  const first = totals();
  const newer = totals(mood, {
    version: 2,
    tables: ["totals", "marks"],
    async create(context) {
      await first.create(context);
      const { db, table } = context;
      await db.schema.alterTable(table("totals"))
        .addColumn("mark", "integer", (column) => column.defaultTo(0))
        .execute();
      await db.schema.createTable(table("marks"))
        .addColumn("mark", "integer").execute();
    },
    async handle(event, context) {
      const { db, table } = context;
      mood.seen.push(event.version);
      await first.handle(event, context);
      await db.insertInto(table("marks")).values({ mark: 1 }).execute();
      await db.updateTable(table("totals")).set({ mark: 1 }).execute();
    },
  });
  const runner = await openRunner(t, database, newer, { maxTries: 1 });
  await runner.whenCaughtUp(commit);
  await rebuilt(runner);
  t.match(await runner.progress("totals"), { parked: 0, error: undefined });
  t.same(await read(writer), expected(23));
  t.equal(mood.seen.length, 23, "the new code never met the old tables");

  // In a rolling deployment the older code may come again.
  const late = await openRunner(t, database, totals());
  await runner.close();
  await until(
    "it is refused",
    async () =>
      /^Cannot run version 1 of projection "totals": .* version 2/.test(
        (await late.progress("totals")).error ?? "",
      ),
  );
  await late.whenCaughtUp(commit);
  t.match(await late.progress("totals"), {
    isHolding: false,
    isRebuilding: false,
  });
  await change(database, "SELECT mark FROM totals");
});

onEachEngine(
  t,
  "a rebuild doesn't wait for tables that can't be written",
  async (t, database) => {
    const writer = await openWriter(t, database);
    const runner = await openRunner(t, database, totals(), { maxTries: 1000 });
    await runner.whenCaughtUp(await append(writer, 1, 5));
    await change(database, "DROP TABLE totals");
    const commit = await append(writer, 6, 10);
    await until(
      "it fails",
      async () => (await runner.progress("totals")).error !== undefined,
    );
    await runner.rebuild("totals");
    await runner.whenCaughtUp(commit);
    t.same(await read(writer), expected(10));
    t.equal((await runner.progress("totals")).error, undefined);
  },
);

onEachEngine(
  t,
  "what the rebuild parks is its own, and what it takes in isn't parked any more",
  async (t, database) => {
    const writer = await openWriter(t, database);
    let isStuck = false;
    const mood: Mood = { seen: [], failAt: 3 };
    mood.handling = (amount, isRebuild) => {
      if (isStuck && isRebuild && amount === 8) throw conflict();
    };
    const runner = await openRunner(t, database, totals(mood), { maxTries: 1 });
    await runner.whenCaughtUp(await append(writer, 1, 10));
    t.match(await runner.parked("totals"), [{ isRebuild: false }]);
    isStuck = true;
    await runner.rebuild("totals");
    await until(
      "the rebuild has parked it, too",
      async () => (await runner.parked("totals")).length === 2,
    );
    t.match(await runner.progress("totals"), {
      parked: 1,
      rebuild: { parked: 1 },
    });
    mood.failAt = undefined;
    t.equal(await runner.retryParked("totals"), 1);
    await until(
      "it is in the serving tables",
      async () => (await runner.parked("totals")).length === 1,
    );
    t.same(await read(writer), expected(10));
    isStuck = false;
    await rebuilt(runner);
    const { odd: [amount = 0, events = 0] = [], ...others } = expected(10);
    t.same(await read(writer), { ...others, odd: [amount - 3, events - 1] });
    t.match(await runner.parked("totals"), [{ isRebuild: false }]);

    await runner.rebuild("totals");
    await rebuilt(runner);
    t.same(await read(writer), expected(10), "it was taken in by the rebuild");
    t.same(await runner.parked("totals"), [], "and is not taken in again");
    t.equal(await runner.retryParked("totals"), 0);
  },
);

onEachEngine(
  t,
  "events that are deleted under a rebuild end it",
  async (t, database) => {
    const writer = await openWriter(t, database);
    let isStuck = true;
    const mood: Mood = { seen: [] };
    mood.handling = (_, isRebuild) => {
      if (isStuck && isRebuild) throw conflict();
    };
    const runner = await openRunner(t, database, totals(mood));
    const { token } = await append(writer, 1, 5);
    await runner.whenCaughtUp(token);
    await runner.rebuild("totals");
    await until(
      "it has begun",
      async () => (await runner.progress("totals")).error === "a conflict",
    );
    await change(
      database,
      `INSERT INTO headwater_retained VALUES ('events', ${token - 1})`,
      `DELETE FROM headwater_log WHERE stream = 'events' AND token < ${token}`,
    );
    isStuck = false;
    await until(
      "it is told",
      async () =>
        /events up to \d+ were deleted/.test(
          (await runner.progress("totals")).error ?? "",
        ),
    );
    t.equal((await runner.progress("totals")).rebuild, undefined);
    await runner.whenCaughtUp(await append(writer, 6, 8));
    t.same(await read(writer), expected(8), "the old tables serve on");
    await t.rejects(runner.rebuild("totals"), { code: "EVENTS_DELETED" });
    t.equal((await runner.progress("totals")).isRebuilding, false);
  },
);

onEachEngine(
  t,
  "who has lost the lease, or is behind, changes nothing",
  async (t, database) => {
    const writer = await openWriter(t, database);
    const projection = totals({ seen: [], failAt: 3 });
    const runner = await openRunner(t, database, projection, { maxTries: 1 });
    const { token } = await append(writer, 1, 5);
    await runner.whenCaughtUp(token);
    await runner.retryParked("totals");
    await until(
      "it is parked again",
      async () => (await runner.parked("totals"))[0]?.attempts === 1,
    );
    await runner.rebuild("totals");
    await rebuilt(runner);
    await runner.close();
    const before = await read(writer);

    const engine = openDatabase<Database>(database, systemClock, {});
    t.teardown(() => engine.close());
    const claim = (holder: string, nowMs: number) =>
      engine.transaction(
        "claim",
        (session) => claimProjection(session, "totals", 1, holder, nowMs, 1),
      );
    const lease = await claim("one", 1);
    if (lease === undefined) throw new Error("the projection was not free");
    const other = await claim("two", 5);
    const options = {
      engine,
      projection: totals(),
      leaseMs: 1000,
      maxBatchEvents: 10,
      maxTries: 1,
      clock: systemClock,
    };
    const rebuild = new ProjectionRebuild(options);
    const state = async () => {
      const found = await readProjection(engine.session, "totals");
      if (found === undefined) throw new Error("there is no projection");
      return found;
    };
    const horizon = parseToken(token);
    await change(
      database,
      "UPDATE headwater_projections SET rebuild_position = -1",
      "UPDATE headwater_parked SET attempts = 0",
    );
    const moved = MovedError;
    await t.rejects(
      rebuild.step(lease, await state(), horizon),
      moved,
      "begin",
    );
    await t.rejects(retryParked(options, lease, await state()), moved, "retry");
    await change(
      database,
      "CREATE TABLE totals__next (type TEXT)",
      `UPDATE headwater_projections SET rebuild_position = ${token},
        rebuild_version = 1`,
    );
    await t.rejects(rebuild.step(lease, await state(), horizon), moved, "swap");
    t.same(await read(writer), before);
    t.match(await state(), { parked: 1, rebuild: token });

    // Nor does who holds it, of tables that have come further meanwhile.
    if (other === undefined) throw new Error("the lease had not run out");
    const behind = parseToken(token - 1);
    await change(
      database,
      `UPDATE headwater_projections SET rebuild_position = ${behind}`,
    );
    await t.rejects(rebuild.step(other, await state(), behind), moved);
    t.same(await read(writer), before);
  },
);

onEachEngine(
  t,
  "its checkpoint of an older release is carried over",
  async (t, database) => {
    const engine = openDatabase<Database>(database, systemClock, {});
    t.teardown(() => engine.close());
    await engine.transaction("of before", async (session) => {
      await migrate(session, LOG_MIGRATIONS.slice(0, 5), 0);
      for (
        const sql of [
          "CREATE TABLE totals (type TEXT PRIMARY KEY, amount INTEGER, events INTEGER)",
          "CREATE INDEX ix_totals__next ON totals (amount)",
          "CREATE TABLE totals__next (half TEXT)",
          `INSERT INTO headwater_projections VALUES
            ('totals', 1, 0, 0, 0, 3, '', 0, 0)`,
          "INSERT INTO headwater_parked VALUES ('totals', 7, 1, 5, 'no', 9)",
        ]
      ) await session.run(sql, []);
    });
    const writer = await openWriter(t, database);
    const runner = await openRunner(t, database, totals());
    t.match(await runner.parked("totals"), [
      { isRebuild: false, token: 7, ordinal: 1, attempts: 5, error: "no" },
    ]);
    await runner.whenCaughtUp(await append(writer, 1, 5));
    await rebuilt(runner);
    t.same(await read(writer), expected(5), "its half was begun anew");
    t.same(await runner.parked("totals"), []);
  },
);

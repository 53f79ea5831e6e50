// Reading by time passes over what can't be of that time, and nothing else.

import t, { type Test } from "tap";
import { WriterStore } from "../../mod.ts";
import type { Engine } from "../../src/database/engine.ts";
import { openDatabase } from "../../src/database/open_database.ts";
import { readLogEvents } from "../../src/events/read_events.ts";
import type { ReadEventsOptions } from "../../src/events/read_options.ts";
import { retainStream } from "../../src/log/retention.ts";
import {
  addTimeRanges,
  findTokensOfTime,
  TIME_RANGE_RECORDS,
} from "../../src/log/time_ranges.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { VirtualClock } from "../../src/testing/mod.ts";
import type { Token } from "../../src/tokens/token.ts";
import { until } from "../support/conditions.ts";
import { onEachEngine } from "../support/databases.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { freshlySeeded } from "../support/seeded.ts";

const ALL = { after: 0, upTo: Number.MAX_SAFE_INTEGER };
const RANGES = "SELECT after_token, upto_token, oldest_ms, newest_ms " +
  "FROM headwater_time_ranges ORDER BY upto_token";

/** A log with an event of each time, under tokens from 1; every third is of two. */
async function openLog(
  t: Test,
  database: string,
  times: readonly number[],
): Promise<Engine<unknown>> {
  const writer = await WriterStore.open({ database, synchronous: "normal" });
  for (const n of times.keys()) {
    const event = { type: "x", data: n };
    await writer.transaction("append", async (txn) => {
      await txn.append(`a:${n % 4}`, n % 3 === 2 ? [event, event] : [event]);
    });
  }
  await writer.close();
  const engine = openDatabase(database, systemClock, {});
  t.teardown(() => engine.close());
  await engine.transaction("set times", async (session) => {
    for (const [index, ms] of times.entries()) {
      await session.run(
        "UPDATE headwater_log SET committed_ms = ? WHERE token = ?",
        [ms, index + 1],
      );
    }
  });
  return engine;
}

function addRanges(engine: Engine<unknown>, records: number): Promise<void> {
  return addTimeRanges(engine, { clock: systemClock, records });
}

async function readRanges(engine: Engine<unknown>): Promise<number[][]> {
  const rows = await engine.session.rows(RANGES, []);
  return rows.map((row) => row.map(Number));
}

onEachEngine(t, "ranges are added as the log grows", async (t, database) => {
  // Eleven records; the clock has gone back between the fifth and the sixth.
  const times = [10, 11, 12, 13, 14, 4, 5, 6, 7, 8, 9];
  const engine = await openLog(t, database, times);
  await addRanges(engine, 4);
  const first = [[0, 4, 10, 13], [4, 8, 4, 14]];
  t.same(await readRanges(engine), first);
  await addRanges(engine, 4);
  t.same(await readRanges(engine), first, "and none twice");
  await addRanges(engine, 3);
  t.same(await readRanges(engine), [...first, [8, 11, 7, 9]]);
});

onEachEngine(t, "where events of a time may be", async (t, database) => {
  const times = [1, 2, 3, 4, 11, 12, 13, 14, 21, 22, 23, 24, 31];
  const engine = await openLog(t, database, times);
  const find = (since: number, until: number, tokens = ALL) =>
    findTokensOfTime(engine.session, since, until, tokens);
  t.same(await find(11, 20), [ALL], "before anything is noted");
  await addRanges(engine, 4);
  const end = ALL.upTo;
  const rest = { after: 12, upTo: end };
  t.same(await find(12, 14), [{ after: 4, upTo: 8 }, rest]);
  t.same(await find(4, 12), [{ after: 0, upTo: 8 }, rest]);
  t.same(await find(24, 40), [{ after: 8, upTo: end }], "up to the end");
  t.same(await find(25, 40), [rest]);
  t.same(await find(15, 21), [rest], "between two");
  t.same(await find(14, 22, { after: 6, upTo: 9 }), [
    { after: 6, upTo: 9 },
  ]);
  await engine.transaction("downgrade", async (session) => {
    await session.run("DROP TABLE headwater_time_ranges", []);
    await session.run("DELETE FROM headwater_migrations WHERE version > 7", []);
  });
  t.same(await find(11, 20), [ALL], "an older release's tables");
});

onEachEngine(t, "any events of any time", async (t, database) => {
  const seeded = freshlySeeded(t);
  const times: number[] = [];
  for (let ms = 1_000; times.length < 90;) {
    // The writer's clock goes on, and is set at times.
    ms += seeded.below(12) === 0 ? seeded.below(120) - 60 : seeded.below(4);
    times.push(ms);
  }
  const engine = await openLog(t, database, times);
  const read = async (options: ReadEventsOptions) => {
    const tokens: [Token, number][] = [];
    const upTo = times.length as Token;
    for await (const event of readLogEvents(engine.session, upTo, options)) {
      tokens.push([event.token, event.version]);
    }
    return tokens;
  };
  const everything = await read({});
  t.ok(everything.length > times.length);
  const timeOf = (token: Token) => times[token - 1] as number;
  for (const records of [1, 7, 20, 400]) {
    await engine.transaction("forget", async (session) => {
      await session.run("DELETE FROM headwater_time_ranges", []);
    });
    await addRanges(engine, records);
    for (let round = 0; round < 50; round += 1) {
      const isBackwards = seeded.below(2) === 0;
      const time = () => seeded.pick(times) + seeded.below(3) - 1;
      const [since, until] = [time(), time()].toSorted((a, b) => a - b);
      const options: ReadEventsOptions = {
        since: seeded.below(4) === 0 ? undefined : since,
        until: seeded.below(3) === 0 ? undefined : until,
        after: seeded.below(3) === 0 ? seeded.below(100) : undefined,
        limit: seeded.below(3) === 0 ? seeded.below(30) + 1 : undefined,
        direction: isBackwards ? "backwards" : "forwards",
      };
      const { after = isBackwards ? ALL.upTo : 0 } = options;
      const expected = everything.filter(([token]) =>
        timeOf(token) >= (options.since as number | undefined ?? 0) &&
        timeOf(token) < (options.until as number | undefined ?? Infinity) &&
        (isBackwards ? token < after : token > after)
      );
      if (isBackwards) expected.reverse();
      const told = JSON.stringify({ records, ...options });
      t.same(await read(options), expected.slice(0, options.limit), told);
    }
  }
});

onEachEngine(t, "what retention deletes", async (t, database) => {
  const times = Array.from({ length: 20 }, (_, n) => n + 1);
  const engine = await openLog(t, database, times);
  await addRanges(engine, 5);
  const { floor } = await retainStream(engine, "events", { maxRows: 10 }, {
    clock: systemClock,
  });
  t.ok(floor > 10 && floor < 15, `up to ${floor}`);
  t.same(await readRanges(engine), [[10, 15, 11, 15], [15, 20, 16, 20]]);
  const read = (after: number) =>
    readLogEvents(
      engine.session,
      20 as Token,
      { after, since: 19 },
      { mayMiss: false },
    ).next();
  await t.rejects(read(floor - 1), { code: "EVENTS_DELETED" });
  t.match(await read(floor), { value: { token: 19 } });
  await retainStream(engine, "events", { maxRows: 0 }, { clock: systemClock });
  t.same(await readRanges(engine), []);
});

t.test("a writer adds them", async (t) => {
  const database = temporaryDatabase(t);
  const clock = new VirtualClock({ wallMs: 5_000 });
  const writer = await WriterStore.open({
    database,
    synchronous: "normal",
    clock,
  });
  t.teardown(() => writer.close());
  const engine = openDatabase(database, systemClock, {});
  t.teardown(() => engine.close());
  const append = (count: number) =>
    Promise.all(
      Array.from({ length: count }, () =>
        writer.transaction(
          "append",
          (txn) => txn.append("a:1", [{ type: "x", data: null }]),
        )),
    );
  await append(TIME_RANGE_RECORDS - 1);
  clock.elapse(10_000);
  await append(1);
  t.same(await readRanges(engine), []);
  clock.elapse(10_000);
  await until(
    "the range is there",
    async () => (await readRanges(engine)).length === 1,
  );
  t.match(await readRanges(engine), [[0, TIME_RANGE_RECORDS, 5_000, 15_000]]);
});

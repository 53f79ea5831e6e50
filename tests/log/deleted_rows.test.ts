// What retention has deleted is not passed over in silence.

import { sql } from "kysely";
import t, { type Test } from "tap";
import { z } from "zod";
import { defineStream, WriterStore } from "../../mod.ts";
import type { Session } from "../../src/database/engine.ts";
import { openDatabase } from "../../src/database/open_database.ts";
import type {
  FoldOptions,
  ReadAggregateOptions,
  ReadEventsOptions,
  StoredEvent,
} from "../../src/events/mod.ts";
import { readLogEvents } from "../../src/events/read_events.ts";
import { retainStream } from "../../src/log/retention.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { PAGE_RECORDS } from "../../src/runtime/limits.ts";
import type { Token } from "../../src/tokens/token.ts";
import { onEachEngine } from "../support/databases.ts";

const notes = defineStream("notes", z.object({ n: z.int() }));

async function openWriter(
  t: Test,
  database: string,
): Promise<WriterStore<unknown>> {
  const writer = await WriterStore.open({ database, streams: [notes] });
  t.teardown(() => writer.close());
  return writer;
}

/** Cuts a stream, as another process may; gives the floor. */
async function retain(
  database: string,
  stream: string,
  maxRows: number,
): Promise<Token> {
  const engine = openDatabase(database, systemClock, {});
  try {
    const options = { clock: systemClock };
    return (await retainStream(engine, stream, { maxRows }, options)).floor;
  } finally {
    await engine.close();
  }
}

/** The versions of events. */
async function collect(
  events: AsyncIterable<Pick<StoredEvent, "version">>,
): Promise<number[]> {
  const versions: number[] = [];
  for await (const { version } of events) versions.push(version);
  return versions;
}

onEachEngine(
  t,
  "events that were deleted are not passed over in silence",
  async (t, database) => {
    const writer = await openWriter(t, database);
    const tokens: Token[] = [];
    const add = async (data: number, aggregate = "a:1") => {
      const { token } = await writer.transaction(
        "add",
        (txn) => txn.append(aggregate, [{ type: "added", data }]),
      );
      tokens.push(token);
    };
    const versions = (options?: ReadAggregateOptions, aggregate = "a:1") =>
      collect(writer.readAggregate(aggregate, options));
    const after = (token?: number, options: ReadEventsOptions = {}) =>
      collect(writer.readEvents({ ...options, after: token }));
    const sum = (options?: FoldOptions) =>
      writer.aggregate("a:1").fold(
        0,
        (sum, { data }) => sum + Number(data),
        options,
      );
    const snapshot = { name: "sum", snapshotEvery: 1 };
    await add(0, "b:1");
    for (let data = 1; data <= 6; data += 1) await add(data);
    t.match(await sum(snapshot), { state: 21, version: 6 });
    for (let data = 7; data <= 10; data += 1) await add(data);
    const floor = await retain(database, "events", 3);
    t.equal(floor, tokens[7]);

    t.same(await after(undefined), [8, 9, 10], "what there is");
    t.same(await after(floor), [8, 9, 10]);
    t.same(await after(tokens[8]), [9, 10]);
    t.same(await after(undefined, { direction: "backwards" }), [10, 9, 8]);
    const error = { code: "EVENTS_DELETED" };
    for (const token of [0, tokens[1], floor - 1]) {
      await t.rejects(after(token), {
        ...error,
        message: new RegExp(
          `^Cannot read events after token ${token}: .* up to token ${floor}; `,
        ),
      });
    }
    t.same(await versions({ from: 8 }), [8, 9, 10]);
    t.same(await versions({ direction: "backwards" }), [10, 9, 8]);
    t.same(await versions({ from: 20 }), []);
    t.same(await versions({}, "c:1"), []);
    await t.rejects(versions(), {
      ...error,
      message: /before version 8; give from: 8 to read what is left;/,
    });
    await t.rejects(versions({ from: 7 }), error);
    await t.rejects(versions({ from: 2, to: 3 }), error);
    await t.rejects(versions({}, "b:1"), {
      ...error,
      message: /deleted all of its events;/,
    });
    await t.rejects(sum(), error);
    await t.rejects(sum(snapshot), error, "its snapshot contains 6");
    await writer.transaction(
      "keep",
      ({ db }) =>
        sql`UPDATE headwater_snapshots SET version = 7, state = '28'`
          .execute(db),
    );
    t.match(await sum(snapshot), { state: 55, version: 10 });
    await retain(database, "events", 0);
    t.match(await sum(snapshot), { state: 55, version: 10 });
    await t.rejects(after(floor), error);
    t.same(await after(undefined), []);
  },
);

t.test("nor those that are deleted between two pages", async (t) => {
  const record = (token: number, floor: number | null) => [
    token,
    0,
    JSON.stringify(["a:1", token, "added", `${token}`, null, null]),
    floor,
  ];
  const read = (floor: number) => {
    const first = Array.from(
      { length: PAGE_RECORDS },
      (_, index) => record(index + 10, 9),
    );
    const second = [record(PAGE_RECORDS + 100, floor)];
    const session: Session = {
      dialect: "sqlite",
      run: () => 0,
      rows: (_, [edge]) => edge === 0 ? first : second,
    };
    const events = readLogEvents(session, 10_000 as Token, {}, {
      mayMiss: false,
    });
    return collect(events);
  };
  const last = PAGE_RECORDS + 9;
  t.equal((await read(last)).length, PAGE_RECORDS + 1, "up to the first page");
  await t.rejects(read(last + 1), { code: "EVENTS_DELETED" });
});

onEachEngine(t, "nor are rows of other streams", async (t, database) => {
  const writer = await openWriter(t, database);
  for (let n = 1; n <= 9; n += 1) {
    await writer.transaction("note", (txn) => {
      txn.write(notes, { n });
      return Promise.resolve();
    });
  }
  const floor = await retain(database, "notes", 5);
  const all = [5, 6, 7, 8, 9];
  const read = async (after: number) =>
    (await writer.readRows(notes, { after })).rows.map(([, { n }]) => n);
  t.same(await read(floor), all);
  await t.rejects(read(floor - 1), {
    code: "ROWS_DELETED",
    message: `Cannot read rows of stream "notes" after token ${floor - 1}: ` +
      `retention has deleted some up to token ${floor}; start over with what is ` +
      'left, which leaving "after" out gives, or keep them for longer',
  });
  t.same((await writer.readRows("caches", { after: 0 })).rows, []);
});

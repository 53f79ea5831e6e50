// Events are read in pages that fit what is asked for.

import t, { type Test } from "tap";
import type { Session } from "../../src/database/engine.ts";
import type { StoredEvent } from "../../src/events/event.ts";
import {
  readAggregateEvents,
  readLogEvents,
} from "../../src/events/read_events.ts";
import { openDatabase } from "../../src/database/open_database.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import {
  MAX_PAGE_RECORDS,
  PAGE_CHARS,
  PAGE_RECORDS,
} from "../../src/runtime/limits.ts";
import type { Token } from "../../src/tokens/token.ts";
import { WriterStore } from "../../mod.ts";
import { onEachEngine } from "../support/databases.ts";

interface Asked {
  readonly limit?: number;
  readonly direction?: "backwards";
}

const END = 1_000_000 as Token;

/** A log with an aggregate of that many events, and the sizes of the pages read. */
async function openLog(
  t: Test,
  database: string,
  events: number,
  chars = 1,
): Promise<{ session: Session; sizes: number[] }> {
  const writer = await WriterStore.open({ database });
  t.teardown(() => writer.close());
  const data = "x".repeat(chars);
  for (let n = 0; n < events; n += 1) {
    await writer.transaction(
      "add",
      (txn) => txn.append("a:1", [{ type: `t${n % 10}`, data }]),
    );
  }
  const engine = openDatabase(database, systemClock, {});
  t.teardown(() => engine.close());
  const sizes: number[] = [];
  const session: Session = {
    dialect: engine.session.dialect,
    run: (sql, parameters) => engine.session.run(sql, parameters),
    rows(sql, parameters) {
      if (sql.includes("LIMIT")) sizes.push(Number(parameters.at(-1)));
      return engine.session.rows(sql, parameters);
    },
  };
  return { session, sizes };
}

async function versions(
  events: AsyncIterable<StoredEvent>,
): Promise<number[]> {
  const found: number[] = [];
  for await (const { version } of events) found.push(version);
  return found;
}

function range(from: number, to: number): number[] {
  const step = from <= to ? 1 : -1;
  const length = Math.abs(to - from) + 1;
  return Array.from({ length }, (_, index) => from + index * step);
}

onEachEngine(t, "no more is read than was asked for", async (t, database) => {
  const all = PAGE_RECORDS + 50;
  const { session, sizes } = await openLog(t, database, all);
  const same = (event: StoredEvent) => event;
  const pagesOf = async (read: AsyncIterable<StoredEvent>) => {
    sizes.length = 0;
    return [await versions(read), [...sizes]];
  };
  const direction = "backwards";
  const reads: ((options: Asked) => AsyncIterable<StoredEvent>)[] = [
    (options) => readAggregateEvents(session, "a:1", options, same),
    (options) => readLogEvents(session, END, options),
  ];
  for (const read of reads) {
    t.same(await pagesOf(read({ limit: 1 })), [[1], [1]]);
    t.same(await pagesOf(read({ limit: 1, direction })), [[all], [1]]);
    const limit = PAGE_RECORDS + 7;
    const pages = [PAGE_RECORDS, 7];
    t.same(await pagesOf(read({ limit })), [range(1, limit), pages]);
    t.same(await pagesOf(read({ limit, direction })), [
      range(all, all - limit + 1),
      pages,
    ]);
    t.same(await pagesOf(read({})), [range(1, all), [
      PAGE_RECORDS,
      MAX_PAGE_RECORDS,
    ]]);
  }
  const most = readLogEvents(session, END, {}, true, PAGE_RECORDS + 2);
  t.same(await pagesOf(most), [range(1, all), [
    PAGE_RECORDS,
    2,
    ...range(1, 49).map(() => 1),
  ]], "who goes on beyond what he meant to take");
  const types = ["t3"];
  t.same(
    await pagesOf(readLogEvents(session, END, { types, limit: 2 })),
    [[4, 14], [PAGE_RECORDS]],
    "those that are passed over don't make pages small",
  );
});

t.test("long events come in pages of fewer", async (t) => {
  const database = `sqlite:${t.testdir()}/log.db`;
  const chars = PAGE_CHARS / 16;
  const all = PAGE_RECORDS + 20;
  const { session, sizes } = await openLog(t, database, all, chars);
  const found = await versions(
    readAggregateEvents(session, "a:1", {}, (event) => event),
  );
  t.same(found, range(1, all));
  const [first, ...others] = sizes;
  t.equal(first, PAGE_RECORDS);
  t.same(others, [15, 15]);
});

// Events are read in pages that fit what is asked for.

import postgres from "postgres";
import t, { type Test } from "tap";
import type { Session } from "../../src/database/engine.ts";
import type { StoredEvent } from "../../src/events/event.ts";
import {
  readAggregateEvents,
  readLogEvents,
} from "../../src/events/read_events.ts";
import { openDatabase } from "../../src/database/open_database.ts";
import { numberParameters } from "../../src/database/postgres_client.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import {
  MAX_PAGE_RECORDS,
  PAGE_CHARS,
  PAGE_RECORDS,
} from "../../src/runtime/limits.ts";
import type { Token } from "../../src/tokens/token.ts";
import { WriterStore } from "../../mod.ts";
import { onEachEngine } from "../support/databases.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { postgresDatabase } from "../support/postgres.ts";

interface Asked {
  readonly limit?: number;
  readonly direction?: "backwards";
}

const END = 1_000_000 as Token;

/** A log of one aggregate, and what was read of it. */
interface Log {
  readonly session: Session;
  /** Of the pages. */
  readonly sizes: number[];
  readonly statements: string[];
  append(events: number): Promise<void>;
}

/** A log with an aggregate of that many events. */
async function openLog(
  t: Test,
  database: string,
  events: number,
  chars = 1,
): Promise<Log> {
  const writer = await WriterStore.open({ database });
  t.teardown(() => writer.close());
  const data = "x".repeat(chars);
  const append = async (events: number) => {
    for (let n = 0; n < events; n += 1) {
      await writer.transaction(
        "add",
        (txn) => txn.append("a:1", [{ type: `t${n % 10}`, data }]),
      );
    }
  };
  await append(events);
  const engine = openDatabase(database, systemClock, {});
  t.teardown(() => engine.close());
  const sizes: number[] = [];
  const statements: string[] = [];
  const session: Session = {
    dialect: engine.session.dialect,
    run: (sql, parameters) => engine.session.run(sql, parameters),
    rows(sql, parameters) {
      if (sql.includes("LIMIT")) sizes.push(Number(parameters.at(-1)));
      statements.push(sql);
      return engine.session.rows(sql, parameters);
    },
  };
  return { session, sizes, statements, append };
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
  const most = readLogEvents(session, END, {}, { most: PAGE_RECORDS + 2 });
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
  const database = temporaryDatabase(t);
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

/** What `EXPLAIN` says of a node of a plan. */
interface PlanNode {
  readonly "Relation Name"?: string;
  readonly "Actual Rows": number;
  readonly "Actual Loops": number;
  readonly Plans?: readonly PlanNode[];
}

t.test("a plan that was made for a new log does for a longer one", async (t) => {
  const database = await postgresDatabase(t);
  const { session, statements, append } = await openLog(t, database, 10);
  await versions(readAggregateEvents(session, "a:1", {}, (event) => event));
  const client = postgres(database, { max: 1 });
  t.teardown(() => client.end());
  await client.unsafe("SET plan_cache_mode = force_generic_plan");
  await client.unsafe(
    `PREPARE read AS ${numberParameters(String(statements[0]))}`,
  );
  const read = "EXECUTE read ('a:1', 1, 1000000, 0, 1000)";
  await client.unsafe(read);
  await append(290);
  const [explained] = await client
    .unsafe(`EXPLAIN (ANALYZE, FORMAT JSON) ${read}`);
  const { Plan } = explained?.["QUERY PLAN"][0] as { Plan: PlanNode };
  t.equal(Plan["Actual Rows"], 300);
  const looked = nodesOf(Plan)
    .filter((node) => node["Relation Name"] === "headwater_log")
    .reduce((sum, node) => sum + node["Actual Rows"] * node["Actual Loops"], 0);
  t.equal(looked, 300, "each record is looked at once");
});

function nodesOf(node: PlanNode): PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(nodesOf)];
}

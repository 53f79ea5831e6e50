// Reading rows and events back: which, in which order, and page by page.

import { DatabaseSync } from "node:sqlite";
import postgres from "postgres";
import type { Test } from "tap";
import { z } from "zod";
import { defineStream } from "../../../mod.ts";
import type {
  ReadAggregateOptions,
  ReadEventsOptions,
} from "../../../src/events/read_options.ts";
import { until } from "../../support/conditions.ts";
import {
  type Case,
  type CaseWriter,
  collect,
  conform,
  range,
} from "./engines.ts";

const notes = defineStream("notes", z.object({ n: z.int() }));

/** 20 events of `a:1` in transactions of 2, each with one of `b:1` beside it. */
async function fill(writer: CaseWriter): Promise<number[]> {
  const tokens: number[] = [];
  for (const n of range(1, 10)) {
    const { token } = await writer.transaction("fill", async (txn) => {
      await txn.append("a:1", [{ type: "odd", data: 2 * n - 1 }]);
      await txn.append("b:1", [{ type: "other", data: n }]);
      await txn.append("a:1", [{ type: "even", data: 2 * n }]);
    });
    tokens.push(token);
  }
  return tokens;
}

/** Whether nobody has a snapshot or a transaction open; as a user looks. */
function watchServer(t: Test, database: string) {
  const sql = postgres(database, { max: 1, fetch_types: false });
  t.teardown(() => sql.end());
  return async () => {
    const open = await sql`SELECT FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND (state LIKE 'idle in%' OR backend_xmin IS NOT NULL)`;
    return open.count === 0;
  };
}

/** Likewise: SQLite's log can't begin anew while somebody reads in it. */
function watchFile(t: Test, database: string) {
  const file = new DatabaseSync(database.slice("sqlite:".length));
  t.teardown(() => file.close());
  const checkpoint = file.prepare("PRAGMA wal_checkpoint(TRUNCATE)");
  return () => checkpoint.get()?.busy === 0;
}

/** [options, the versions that are read] */
const AGGREGATE_READS: readonly (readonly [ReadAggregateOptions, number[]])[] =
  [
    [{}, range(1, 20)],
    [{ from: 5 }, range(5, 20)],
    [{ to: 6 }, range(1, 6)],
    [{ from: 4, to: 4 }, [4]],
    [{ from: 8, to: 7 }, []],
    [{ from: 21 }, []],
    [{ limit: 3 }, [1, 2, 3]],
    [{ from: 18, limit: 100 }, [18, 19, 20]],
    [{ direction: "backwards" }, range(1, 20).reverse()],
    [{ direction: "backwards", limit: 3 }, [20, 19, 18]],
    [{ direction: "backwards", from: 3, to: 5 }, [5, 4, 3]],
  ];

const aggregateReads: Record<string, Case> = {};
for (const [options, versions] of AGGREGATE_READS) {
  aggregateReads[`readAggregate ${JSON.stringify(options)}`] = async (
    t,
    { open },
  ) => {
    const writer = await open();
    await fill(writer);
    const events = await collect(writer.readAggregate("a:1", options));
    t.same(events.map(({ version }) => version), versions);
    t.same(events.map(({ data }) => data), versions);
    t.ok(events.every(({ aggregate }) => aggregate === "a:1"));
  };
}

/** [options by the tokens of the ten transactions, the data that are read] */
const EVENT_READS: readonly (readonly [
  string,
  (tokens: number[]) => ReadEventsOptions,
  (n: number) => boolean,
])[] = [
  ["all", () => ({}), () => true],
  ["after a token", (tokens) => ({ after: tokens[4] as number }), (n) => n > 5],
  ["after the last", (tokens) => ({ after: tokens[9] as number }), () => false],
  ["from the beginning", () => ({ after: 0 }), () => true],
];

const eventReads: Record<string, Case> = {};
for (const [name, options, isWanted] of EVENT_READS) {
  eventReads[`readEvents ${name}`] = async (t, { open }) => {
    const writer = await open();
    const tokens = await fill(writer);
    const events = await collect(writer.readEvents(options(tokens)));
    const expected = range(1, 10).filter(isWanted)
      .flatMap((n) => [2 * n - 1, n, 2 * n]);
    t.same(events.map(({ data }) => data), expected);
  };
}

conform("reading back", {
  ...aggregateReads,
  ...eventReads,
  "an aggregate without events": async (t, { open }) => {
    const writer = await open();
    t.same(await collect(writer.readAggregate("none")), []);
  },
  "an event is whole": async (t, { open }) => {
    const writer = await open();
    const before = Date.now();
    const { token } = await writer.transaction(
      "one",
      (txn) => txn.append("a:1", [{ type: "x", data: { y: 1 }, id: "i" }]),
    );
    const [event] = await collect(writer.readEvents());
    t.match(event, {
      token,
      aggregate: "a:1",
      version: 1,
      type: "x",
      id: "i",
      data: { y: 1 },
      metadata: {},
    });
    t.ok((event?.committedMs ?? 0) >= before - 1);
  },
  "events by type": async (t, { open }) => {
    const writer = await open();
    await fill(writer);
    const events = await collect(writer.readEvents({ types: ["even", "x"] }));
    t.same(events.map(({ data }) => data), range(1, 10).map((n) => 2 * n));
    t.same(await collect(writer.readEvents({ types: [] })), []);
  },
  "events by aggregates": async (t, { open }) => {
    const writer = await open();
    await fill(writer);
    const events = await collect(writer.readEvents({ aggregatePrefix: "b:" }));
    t.same(events.map(({ data }) => data), range(1, 10));
  },
  "events backwards": async (t, { open }) => {
    const writer = await open();
    const tokens = await fill(writer);
    const events = await collect(writer.readEvents({
      direction: "backwards",
      after: tokens[3] as number,
      limit: 4,
    }));
    t.same(events.map(({ data }) => data), [6, 3, 5, 4]);
  },
  "events by number": async (t, { open }) => {
    const writer = await open();
    await fill(writer);
    const read = (limit: number) => collect(writer.readEvents({ limit }));
    t.equal((await read(1)).length, 1);
    t.equal((await read(7)).length, 7);
    t.equal((await read(1_000)).length, 30);
  },
  "events since and until": async (t, { open }) => {
    const writer = await open();
    await fill(writer);
    const all = await collect(writer.readEvents());
    const times = all.map(({ committedMs }) => committedMs);
    const [first, last] = [Math.min(...times), Math.max(...times)];
    const count = async (options: ReadEventsOptions) =>
      (await collect(writer.readEvents(options))).length;
    t.equal(await count({ since: first }), 30);
    t.equal(await count({ since: new Date(last + 1) }), 0);
    t.equal(await count({ until: first }), 0);
    t.equal(await count({ until: new Date(last + 1) }), 30);
    t.equal(
      await count({ since: last }),
      times.filter((time) => time >= last).length,
    );
  },
  "options that can't be": async (t, { open }) => {
    const writer = await open();
    for (
      const options of [
        { limit: 0 },
        { limit: 1.5 },
        { direction: "up" },
        { after: -1 },
        { since: "today" },
      ]
    ) {
      await t.rejects(
        collect(writer.readEvents(options as ReadEventsOptions)),
        { code: "INVALID_ARGUMENT" },
        JSON.stringify(options),
      );
    }
    for (const options of [{ from: 0 }, { to: -1 }, { direction: 1 }]) {
      await t.rejects(
        collect(writer.readAggregate("a", options as ReadAggregateOptions)),
        { code: "INVALID_ARGUMENT" },
      );
    }
  },
  "more than a page, forwards and backwards": async (t, { open }) => {
    const writer = await open();
    const append = async (aggregate: string) => {
      for (let n = 1; n <= 550; n += 1) {
        await writer.transaction(
          "append",
          (txn) => txn.append(aggregate, [{ type: "x", data: n }]),
        );
      }
    };
    await Promise.all([append("a:0"), append("a:1")]);
    const forwards = await collect(writer.readEvents());
    t.equal(forwards.length, 1_100);
    const tokens = forwards.map(({ token }) => token);
    t.same(tokens, tokens.toSorted((a, b) => a - b));
    const backwards = await collect(
      writer.readEvents({ direction: "backwards" }),
    );
    t.same(backwards.reverse(), forwards);
    for (const direction of ["forwards", "backwards"] as const) {
      const events = await collect(writer.readAggregate("a:1", { direction }));
      const versions = events.map(({ version }) => version);
      t.same(
        direction === "forwards" ? versions : versions.reverse(),
        range(1, 550),
      );
    }
  },
  "an iterator may be left early": async (t, { open }) => {
    const writer = await open();
    await fill(writer);
    for (let round = 0; round < 10; round += 1) {
      for await (const { data } of writer.readEvents()) if (data === 3) break;
    }
    t.equal((await collect(writer.readEvents())).length, 30);
  },
  "writers go on while events are read": async (t, { open }) => {
    const writer = await open();
    await fill(writer);
    const seen: unknown[] = [];
    for await (const { data } of writer.readEvents()) {
      seen.push(data);
      await writer.transaction(
        "more",
        (txn) => txn.append("c:1", [{ type: "more" }]),
      );
    }
    t.equal(seen.length, 30, "what was there as it began");
    t.equal((await collect(writer.readEvents())).length, 60);
  },
  "nothing is held open while they are read": {
    except: ["sqlite memory"],
    async run(t, { kind, database, open }) {
      const writer = await open();
      for (let n = 0; n < 300; n += 1) {
        await writer.transaction(
          "append",
          (txn) => txn.append("a:1", [{ type: "x" }]),
        );
      }
      const isFree = kind === "postgres"
        ? watchServer(t, database)
        : watchFile(t, database);
      for (const direction of ["forwards", "backwards"] as const) {
        for (
          const events of [
            writer.readEvents({ direction }),
            writer.readAggregate("a:1", { direction }),
          ]
        ) {
          let count = 0;
          for await (const _ of events) {
            count += 1;
            if (count === 10) await until("all are free", isFree);
          }
          t.equal(count, 300);
        }
      }
    },
  },
  "rows of a stream, page by page": async (t, { open }) => {
    const writer = await open({ streams: [notes] });
    for (const n of range(1, 25)) {
      await writer.transaction("note", (txn) => {
        txn.write(notes, { n: 2 * n - 1 });
        txn.write(notes, { n: 2 * n });
        return Promise.resolve();
      });
    }
    const seen: number[] = [];
    let after = 0;
    while (true) {
      const page = await writer.readRows(notes, { after, limit: 5 });
      seen.push(...page.rows.map(([, { n }]) => n));
      t.ok(page.rows.length <= 6, "no token is split");
      after = page.upTo;
      if (!page.isLimited) break;
    }
    t.same(seen, range(1, 50));
  },
  "rows up to a token": async (t, { open }) => {
    const writer = await open({ streams: [notes] });
    const tokens: number[] = [];
    for (const n of range(1, 5)) {
      const { token } = await writer.transaction("note", (txn) => {
        txn.write(notes, { n });
        return Promise.resolve();
      });
      tokens.push(token);
    }
    const { rows, upTo } = await writer.readRows(notes, {
      after: tokens[0],
      upTo: tokens[3],
    });
    t.same(rows.map(([, { n }]) => n), [2, 3, 4]);
    t.equal(upTo, tokens[3]);
  },
  "rows of an unknown stream": async (t, { open }) => {
    const writer = await open();
    await t.rejects(writer.readRows("none"), { code: "STREAM_UNKNOWN" });
  },
});

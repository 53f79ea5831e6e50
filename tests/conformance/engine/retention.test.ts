// What a log need not keep, deleted while it is written.

import { sql } from "kysely";
import { z } from "zod";
import { defineStream } from "../../../mod.ts";
import { until } from "../../support/conditions.ts";
import {
  add,
  type CaseWriter,
  collect,
  conform,
  range,
  things,
} from "./engines.ts";

const notes = defineStream("notes", z.int());

const OFTEN = { retentionIntervalMs: 5 };

const append = async (writer: CaseWriter, numbers: readonly number[]) => {
  for (const n of numbers) {
    await writer.transaction(
      "append",
      (txn) => txn.append("a:1", [{ type: "x", data: n }]),
    );
  }
};

const kept = async (writer: CaseWriter) =>
  (await collect(writer.readEvents())).map(({ data }) => data);

const rowsOf = async (writer: CaseWriter) =>
  (await writer.readRows("caches")).rows.length;

async function invalidate(writer: CaseWriter, count: number): Promise<void> {
  for (let n = 0; n < count; n += 1) {
    await writer.transaction("tell", (txn) => {
      txn.invalidate("byId", [n]);
      return Promise.resolve();
    });
  }
}

conform("retention", {
  "by count keeps the newest": async (t, { open }) => {
    const writer = await open({
      ...OFTEN,
      retention: { events: { maxRows: 3 } },
    });
    await append(writer, range(1, 10));
    await until(
      "the others are gone",
      async () => (await kept(writer)).length === 3,
    );
    t.same(await kept(writer), [8, 9, 10]);
    await append(writer, [11]);
    t.equal((await kept(writer)).at(-1), 11);
  },
  "by age keeps what is young": async (t, { open }) => {
    const writer = await open({
      ...OFTEN,
      retention: { caches: { maxAgeMs: 3_600_000 } },
    });
    await invalidate(writer, 5);
    t.equal(await rowsOf(writer), 5);
    await writer.close();
    const none = await open({
      ...OFTEN,
      retention: { caches: { maxAgeMs: 0 } },
    });
    // A database in memory is another one by now.
    await invalidate(none, 5);
    await until("all are gone", async () => await rowsOf(none) === 0);
    await add(none, 1);
    t.same(await things(none), [1]);
  },
  "for ever keeps all, beside what it does not": async (t, { open }) => {
    const writer = await open({
      ...OFTEN,
      retention: { events: "forever", caches: { maxRows: 2 } },
    });
    await append(writer, range(1, 10));
    await invalidate(writer, 10);
    await until("rows are gone", async () => await rowsOf(writer) === 2);
    t.same(await kept(writer), range(1, 10));
  },
  "by itself keeps invalidations for a week, and the rest for ever": async (
    t,
    { open },
  ) => {
    const writer = await open({ ...OFTEN, streams: [notes] });
    const pass = (days: number) =>
      writer.transaction("pass", async ({ db }) => {
        await sql`UPDATE headwater_log
          SET committed_ms = committed_ms - ${sql.lit(days * 86_400_000)}`
          .execute(db);
      });
    await append(writer, [1]);
    await writer.transaction("note", (txn) => {
      txn.write(notes, 1);
      return Promise.resolve();
    });
    await invalidate(writer, 3);
    await pass(2);
    await invalidate(writer, 2);
    await pass(6);
    await until(
      "those of 8 days are gone",
      async () => await rowsOf(writer) === 2,
    );
    await pass(1);
    await until("and then the others", async () => await rowsOf(writer) === 0);
    t.same(await kept(writer), [1]);
    t.equal((await writer.readRows(notes)).rows.length, 1);
  },
  "counts transactions without rows": async (t, { open }) => {
    const writer = await open({
      ...OFTEN,
      retention: { caches: { maxRows: 2 } },
    });
    for (const id of range(1, 20)) await add(writer, id);
    await until("they are gone", async () => {
      const { result } = await writer.transaction(
        "count",
        async ({ db }) =>
          await db.selectFrom("headwater_log" as "things").select(({ fn }) =>
            fn.countAll<number>().as("count")
          ).executeTakeFirstOrThrow(),
      );
      return Number(result.count) <= 3;
    });
    t.same(await things(writer), range(1, 20));
  },
  "tells who asks for what is gone": async (t, { open }) => {
    const writer = await open({
      ...OFTEN,
      retention: { events: { maxRows: 2 } },
    });
    await append(writer, range(1, 6));
    await until("most are gone", async () => (await kept(writer)).length === 2);
    const error = { code: "EVENTS_DELETED" };
    await t.rejects(collect(writer.readEvents({ after: 1 as never })), error);
    await t.rejects(collect(writer.readAggregate("a:1")), error);
    await t.rejects(writer.aggregate("a:1").fold(0, (n) => n + 1), error);
    const { token } = await writer.transaction(
      "append",
      (txn) => txn.append("a:1", [{ type: "x", data: 7 }]),
    );
    t.ok(token > 6, "tokens and versions go on");
    t.equal((await collect(writer.readEvents())).at(-1)?.version, 7);
  },
});

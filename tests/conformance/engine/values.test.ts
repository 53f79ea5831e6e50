// Values through Kysely, in and out.

import { sql } from "kysely";
import { z } from "zod";
import { defineAggregate } from "../../../mod.ts";
import { type Case, collect, conform } from "./engines.ts";

/** [what, the column's type by engine, the values] */
const VALUES: readonly (readonly [
  string,
  readonly [sqlite: string, postgres: string],
  readonly unknown[],
])[] = [
  ["integers up to 2^53", ["INTEGER", "BIGINT"], [
    0,
    -1,
    2 ** 31,
    Number.MAX_SAFE_INTEGER,
    Number.MIN_SAFE_INTEGER,
  ]],
  ["real numbers", ["REAL", "DOUBLE PRECISION"], [0.5, -1e300, 1 / 3]],
  ["texts", ["TEXT", "TEXT"], ["", "it's", 'a "b" \\', "ä€😀", "a\nb\tc"]],
  ["a long text", ["TEXT", "TEXT"], ["x".repeat(1_000_000)]],
  ["null", ["TEXT", "TEXT"], [null]],
  ["bytes", ["BLOB", "BYTEA"], [
    new Uint8Array([0, 1, 127, 128, 255]),
    new Uint8Array(),
  ]],
];

const roundTrips: Record<string, Case> = {};
for (const [what, [sqlite, postgres], values] of VALUES) {
  roundTrips[what] = async (t, { kind, open }) => {
    const writer = await open();
    const type = kind === "postgres" ? postgres : sqlite;
    await writer.transaction("create", async ({ db }) => {
      await sql.raw(`CREATE TABLE "values" (id INTEGER, value ${type})`)
        .execute(db);
    });
    const { result } = await writer.transaction("write", async ({ db }) => {
      for (const [id, value] of values.entries()) {
        await db.insertInto("values").values({ id, value }).execute();
      }
      return await db.selectFrom("values").selectAll().orderBy("id").execute();
    });
    const plain = (value: unknown) =>
      value instanceof Uint8Array ? [...value] : value;
    t.same(
      result.map(({ value }) => plain(value)),
      values.map(plain),
    );
  };
}

conform("values", {
  ...roundTrips,
  "counts are numbers": async (t, { open }) => {
    const writer = await open();
    const { result } = await writer.transaction(
      "count",
      async ({ db }) =>
        await db.selectFrom("things")
          .select((eb) => eb.fn.countAll().as("count")).executeTakeFirst(),
    );
    t.same({ ...result }, { count: 0 });
  },
  "numbers of changed rows": async (t, { open }) => {
    const writer = await open();
    await writer.transaction("count", async ({ db }) => {
      const inserted = await db.insertInto("things")
        .values([1, 2, 3].map((id) => ({ id, name: "x" }))).executeTakeFirst();
      t.equal(inserted.numInsertedOrUpdatedRows, 3n);
      const updated = await db.updateTable("things").set({ name: "y" })
        .where("id", ">", 1).executeTakeFirst();
      t.equal(updated.numUpdatedRows, 2n);
      const deleted = await db.deleteFrom("things").where("id", "=", 9)
        .executeTakeFirst();
      t.equal(deleted.numDeletedRows, 0n);
    });
  },
  "returned rows": async (t, { open }) => {
    const writer = await open();
    const { result } = await writer.transaction(
      "return",
      async ({ db }) =>
        await db.insertInto("things").values({ id: 1, name: "x" })
          .returningAll().executeTakeFirst(),
    );
    t.same({ ...result }, { id: 1, name: "x" });
  },
  "keys of every kind": async (t, { open }) => {
    const writer = await open();
    const key = ["text", 'a "b"', 1, -1.5, true, null];
    await writer.transaction("key", (txn) => {
      txn.invalidate("byAll", key);
      txn.invalidate("none", []);
      txn.invalidateAll("all");
      return Promise.resolve();
    });
    const { rows } = await writer.readRows<[string, unknown, number]>("caches");
    t.same(rows.map(([, [name, parts]]) => [name, parts]), [
      ["byAll", key],
      ["none", []],
      ["all", null],
    ]);
  },
  "what a schema makes of an event is stored, if it lasts": async (
    t,
    { open },
  ) => {
    const writer = await open();
    const notes = defineAggregate("note", {
      written: z.object({
        text: z.string().trim(),
        tags: z.array(z.string()).default([]),
      }),
      priced: z.object({ cents: z.number().transform((euros) => euros * 100) }),
    });
    const append = (event: { type: "written" | "priced"; data: unknown }) =>
      writer.transaction(
        "append",
        (txn) => txn.append(notes.of("1"), [event as never]),
      );
    await append({ type: "written", data: { text: " a ", more: 1 } });
    await append({ type: "written", data: { tags: ["é"], text: "b" } });
    await t.rejects(append({ type: "priced", data: { cents: 5 } }), {
      code: "EVENT_INVALID",
      message: /makes {"cents":500} of it.* {"cents":50000} when it is read/,
    });
    await append({ type: "priced", data: { cents: 0 } });
    const stored = [{ text: "a", tags: [] }, { tags: ["é"], text: "b" }, {
      cents: 0,
    }];
    const events = await collect(writer.readAggregate("note:1"));
    t.same(events.map(({ data }) => data), stored);
    const typed = await collect(writer.readAggregate(notes.of("1")));
    t.same(typed.map(({ data }) => data), stored);
  },
});

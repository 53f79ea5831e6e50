// Values through Kysely, in and out.

import { sql } from "kysely";
import { type Case, conform } from "./engines.ts";

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
});

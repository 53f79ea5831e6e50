// A projection that becomes inline while others append: its tables have every
// event once, whenever its append began.

import t, { type Test } from "tap";
import { WriterStore, type WriterStoreOptions } from "../../mod.ts";
import { defineProjection } from "../../src/projections/mod.ts";
import { onEachEngine } from "../support/databases.ts";

interface Database {
  numbers: { n: number };
}

const numbers = defineProjection<Database>({
  name: "numbers",
  tables: ["numbers"],
  async create({ db, table }) {
    await db.schema.createTable(table("numbers"))
      .addColumn("n", "integer", (column) => column.notNull()).execute();
  },
  async handle({ data }, { db, table }) {
    await db.insertInto(table("numbers")).values({ n: data as number })
      .execute();
  },
});

async function openWriter(
  t: Test,
  database: string,
  options: Partial<WriterStoreOptions> = {},
): Promise<WriterStore<Database>> {
  const writer = await WriterStore.open<Database>({
    database,
    synchronous: "normal",
    ...options,
  });
  t.teardown(() => writer.close());
  return writer;
}

const append = (writer: WriterStore<Database>, n: number) =>
  writer.transaction(
    "append",
    (txn) => txn.append(`number:${n}`, [{ type: "counted", data: n }]),
  );

async function read(writer: WriterStore<Database>): Promise<number[]> {
  const { result } = await writer.transaction(
    "read",
    ({ db }) => db.selectFrom("numbers").select("n").orderBy("n").execute(),
  );
  return result.map(({ n }) => Number(n));
}

onEachEngine(
  t,
  "nothing that is appended meanwhile is lost",
  async (t, database) => {
    const writer = await openWriter(t, database);
    let last = 0;
    let isOver = false;
    const lanes = Array.from({ length: 8 }, async () => {
      while (!isOver) await append(writer, last += 1);
    });
    while (last < 40) await append(writer, last += 1);
    // One whose function is done only after it was asked for.
    const asked = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const slow = writer.transaction("slow", async (txn) => {
      const version = await txn.append("slow:1", [{
        type: "counted",
        data: 0,
      }]);
      begun.resolve();
      await asked.promise;
      return version;
    });
    await begun.promise;
    const projected = writer.project(numbers);
    const again = writer.project(numbers);
    const after = append(writer, -1);
    // Time enough for the tables to be made, if nobody waited for it.
    for (let count = 0; count < 30; count += 1) {
      for await (const _ of writer.readAggregate("number:1"));
    }
    asked.resolve();
    await Promise.all([slow, projected, again, after]);
    const until = last + 20;
    while (last < until) await append(writer, last += 1);
    isOver = true;
    await Promise.all(lanes);
    t.same(
      await read(writer),
      Array.from({ length: last + 2 }, (_, index) => index - 1),
      "each once, though it was asked for twice",
    );
  },
);

onEachEngine(t, "within a transaction it is refused", async (t, database) => {
  const writer = await openWriter(t, database, { queueTimeoutMs: 50 });
  await t.rejects(
    writer.transaction("project", () => writer.project(numbers)),
    {
      code: "DATABASE_BUSY",
      message:
        'Cannot project "numbers": it waits until no transaction of this store ' +
        "runs, and 1 still did after 50 ms; call it outside of any " +
        "transaction's function, before the application begins to write",
    },
  );
  await append(writer, 1);
  await writer.project(numbers);
  t.same(await read(writer), [1], "and nobody waits for it any more");
  const closed = writer.close();
  await t.rejects(writer.project(numbers), { code: "CLOSED" });
  await closed;
});

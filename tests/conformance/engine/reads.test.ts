// A store's reads, while others write.

import { sql } from "kysely";
import { SlavedStore, Store } from "../../../mod.ts";
import {
  add,
  type CaseDatabase,
  type CaseWriter,
  conform,
  range,
  things,
} from "./engines.ts";

class Things extends Store<CaseDatabase> {
  async ids(): Promise<number[]> {
    const rows = await this.db.selectFrom("things").select("id").orderBy("id")
      .execute();
    return rows.map(({ id }) => id);
  }

  async *stream(): AsyncGenerator<number> {
    const rows = this.db.selectFrom("things").select("id").orderBy("id")
      .stream();
    for await (const { id } of rows) yield id;
  }

  async twice(between: () => Promise<unknown>): Promise<number[]> {
    return await this.db.transaction()
      .setIsolationLevel("repeatable read")
      .execute(async (transaction) => {
        const count = async () =>
          (await transaction.selectFrom("things").select("id").execute())
            .length;
        const first = await count();
        await between();
        return [first, await count()];
      });
  }

  async raw(text: string): Promise<unknown[]> {
    const { rows } = await sql.raw(text).execute(this.db as never);
    return rows;
  }
}

const attach = (writer: CaseWriter) => writer.attach(Things);

conform("reads of a store", {
  "that are open are cut off by its closing": async (t, { open }) => {
    const writer = await open();
    for (const id of range(1, 300)) await add(writer, id);
    const streamed = attach(writer).stream();
    t.equal((await streamed.next()).value, 1);
    await writer.close();
    await t.rejects(async () => {
      for await (const _ of streamed);
    }, { message: /store is closed/ });
  },

  "see what is committed": async (t, { open }) => {
    const writer = await open();
    const store = attach(writer);
    t.same(await store.ids(), []);
    for (const id of range(1, 5)) {
      await add(writer, id);
      t.same(await store.ids(), range(1, id));
    }
  },
  "don't see what is not, and don't wait for it": async (t, { open }) => {
    const writer = await open();
    const store = attach(writer);
    await writer.transaction("slow", async ({ db }) => {
      await db.insertInto("things").values({ id: 1, name: "x" }).execute();
      t.same(await store.ids(), []);
    });
    t.same(await store.ids(), [1]);
  },
  "many at once": async (t, { open }) => {
    const writer = await open();
    const store = attach(writer);
    await Promise.all(range(1, 20).map((id) => add(writer, id)));
    const found = await Promise.all(range(1, 100).map(() => store.ids()));
    t.ok(found.every((ids) => ids.length === 20));
  },
  "streams give all rows": async (t, { open }) => {
    const writer = await open();
    await writer.transaction("many", async ({ db }) => {
      await db.insertInto("things")
        .values(range(1, 1_000).map((id) => ({ id, name: "x" }))).execute();
    });
    const ids: number[] = [];
    for await (const id of attach(writer).stream()) ids.push(id);
    t.same(ids, range(1, 1_000));
  },
  "streams may be left early": async (t, { open }) => {
    const writer = await open();
    const store = attach(writer);
    for (const id of range(1, 20)) await add(writer, id);
    for (let round = 0; round < 20; round += 1) {
      for await (const id of store.stream()) if (id === 3) break;
    }
    t.equal((await store.ids()).length, 20);
    await add(writer, 21);
    t.equal((await store.ids()).length, 21);
  },
  "writers go on while a stream is read": async (t, { open }) => {
    const writer = await open();
    const store = attach(writer);
    for (const id of range(1, 10)) await add(writer, id);
    let next = 11;
    for await (const _ of store.stream()) await add(writer, next++);
    t.ok((await store.ids()).length >= 20);
  },
  "a transaction of the store has one snapshot": async (t, { open }) => {
    const writer = await open();
    const store = attach(writer);
    await add(writer, 1);
    t.same(await store.twice(() => add(writer, 2)), [1, 1]);
    t.same(await store.ids(), [1, 2]);
  },
  "more transactions than connections": async (t, { open }) => {
    const writer = await open({ maxReadConnections: 2 });
    const store = attach(writer);
    await add(writer, 1);
    const found = await Promise.all(
      range(1, 10).map(() => store.twice(() => Promise.resolve())),
    );
    t.ok(found.every(([first, second]) => first === 1 && second === 1));
  },
  "can't insert": async (t, { open }) => {
    const writer = await open();
    await t.rejects(attach(writer).raw("INSERT INTO things VALUES (1, 'x')"), {
      code: "DATABASE_READ_ONLY",
    });
    t.same(await things(writer), []);
  },
  "can't update or delete": async (t, { open }) => {
    const writer = await open();
    await add(writer, 1);
    const store = attach(writer);
    for (const text of ["UPDATE things SET name = 'y'", "DELETE FROM things"]) {
      await t.rejects(store.raw(text), { code: "DATABASE_READ_ONLY" });
    }
    t.same(await things(writer), [1]);
  },
  "can't make tables": async (t, { open }) => {
    const writer = await open();
    await t.rejects(attach(writer).raw("CREATE TABLE more (id INTEGER)"), {
      code: "DATABASE_READ_ONLY",
    });
  },
  "can't write through a slaved store": {
    except: ["sqlite memory"],
    async run(t, { database, open }) {
      const writer = await open();
      await add(writer, 1);
      const slaved = await SlavedStore.connect<CaseDatabase>({
        database,
        replicate: [],
      });
      t.teardown(() => slaved.close());
      const store = slaved.attach(Things);
      for (
        const text of [
          "INSERT INTO things VALUES (2, 'x')",
          "UPDATE things SET name = 'y'",
          "DELETE FROM things",
          "CREATE TABLE more (id INTEGER)",
          "DROP TABLE things",
        ]
      ) await t.rejects(store.raw(text), { code: "DATABASE_READ_ONLY" }, text);
      t.same(await store.ids(), [1]);
    },
  },
  "a mistake in SQL is the user's to see": async (t, { open }) => {
    const writer = await open();
    const store = attach(writer);
    await t.rejects(store.raw("SELECT nonsense FROM things"), {
      message: /nonsense/,
    });
    await t.rejects(store.raw("SELEKT"), { message: /syntax/ });
    t.same(await store.ids(), [], "and harms nothing");
  },
  "see a column that came later": async (t, { open }) => {
    const writer = await open();
    const store = attach(writer);
    await add(writer, 1);
    t.same(await store.raw("SELECT * FROM things"), [
      { id: 1, name: "thing 1" },
    ]);
    await writer.transaction("alter", async ({ db }) => {
      await db.schema.alterTable("things").addColumn("more", "integer")
        .execute();
    });
    const again = () => store.raw("SELECT * FROM things");
    // PostgreSQL refuses a prepared statement whose result has changed, once.
    const [row] = await again().catch(again);
    t.same(row, { id: 1, name: "thing 1", more: null });
  },
  "are refused once the store is closed": async (t, { open }) => {
    const writer = await open();
    const store = attach(writer);
    await writer.close();
    await t.rejects(store.ids(), { code: "CLOSED" });
  },
});

// Tokens: one for a transaction, whatever it wrote; always higher ones.

import { z } from "zod";
import { defineStream } from "../../../mod.ts";
import { add, collect, conform, range, things } from "./engines.ts";

const notes = defineStream("notes", z.object({ n: z.int() }));
const streams = [notes];

conform("tokens", {
  "the first is 1": async (t, { open }) => {
    const writer = await open();
    t.equal(writer.position.get("master"), 1, "made with the table");
    t.equal((await add(writer, 1)).token, 2);
  },
  "each is higher than those before": async (t, { open }) => {
    const writer = await open();
    let last = 0;
    for (const id of range(1, 30)) {
      const { token } = await add(writer, id);
      t.ok(token > last);
      last = token;
    }
  },
  "one for all streams of a transaction": async (t, { open }) => {
    const writer = await open({ streams });
    const { token } = await writer.transaction("all", async (txn) => {
      txn.write(notes, { n: 1 });
      txn.invalidate("byId", [1]);
      await txn.append("a:1", [{ type: "x" }]);
      txn.write(notes, { n: 2 });
    });
    for (const stream of ["notes", "caches", "events"]) {
      const { rows } = await writer.readRows(stream);
      t.ok(rows.length > 0);
      t.ok(rows.every(([each]) => each === token), stream);
    }
  },
  "rows keep their order": async (t, { open }) => {
    const writer = await open({ streams });
    await writer.transaction("many", (txn) => {
      for (const n of range(1, 500)) txn.write(notes, { n });
      return Promise.resolve();
    });
    const { rows } = await writer.readRows(notes, { limit: 1 });
    t.same(rows.map(([, { n }]) => n), range(1, 500));
  },
  "none for what changed nothing": async (t, { open }) => {
    const writer = await open();
    const { token } = await add(writer, 1);
    const look = await writer.transaction(
      "look",
      async ({ db }) => await db.selectFrom("things").selectAll().execute(),
    );
    t.equal(look.token, token);
    const nothing = await writer.transaction("nothing", async ({ db }) => {
      await db.deleteFrom("things").where("id", "=", 99).execute();
    });
    t.equal(nothing.token, token);
    t.equal(writer.position.get("master"), token);
  },
  "one for data without rows": async (t, { open }) => {
    const writer = await open();
    const first = await add(writer, 1);
    const second = await writer.transaction("change", async ({ db }) => {
      await db.updateTable("things").set({ name: "y" }).execute();
    });
    t.equal(second.token, first.token + 1);
  },
  "one for rows without data": async (t, { open }) => {
    const writer = await open();
    const first = await add(writer, 1);
    const second = await writer.transaction("tell", (txn) => {
      txn.invalidateAll("byId");
      return Promise.resolve();
    });
    t.equal(second.token, first.token + 1);
  },
  "one for a table that is made": async (t, { open }) => {
    const writer = await open();
    const before = writer.position.get("master") ?? 0;
    const { token } = await writer.transaction("more", async ({ db }) => {
      await db.schema.createTable("more").addColumn("id", "integer").execute();
    });
    t.ok(token > before);
  },
  "the position is the last": async (t, { open }) => {
    const writer = await open({ instance: "one" });
    const { token, instance } = await add(writer, 1);
    t.equal(instance, "one");
    t.same(writer.position, new Map([["one", token]]));
  },
  "what a transaction has seen has a lower one": async (t, { open }) => {
    const writer = await open();
    await add(writer, 0, "0");
    const seen = new Map<number, number>();
    const commits = await Promise.all(
      range(1, 40).map(async (id) => {
        const { token, result } = await writer.transaction(
          "next",
          async ({ db }) => {
            await db.updateTable("things").set({ name: `${id}` })
              .where("id", "=", 0).execute();
            await db.insertInto("things").values({ id, name: "x" }).execute();
            const rows = await db.selectFrom("things").select("id").execute();
            return rows.map((row) => row.id);
          },
        );
        seen.set(id, token);
        return { token, others: result };
      }),
    );
    for (const { token, others } of commits) {
      for (const other of others) {
        t.ok(other === 0 || (seen.get(other) ?? 0) <= token);
      }
    }
    t.equal((await things(writer)).length, 41);
  },
  "events of an aggregate have them in the order of versions": async (
    t,
    { open },
  ) => {
    const writer = await open();
    await Promise.all(
      range(1, 20).map(() =>
        writer.transaction(
          "append",
          (txn) => txn.append("a:1", [{ type: "x" }]),
          { maxAttempts: 100 },
        )
      ),
    );
    const events = await collect(writer.readAggregate("a:1"));
    t.same(events.map(({ version }) => version), range(1, 20));
    const tokens = events.map(({ token }) => token);
    t.same(tokens, tokens.toSorted((a, b) => a - b));
  },
  "they go on after a restart": {
    except: ["sqlite memory"],
    run: async (t, { open }) => {
      const first = await open();
      const { token } = await add(first, 1);
      await first.close();
      const second = await open();
      t.ok((second.position.get("master") ?? 0) >= token);
      t.ok((await add(second, 2)).token > token);
      t.same(await things(second), [1, 2]);
    },
  },
  "another instance goes on after the first": {
    except: ["sqlite memory"],
    run: async (t, { open }) => {
      const first = await open({ instance: "first" });
      const { token } = await add(first, 1);
      const second = await open({ instance: "second" });
      const later = await add(second, 2);
      t.ok(later.token > token);
      t.ok((await add(first, 3)).token > later.token);
    },
  },
});

// Many writers at once, in one process and in two stores.

import { sql } from "kysely";
import {
  add,
  type CaseWriter,
  collect,
  conform,
  range,
  things,
} from "./engines.ts";

async function counter(writer: CaseWriter): Promise<number> {
  const { result } = await writer.transaction(
    "look",
    async ({ db }) =>
      await db.selectFrom("things").select("name").where("id", "=", 0)
        .executeTakeFirstOrThrow(),
  );
  return Number(result.name);
}

conform("many at once", {
  "64 transactions, each with its outcome": async (t, { open }) => {
    const writer = await open();
    const commits = await Promise.all(
      range(1, 64).map((id) => add(writer, id)),
    );
    t.equal(new Set(commits.map(({ token }) => token)).size, 64);
    t.same(await things(writer), range(1, 64));
  },
  "more than there are connections": async (t, { open }) => {
    const writer = await open({ maxWriteConnections: 3 });
    await Promise.all(range(1, 64).map((id) => add(writer, id)));
    t.same(await things(writer), range(1, 64));
  },
  "an update in the database loses nothing": async (t, { open }) => {
    const writer = await open();
    await add(writer, 0, "0");
    await Promise.all(
      range(1, 40).map(() =>
        writer.transaction("count", async ({ db }) => {
          await db.updateTable("things")
            .set({ name: sql`CAST(CAST(name AS INTEGER) + 1 AS TEXT)` })
            .where("id", "=", 0).execute();
        })
      ),
    );
    t.equal(await counter(writer), 40);
  },
  "read, then write, serializable, loses nothing": async (t, { open }) => {
    const writer = await open();
    await add(writer, 0, "0");
    const commits = await Promise.all(
      range(1, 12).map(() =>
        writer.transaction("count", async ({ db }) => {
          const { name } = await db.selectFrom("things").select("name")
            .where("id", "=", 0).executeTakeFirstOrThrow();
          await db.updateTable("things").set({ name: `${Number(name) + 1}` })
            .where("id", "=", 0).execute();
        }, { isolation: "serializable", maxAttempts: 100 })
      ),
    );
    t.equal(await counter(writer), 12);
    t.ok(commits.every(({ attempts }) => attempts >= 1));
  },
  "one expected version, one winner": async (t, { open }) => {
    const writer = await open();
    const outcomes = await Promise.allSettled(
      range(1, 20).map(() =>
        writer.transaction(
          "append",
          (txn) => txn.append("a:1", [{ type: "x" }], { expectedVersion: 0 }),
        )
      ),
    );
    const winners = outcomes.filter(({ status }) => status === "fulfilled");
    t.equal(winners.length, 1);
    for (const outcome of outcomes) {
      if (outcome.status === "rejected") {
        t.match(outcome.reason, { code: "VERSION_CONFLICT", actualVersion: 1 });
      }
    }
    t.equal((await collect(writer.readAggregate("a:1"))).length, 1);
  },
  "appends without expectations all get in": async (t, { open }) => {
    const writer = await open();
    const commits = await Promise.all(
      range(1, 20).map((n) =>
        writer.transaction(
          "append",
          (txn) => txn.append("a:1", [{ type: "x", data: n }]),
          { maxAttempts: 100 },
        )
      ),
    );
    t.same(
      commits.map(({ result }) => result).sort((a, b) => a - b),
      range(1, 20),
    );
  },
  "appends to different aggregates are in nobody's way": async (
    t,
    { open },
  ) => {
    const writer = await open();
    const commits = await Promise.all(
      range(1, 50).map((n) =>
        writer.transaction(
          "append",
          (txn) =>
            txn.append(`a:${n}`, [{ type: "x" }], { expectedVersion: "none" }),
        )
      ),
    );
    t.ok(commits.every(({ result }) => result === 1));
    t.equal((await collect(writer.readEvents())).length, 50);
  },
  "callbacks of each come once": async (t, { open }) => {
    const writer = await open();
    const calls: number[] = [];
    await Promise.all(
      range(1, 50).map((id) =>
        writer.transaction("add", (txn) => {
          txn.afterCommit(() => calls.push(id));
          txn.invalidate("byId", [id]);
          return Promise.resolve();
        })
      ),
    );
    t.same(calls.toSorted((a, b) => a - b), range(1, 50));
    const { rows } = await writer.readRows("caches");
    t.equal(rows.length, 50);
  },
  "a queue that is full says so": async (t, { open }) => {
    const writer = await open({
      maxQueuedTransactions: 3,
      maxWriteConnections: 1,
    });
    const outcomes = await Promise.allSettled(
      range(1, 20).map((id) => add(writer, id)),
    );
    const refused = outcomes.filter((outcome) => outcome.status === "rejected");
    t.equal(refused.length, 16);
    t.match(refused[0], { reason: { code: "DATABASE_BUSY" } });
    t.same(await things(writer), range(1, 4));
  },
  "closing waits for those that came before": async (t, { open }) => {
    const writer = await open();
    const adding = range(1, 20).map((id) => add(writer, id));
    const closing = writer.close();
    await t.rejects(add(writer, 99), { code: "CLOSED" });
    t.equal((await Promise.all(adding)).length, 20);
    await closing;
  },
  "two instances at once": {
    except: ["sqlite memory"],
    run: async (t, { open }) => {
      const writers = [
        await open({ instance: "one" }),
        await open({ instance: "two" }),
      ];
      const commits = await Promise.all(
        range(0, 79).map((id) => add(writers[id % 2] as CaseWriter, id)),
      );
      t.equal(new Set(commits.map(({ token }) => token)).size, 80);
      for (const writer of writers) t.same(await things(writer), range(0, 79));
    },
  },
  "two instances, one aggregate": {
    except: ["sqlite memory"],
    run: async (t, { open }) => {
      const writers = [
        await open({ instance: "one" }),
        await open({ instance: "two" }),
      ];
      const commits = await Promise.all(
        range(0, 19).map((n) =>
          (writers[n % 2] as CaseWriter).transaction(
            "append",
            (txn) => txn.append("a:1", [{ type: "x" }]),
            { maxAttempts: 100 },
          )
        ),
      );
      t.same(
        commits.map(({ result }) => result).sort((a, b) => a - b),
        range(1, 20),
      );
    },
  },
  "two stores under one name: the second is refused": {
    except: ["sqlite memory"],
    run: async (t, { open }) => {
      const writer = await open();
      await t.rejects(open(), {
        code: "INSTANCE_HELD",
        message:
          /^Cannot open a writer store as instance "master": process \d+/,
      });
      await add(writer, 1);
    },
  },
  "appends beside each other in a transaction": async (t, { open }) => {
    const writer = await open();
    const append = (events: { type: string; id?: string }[]) =>
      writer.transaction("append", async (txn) =>
        await Promise.all(
          events.map((event) => txn.append("a:1", [event])),
        ));
    const types = ["one", "two", "three"].map((type) => ({ type }));
    const { result } = await append(types);
    t.same(result, [1, 2, 3], "each has a version of its own");
    const again = await writer.transaction(
      "append",
      async (txn) =>
        await Promise.allSettled(
          ["x", "y"].map((type) =>
            txn.append("a:2", [{ type }], { expectedVersion: "none" })
          ),
        ),
    );
    t.match(again.result[1], { reason: { code: "VERSION_CONFLICT" } });
    const same = append([{ type: "x", id: "one" }, { type: "x", id: "one" }]);
    await t.rejects(same, { code: "EVENT_ID_USED" });
    const events = await collect(writer.readEvents());
    t.same(
      events.map(({ aggregate, version, type }) => [aggregate, version, type]),
      [["a:1", 1, "one"], ["a:1", 2, "two"], ["a:1", 3, "three"], [
        "a:2",
        1,
        "x",
      ]],
    );
  },
});

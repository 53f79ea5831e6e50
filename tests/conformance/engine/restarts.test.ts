// Stores that are closed and opened again, and databases with other names.

import { sql } from "kysely";
import { SlavedStore, Store } from "../../../mod.ts";
import { cachedFunction } from "../../../src/caches/mod.ts";
import {
  add,
  type Case,
  type CaseDatabase,
  collect,
  conform,
  things,
} from "./engines.ts";

class Counts extends Store<CaseDatabase> {}

const except = ["sqlite memory"] as const;
const restart = (run: Case) => ({ except, run });

conform("restarts", {
  "data and rows are there": restart(async (t, { open }) => {
    const first = await open();
    await add(first, 1);
    await first.transaction("tell", async (txn) => {
      txn.invalidate("byId", [1]);
      await txn.append("a:1", [{ type: "x" }]);
    });
    await first.close();
    const second = await open();
    t.same(await things(second), [1]);
    t.equal((await second.readRows("caches")).rows.length, 1);
    t.equal((await collect(second.readAggregate("a:1"))).length, 1);
  }),
  "versions go on": restart(async (t, { open }) => {
    const first = await open();
    await first.transaction(
      "append",
      (txn) => txn.append("a:1", [{ type: "x" }, { type: "y" }]),
    );
    await first.close();
    const second = await open();
    const { result } = await second.transaction(
      "append",
      (txn) => txn.append("a:1", [{ type: "z" }], { expectedVersion: 2 }),
    );
    t.equal(result, 3);
  }),
  "given ids are known": restart(async (t, { open }) => {
    const append = async (writer: Awaited<ReturnType<typeof open>>) =>
      await writer.transaction(
        "append",
        (txn) => txn.append("a:1", [{ type: "x", id: "one" }]),
      );
    const first = await open();
    const { token } = await append(first);
    await first.close();
    const second = await open();
    t.equal((await append(second)).token, token);
  }),
  "a name is free once it is given back": restart(async (t, { open }) => {
    for (let round = 0; round < 5; round += 1) {
      const writer = await open();
      await add(writer, round);
      await writer.close();
    }
    t.same(await things(await open()), [0, 1, 2, 3, 4]);
  }),
  "a name is free once its lease has run out": restart(async (t, { open }) => {
    const first = await open({ leaseMs: 60_000 });
    // As if it were on another machine, and silent since.
    await first.transaction("age", async ({ db }) => {
      await sql`UPDATE headwater_instances
        SET expires_ms = 1, host = 'elsewhere'`.execute(db);
    });
    const second = await open();
    await add(second, 1);
    await t.rejects(add(first, 2), {
      code: "LEASE_LOST",
      message: /lost its lease; the holder is process \d+/,
    });
    t.same(await things(second), [1]);
  }),
  "nothing is appended without the lease": restart(async (t, { open }) => {
    const first = await open({ leaseMs: 60_000 });
    const append = (writer: typeof first) =>
      writer.transaction("append", (txn) => txn.append("a:1", [{ type: "x" }]));
    await append(first);
    await first.transaction("age", async ({ db }) => {
      await sql`UPDATE headwater_instances
        SET expires_ms = 1, host = 'elsewhere'`.execute(db);
    });
    const second = await open();
    await t.rejects(append(first), { code: "LEASE_LOST" });
    t.equal((await append(second)).result, 2, "it is the first after it");
  }),
  "a lost lease leaves nothing in the caches": restart(async (t, { open }) => {
    const first = await open({ leaseMs: 60_000 });
    let loads = 0;
    const count = cachedFunction(
      { store: first.attach(Counts), name: "count", maxEntries: 10 },
      () => Promise.resolve(loads += 1),
    );
    t.same([await count(), await count()], [1, 1]);
    await first.transaction("age", async ({ db }) => {
      await sql`UPDATE headwater_instances
        SET expires_ms = 1, host = 'elsewhere'`.execute(db);
    });
    const second = await open();
    await add(second, 1);
    await t.rejects(add(first, 2), { code: "LEASE_LOST" });
    t.same([await count(), await count()], [2, 3], "it hears of nothing");
  }),
  "close may be called again": async (t, { open }) => {
    const writer = await open();
    await Promise.all([writer.close(), writer.close()]);
    await writer.close();
    await t.rejects(add(writer, 1), { code: "CLOSED" });
  },
  "tables may have another prefix": async (t, { open }) => {
    const writer = await open({ tablePrefix: "app_log_" });
    await writer.transaction(
      "append",
      (txn) => txn.append("a:1", [{ type: "x", id: "i" }]),
    );
    const { result } = await writer.transaction(
      "look",
      async ({ db }) =>
        (await sql<{ n: number }>`SELECT count(*) AS n FROM app_log_log`
          .execute(db)).rows,
    );
    t.equal(Number(result[0]?.n), 2);
    t.equal((await collect(writer.readEvents())).length, 1);
  },
  "two logs in one database": restart(async (t, { open }) => {
    const first = await open();
    const second = await open({ tablePrefix: "other_" });
    await add(first, 1);
    await second.transaction(
      "append",
      (txn) => txn.append("a:1", [{ type: "x" }]),
    );
    t.equal((await collect(first.readEvents())).length, 0);
    t.equal((await collect(second.readEvents())).length, 1);
  }),
  "a prefix that can't be": async (t, { open }) => {
    for (const tablePrefix of ["", "a b", "1x", "x;", "x".repeat(40)]) {
      await t.rejects(open({ tablePrefix }), { code: "INVALID_ARGUMENT" });
    }
  },
  "a schema": async (t, { kind, open }) => {
    if (kind !== "postgres") {
      await t.rejects(open({ schema: "log" }), {
        code: "INVALID_ARGUMENT",
        message: /SQLite has no schemas; give tablePrefix/,
      });
      return;
    }
    const writer = await open({ schema: "log" });
    await writer.transaction(
      "append",
      (txn) => txn.append("a:1", [{ type: "x" }]),
    );
    const { result } = await writer.transaction(
      "look",
      async ({ db }) =>
        (await sql`SELECT * FROM log.headwater_log`.execute(db)).rows,
    );
    t.equal(result.length, 2);
  },
  "a slaved store follows over a restart": restart(
    async (t, { database, open }) => {
      const first = await open({ listen: "tcp://127.0.0.1:0" });
      const slaved = await SlavedStore.connect({
        database,
        replicate: first.url as string,
        minBackoffMs: 10,
      });
      t.teardown(() => slaved.close());
      await slaved.waitFor(await add(first, 1));
      await first.close();
      const second = await open({ listen: first.url ?? "tcp://127.0.0.1:0" });
      await slaved.waitFor(await add(second, 2));
      t.equal((await collect(slaved.readEvents())).length, 0);
    },
  ),
});

// What can't be done is said, and the store goes on.

import { sql } from "kysely";
import { add, conform, range, things } from "./engines.ts";

conform("errors", {
  "a constraint's is the database's own": async (t, { kind, open }) => {
    const writer = await open();
    await add(writer, 1);
    const error = await add(writer, 1).catch((caught) => caught);
    t.match(error, { message: /unique/i });
    t.match(error, {
      code: kind === "postgres" ? "23505" : "ERR_SQLITE_ERROR",
    });
    await add(writer, 2);
  },
  "a mistake in SQL": async (t, { open }) => {
    const writer = await open();
    await t.rejects(
      writer.transaction("wrong", async ({ db }) => {
        await sql`SELEKT 1`.execute(db);
      }),
      { message: /syntax/ },
    );
    await t.rejects(
      writer.transaction("wrong", async ({ db }) => {
        await db.selectFrom("none" as "things").selectAll().execute();
      }),
      { message: /none/ },
    );
    await add(writer, 1);
  },
  "many mistakes leave nothing behind": async (t, { open }) => {
    const writer = await open({ maxWriteConnections: 2 });
    for (let round = 0; round < 30; round += 1) {
      await t.rejects(writer.transaction("wrong", async ({ db }) => {
        await sql`SELEKT 1`.execute(db);
      }));
    }
    await Promise.all(range(1, 10).map((id) => add(writer, id)));
    t.same(await things(writer), range(1, 10));
  },
  "a statement that ends the transaction": async (t, { open }) => {
    const writer = await open();
    for (
      const text of [
        "COMMIT",
        "rollback",
        "BEGIN",
        "END",
        " commit ",
        "ROLLBACK TRANSACTION",
      ]
    ) {
      await t.rejects(
        writer.transaction("ends", async ({ db }) => {
          await sql.raw(text).execute(db);
        }),
        { code: "INVALID_ARGUMENT", message: /begins and ends transactions/ },
        text,
      );
    }
    t.same(await things(writer), []);
  },
  "a transaction that has ended": async (t, { open }) => {
    const writer = await open();
    let kept: Parameters<Parameters<typeof writer.transaction>[1]>[0];
    await writer.transaction("keeps", (txn) => {
      kept = txn;
      return Promise.resolve();
    });
    const txn = kept!;
    await t.rejects(txn.db.selectFrom("things").selectAll().execute(), {
      code: "TRANSACTION_ENDED",
      message: /transaction "keeps" has ended; await every query within it/,
    });
    t.throws(() => txn.invalidateAll("x"), { code: "TRANSACTION_ENDED" });
    t.throws(() => txn.write("events", {}), { code: "TRANSACTION_ENDED" });
    t.throws(() => txn.afterCommit(() => {}), { code: "TRANSACTION_ENDED" });
    await t.rejects(txn.append("a", [{ type: "x" }]), {
      code: "TRANSACTION_ENDED",
    });
    await t.rejects(txn.closeAggregate("a"), { code: "TRANSACTION_ENDED" });
  },
  "rows of the built-in streams are not written by hand": async (
    t,
    { open },
  ) => {
    const writer = await open();
    for (const stream of ["events", "caches"]) {
      await t.rejects(
        writer.transaction("write", (txn) => {
          txn.write(stream, []);
          return Promise.resolve();
        }),
        {
          code: "INVALID_ARGUMENT",
          message: /use txn.invalidate… or txn.append/,
        },
      );
    }
  },
  "a store that is closed": async (t, { open }) => {
    const writer = await open();
    await writer.close();
    await t.rejects(add(writer, 1), {
      code: "CLOSED",
      message: /the writer store is closed; open another/,
    });
    await t.rejects(writer.readRows("caches"), { code: "CLOSED" });
    await t.rejects(
      (async () => {
        for await (const _ of writer.readEvents());
      })(),
      { code: "CLOSED" },
    );
  },
  "a row that is too long for the wire": async (t, { open }) => {
    const writer = await open({ maxLineBytes: 1_000 });
    await t.rejects(
      writer.transaction(
        "long",
        (txn) => txn.append("a:1", [{ type: "x", data: "y".repeat(1_000) }]),
      ),
      { code: "ROW_TOO_LONG" },
    );
    await add(writer, 1);
  },
  "a bound that can't be": async (t, { open }) => {
    for (
      const options of [
        { maxWriteConnections: 0 },
        { maxReadConnections: 1.5 },
        { maxQueuedTransactions: -1 },
        { statementTimeoutMs: -1 },
        { leaseMs: NaN },
        { maxAttempts: 0 },
      ]
    ) {
      const [name] = Object.keys(options);
      await t.rejects(open(options), {
        code: "INVALID_ARGUMENT",
        message: new RegExp(`^Cannot open a writer store: ${name} is`),
      });
    }
  },
  "a transaction within another's function": async (t, { open }) => {
    const writer = await open({ maxWriteConnections: 1, queueTimeoutMs: 20 });
    await t.rejects(
      writer.transaction("outer", () => add(writer, 1)),
      {
        code: "DATABASE_BUSY",
        message: /held by "outer"; end that one first/,
      },
    );
    await add(writer, 2);
    t.same(await things(writer), [2]);
  },
  "an error of the function's own, whatever its code, is no failure of the database's":
    async (t, { open }) => {
      const writer = await open();
      const codes = ["ECONNREFUSED", "ECONNRESET", "ENOENT", "40001", "57P01"];
      for (const code of [...codes, "DATABASE_UNAVAILABLE", "53100"]) {
        const error = Object.assign(new RangeError("mine"), { code });
        let runs = 0;
        const failing = writer.transaction("fails", () => {
          runs += 1;
          return Promise.reject(error);
        });
        t.equal(await failing.catch((caught) => caught), error, code);
        t.equal(runs, 1, "and is not run again");
      }
    },
});

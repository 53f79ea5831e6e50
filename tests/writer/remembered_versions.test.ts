// A writer remembers where aggregates stand. What it remembers is never too
// high, and where others have appended since, nobody sees that it was too low.

import t, { type Test } from "tap";
import { WriterStore } from "../../mod.ts";
import { deferred } from "../../src/runtime/waiting.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { postgresDatabase } from "../support/postgres.ts";

const ENGINES: Readonly<Record<string, (t: Test) => Promise<string>>> = {
  SQLite: (t) => Promise.resolve(temporaryDatabase(t)),
  PostgreSQL: postgresDatabase,
};

type Writer = WriterStore<Record<string, never>>;

const event = { type: "happened" };

for (const [engine, makeDatabase] of Object.entries(ENGINES)) {
  t.test(engine, async (t) => {
    const database = await makeDatabase(t);
    const open = async (instance: string): Promise<Writer> => {
      const writer = await WriterStore.open<Record<string, never>>({
        database,
        instance,
      });
      t.teardown(() => writer.close());
      return writer;
    };
    const [one, two] = [await open("one"), await open("two")];
    const versions = async (aggregate: string) => {
      const found: number[] = [];
      for await (const { version } of one.readAggregate(aggregate)) {
        found.push(version);
      }
      return found;
    };
    const append = (
      writer: Writer,
      aggregate: string,
      expectedVersion: number | "any" | "exists" | "none" = "any",
    ) =>
      writer.transaction(
        "append",
        (txn) => txn.append(aggregate, [event], { expectedVersion }),
      );

    await t.test("writers in turn leave no gap, and none conflicts", async (t) => {
      for (let turn = 0; turn < 10; turn += 1) {
        const writer = turn % 3 === 0 ? one : two;
        const { result } = await append(writer, "turns");
        t.equal(result, turn + 1);
      }
      t.same(await versions("turns"), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    });

    await t.test("what is expected is what stands there", async (t) => {
      await append(one, "expected", "none");
      await append(two, "expected", 1);
      // The first writer remembers version 1.
      const { result } = await append(one, "expected", 2);
      t.equal(result, 3, "not refused for what was remembered");
      await append(two, "expected", "exists");
      for (const expected of [3, 2, 5, "none"] as const) {
        await t.rejects(append(one, "expected", expected), {
          code: "VERSION_CONFLICT",
          message: /expected version .*, but it has 4;/,
        });
      }
      t.same(await versions("expected"), [1, 2, 3, 4]);
    });

    await t.test("what was rolled back is forgotten", async (t) => {
      await append(one, "rolled back");
      const boom = new Error("boom");
      const failing = Array.from(
        { length: 20 },
        (_, index) =>
          one.transaction("fail", async (txn) => {
            await txn.append("rolled back", [event, event]);
            if (index % 2 === 0) throw boom;
          }, { maxAttempts: 50 }).catch((error) => error),
      );
      const results = await Promise.all(failing);
      t.equal(results.filter((result) => result === boom).length, 10);
      await append(one, "rolled back");
      const found = await versions("rolled back");
      t.same(found, found.map((_, index) => index + 1), "no gap");
      t.equal(found.length, 22);
    });

    await t.test("an append that nobody awaited leaves nothing", async (t) => {
      await append(one, "dangling");
      let dangling: Promise<unknown> = Promise.resolve();
      await one.transaction("dangle", (txn) => {
        const given = { ...event, id: "dangling" };
        // Looks for the id, and so goes on after the transaction's end.
        dangling = txn.append("dangling", [given]).catch(() => {});
        return Promise.reject(new Error("boom"));
      }).catch(() => {});
      await dangling;
      const { result } = await append(one, "dangling");
      t.equal(result, 2);
      t.same(await versions("dangling"), [1, 2]);
    });

    if (engine === "PostgreSQL") {
      await t.test("what is open beside it is nothing to go on", async (t) => {
        await append(one, "beside");
        const [appended, over] = [deferred<void>(), deferred<void>()];
        const failing = one.transaction("fail", async (txn) => {
          await txn.append("beside", [event, event]);
          appended.resolve();
          await over.promise;
          throw new Error("boom");
        });
        await appended.promise;
        const { result } = await append(one, "beside");
        over.resolve();
        await t.rejects(failing, { message: "boom" });
        t.equal(result, 2);
      });
    }

    await t.test("one that another has closed is closed", async (t) => {
      await append(one, "closed");
      await two.transaction("close", (txn) => txn.closeAggregate("closed"));
      await t.rejects(append(one, "closed"), { code: "AGGREGATE_CLOSED" });
      await t.rejects(append(one, "closed", 2), { code: "AGGREGATE_CLOSED" });
    });

    await t.test("who may try only once is not misled", async (t) => {
      await append(one, "once");
      await append(two, "once");
      const { result, attempts } = await one.transaction(
        "append",
        (txn) => txn.append("once", [event]),
        { maxAttempts: 1 },
      );
      t.same([result, attempts], [3, 1]);
    });

    await t.test("many at once leave no gap", async (t) => {
      const count = 200;
      await Promise.all(Array.from({ length: count }, async (_, index) => {
        const writer = index % 5 === 0 ? two : one;
        await writer.transaction("append", async (txn) => {
          await txn.append(`crowd ${index % 3}`, [event]);
          if (index % 7 === 0) throw new Error("boom");
        }, { maxAttempts: 50 }).catch((error) => {
          if (error.message !== "boom") throw error;
        });
      }));
      let total = 0;
      for (const name of ["crowd 0", "crowd 1", "crowd 2"]) {
        const found = await versions(name);
        t.same(found, found.map((_, index) => index + 1), name);
        total += found.length;
      }
      t.equal(total, count - Math.ceil(count / 7));
    });
  });
}

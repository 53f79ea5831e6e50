// Promise 3: a reader applies all rows of a token together: invalidations,
// then handlers, then the position, then waiters. A torn batch moves nothing,
// and is fetched again.

import t from "tap";
import { z } from "zod";
import { cachesStream, defineStream, SlavedStore } from "../../mod.ts";
import { until } from "../support/conditions.ts";
import { startFakeWriter } from "../support/fake_writer.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { type TestDatabase, Users } from "../support/stores.ts";
import { connectUsers, openUsers } from "../support/users.ts";

const orders = defineStream("orders", z.object({ id: z.string() }));
const payments = defineStream("payments", z.object({ id: z.string() }));
const streams = [orders, payments];

t.test("a transaction with rows in several streams", async (t) => {
  const database = temporaryDatabase(t);
  const writer = await openUsers(t, {
    database,
    listen: "tcp://127.0.0.1:0",
    streams,
  });
  const slaved = await connectUsers(t, writer, { database, streams });
  const users = slaved.attach(Users);

  await t.test("is seen by handlers with its caches right, its position not yet reached", async (t) => {
    const steps: string[] = [];
    const before = Number(slaved.position.get("master"));
    const note = (stream: string) => async () => {
      const position = Number(slaved.position.get("master"));
      steps.push(`${stream} at ${position - before}`);
      // A handler may take its time: nothing overtakes it.
      const user = await users.getUserById("bob");
      steps.push(`${stream} reads version ${user?.version ?? 0}`);
    };
    const ends = [
      slaved.subscribe(orders, note("orders")),
      slaved.subscribe(payments, note("payments")),
      slaved.subscribe(cachesStream, note("caches")),
    ];
    t.equal(await users.getUserById("bob"), undefined, "is cached as absent");
    const save = (version: number) =>
      writer.transaction("order", async (txn) => {
        // Written first, sent last: invalidations come before all else.
        txn.write(payments, { id: "bob" });
        txn.write(orders, { id: "bob" });
        const user = { id: "bob", name: "Bob", version };
        await txn.db.insertInto("users").values(user)
          .onConflict((conflict) => conflict.column("id").doUpdateSet(user))
          .execute();
        txn.invalidate(Users.prototype.getUserById, ["bob"]);
      });
    const first = await save(1);
    await slaved.waitFor(first).then(() => steps.push("waiter"));
    for (const end of ends) end();
    t.same(steps, [
      "caches at 0",
      "caches reads version 1",
      "payments at 0",
      "payments reads version 1",
      "orders at 0",
      "orders reads version 1",
      "waiter",
    ]);
    await slaved.waitFor(await save(2));
    t.equal(steps.length, 7, "a subscription that was ended hears no more");
  });

  await t.test("goes on when a handler fails, and counts it", async (t) => {
    const heard: string[] = [];
    const ends = [
      slaved.subscribe(orders, () => {
        throw new Error("thrown");
      }),
      slaved.subscribe(orders, () => Promise.reject(new Error("rejected"))),
      slaved.subscribe(
        orders,
        ({ rows }) => void heard.push(...rows.map((r) => r.id)),
      ),
    ];
    const before = slaved.stats.handlerFailures;
    const commit = await writer.transaction("order", (txn) => {
      txn.write(orders, { id: "x" });
      txn.write(orders, { id: "y" });
      return Promise.resolve();
    });
    await slaved.waitFor(commit);
    for (const end of ends) end();
    t.same(heard, ["x", "y"]);
    t.equal(slaved.stats.handlerFailures, before + 2);
  });
});

t.test("a torn batch moves nothing and is fetched again", async (t) => {
  const database = temporaryDatabase(t);
  const writer = await openUsers(t, { database, streams });
  // A writer of the test's own, so that a line can stop where it pleases.
  const fake = await startFakeWriter(t);
  const token = Number(writer.position.get("master"));
  fake.answer = `POSITION orders master ${token} ${token}\n`;
  const slaved = await SlavedStore.connect<TestDatabase>({
    database,
    replicate: fake.url,
    streams,
  });
  t.teardown(() => slaved.close());
  const heard: unknown[] = [];
  slaved.subscribe(orders, ({ rows }) => void heard.push(rows));
  slaved.subscribe(payments, ({ rows }) => void heard.push(rows));

  const commit = await writer.transaction("order", (txn) => {
    for (const id of ["a", "b", "c"]) txn.write(orders, { id });
    txn.write(payments, { id: "p" });
    return Promise.resolve();
  });
  const next = commit.token;
  const cuts = [
    // between two rows of a batch
    `RDATA orders master batch {"id":"a"}\n`,
    // within a row
    `RDATA orders master batch {"id":"a"}\nRDATA orders master batch {"i`,
    // between two streams of one token
    `RDATA orders master batch {"id":"a"}\nRDATA orders master batch {"id":"b"}\n` +
    `RDATA orders master ${next} {"id":"c"}\n`,
  ];
  for (const cut of cuts) {
    const connections = slaved.stats.connections;
    fake.send(cut);
    fake.cut();
    await until(
      "it is back",
      () =>
        slaved.stats.connections > connections && slaved.stats.state === "live",
    );
    t.same(heard, [], "nothing was applied");
    t.equal(slaved.position.get("master"), token);
  }
  fake.answer = `POSITION orders master ${next} ${next}\n`;
  fake.send(cuts[0] as string);
  fake.cut();
  await slaved.waitFor(commit);
  t.same(heard, [[{ id: "a" }, { id: "b" }, { id: "c" }], [{ id: "p" }]]);
});
